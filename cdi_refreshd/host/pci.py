"""NVIDIA's display functions and their DRM nodes, from sysfs. Reading these attributes wakes nothing.

Only ENOENT says that something is not there. Every other error is raised as a Fault: a spec is not withdrawn because
the kernel had no memory or no descriptor left.
"""

import os

from cdi_refreshd.core.nvidia.inventory import PciFunction
from cdi_refreshd.core.read_errors import unreadable

NVIDIA = "0x10de"
DISPLAY = "0x03"
"""VGA, 3D and other display controllers: not the card's audio, USB or bridge functions."""

BY_PATH = ("card", "render")
"""How the names of udev's links to a function's DRM nodes end."""


def readable(sysfs: str = "/sys") -> bool:
    """Whether sysfs is mounted: without it no GPU is known to be absent."""
    return os.path.isdir(f"{sysfs}/bus")


def functions(sysfs: str = "/sys") -> tuple[PciFunction, ...]:
    """Every display function of NVIDIA's, by address. Raises Fault where one of them cannot be read."""
    directory = f"{sysfs}/bus/pci/devices"
    found = []
    for address in _names(directory):
        path = f"{directory}/{address}"
        if _read(f"{path}/vendor") == NVIDIA and _read(f"{path}/class").startswith(DISPLAY):
            driver = _link_name(f"{path}/driver")
            # vfio-pci lets every GPU sleep that no virtual machine uses: NVML can neither ask it nor wake it.
            may_suspend = driver == "nvidia" and _read(f"{path}/power/control") == "auto"
            suspended = driver == "nvidia" and _read(f"{path}/power/runtime_status") == "suspended"
            virtual = _link_name(f"{path}/physfn") != ""
            found.append(PciFunction(address, driver, may_suspend or suspended, suspended, virtual))
    return tuple(found)


def drm_names(address: str, sysfs: str = "/sys") -> tuple[str, ...]:
    """Names under /dev/dri that belong to the function at `address`, such as card1 and renderD128. Raises Fault."""
    return tuple(_names(f"{sysfs}/bus/pci/devices/{address}/drm"))


def _names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise unreadable(directory, error) from None


def _read(path: str) -> str:
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            return os.read(descriptor, 4096).decode("utf-8", "replace").strip()
        finally:
            os.close(descriptor)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise unreadable(path, error) from None


def _link_name(path: str) -> str:
    try:
        return os.path.basename(os.readlink(path))
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise unreadable(path, error) from None
