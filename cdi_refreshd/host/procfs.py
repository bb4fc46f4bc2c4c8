"""What the kernel and NVIDIA's modules report in procfs and sysfs. Nothing here wakes a GPU.

Only ENOENT says that something is not there; every other error is raised as a Fault, except by `optional_text`.
"""

import os
from collections.abc import Iterator

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia import driver_texts
from cdi_refreshd.core.nvidia.inventory import KernelGpu
from cdi_refreshd.core.read_errors import unreadable

MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"
CAPABILITIES = "/proc/driver/nvidia/capabilities"
GPUS = "/proc/driver/nvidia/gpus"


def text(path: str) -> str | None:
    """A small kernel file; None if it does not exist. Raises Fault."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise unreadable(path, error) from None


def optional_text(path: str) -> str:
    """The same, "" if it cannot be read: for what may stay unknown."""
    try:
        return text(path) or ""
    except Fault:
        return ""


def module_version() -> str:
    """The version of the loaded nvidia module, "" if none is loaded."""
    said = text("/proc/driver/nvidia/version")
    return (driver_texts.module_version(said) if said else "") or (text("/sys/module/nvidia/version") or "").strip()


def module_loaded() -> bool:
    """Raises Fault if it cannot be read."""
    return any(map(is_there, ("/proc/driver/nvidia/version", "/sys/module/nvidia")))


def is_there(path: str) -> bool:
    """Links are followed. Raises Fault if it cannot be read."""
    try:
        os.stat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise unreadable(path, error) from None
    return True


def module_present(name: str) -> bool:
    """Whether a module is loaded, by its name in sysfs (with underscores)."""
    return os.path.isdir(f"/sys/module/{name}")


def gpus() -> tuple[KernelGpu, ...]:
    """Those of the loaded module, by address; none where it lists none, as in some containers. Raises Fault.

    The information of a lost GPU may be unreadable: it stays unknown.
    """
    try:
        addresses = sorted(os.listdir(GPUS))
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise unreadable(GPUS, error) from None
    return tuple(_gpu(address, optional_text(f"{GPUS}/{address}/information")) for address in addresses)


def _gpu(address: str, said: str) -> KernelGpu:
    minor = driver_texts.gpu_minor(said)
    return KernelGpu(
        address, driver_texts.gpu_uuid(said), -1 if minor is None else minor, driver_texts.gpu_excluded(said)
    )


def capability_minor(gpu_minor: int, gi: int, ci: int | None = None) -> int | None:
    """The minor of a MIG access node, from the driver's directory."""
    inner = "" if ci is None else f"/ci{ci}"
    said = text(f"{CAPABILITIES}/gpu{gpu_minor}/mig/gi{gi}{inner}/access")
    return None if said is None else driver_texts.device_file_minor(said)


def no_new_privileges() -> bool:
    """Whether setuid programs have no effect for this process."""
    return "\nNoNewPrivs:\t1\n" in optional_text("/proc/self/status")


def firmware_path() -> str:
    """The directory that the administrator gave the firmware loader, "" for none."""
    return optional_text("/sys/module/firmware_class/parameters/path").strip()


def release() -> str:
    return os.uname().release


def machine() -> str:
    return os.uname().machine


def mig_instances() -> tuple[str, ...]:
    """Paths below the driver's capabilities directory of all instances, sorted. Wakes nothing. Raises Fault."""
    found = []
    for directory, names, _ in os.walk(CAPABILITIES, onerror=_refuse):
        found += [f"{directory[len(CAPABILITIES) :]}/{name}" for name in names]
    return tuple(sorted(found))


def capability_files() -> Iterator[str]:
    """Paths of all files below the driver's capabilities directory. Raises Fault."""
    for directory, _, names in os.walk(CAPABILITIES, onerror=_refuse):
        yield from (f"{directory}/{name}" for name in names)


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):
        raise unreadable(str(error.filename), error)


def mig_capable() -> frozenset[int]:
    """Minors of the GPUs for which the driver has a directory of MIG slices, cut or not."""
    try:
        names = os.listdir(CAPABILITIES)
    except OSError:
        return frozenset()
    capable = (name[3:] for name in names if name.startswith("gpu") and os.path.isdir(f"{CAPABILITIES}/{name}/mig"))
    return frozenset(int(number) for number in capable if number.isascii() and number.isdigit())
