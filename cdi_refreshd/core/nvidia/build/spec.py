"""Inventory and choices -> spec. Raises Fault if there is nothing to describe."""

from collections.abc import Callable

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Spec
from cdi_refreshd.core.cdi.version import minimum_version
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.build import driver, gpus, hookless, tegra
from cdi_refreshd.core.nvidia.build.edits import below, finished, merged, mount, nodes, tidy
from cdi_refreshd.core.nvidia.build.hooks import Hooks, off_mounts
from cdi_refreshd.core.nvidia.build.links import library_links, soname_links
from cdi_refreshd.core.nvidia.build.places import Places, once
from cdi_refreshd.core.nvidia.driver_texts import not_found
from cdi_refreshd.core.nvidia.inventory import Inventory, Link

SINGLE = {
    "gds": ("/dev/nvidia-fs*", "is not there", "load GPUDirect Storage's module: modprobe nvidia-fs"),
    "gdrcopy": ("/dev/gdrdrv", "is not there", "load GDRCopy's module: modprobe gdrdrv"),
    "mofed": ("/dev/infiniband", "has no uverbs device and no rdma_cm", "load the InfiniBand drivers"),
    "nvswitch": ("/dev/nvidia-nvswitch*", "is not there", "this host has no NVSwitch, or its driver is not loaded"),
    "wsl": ("/dev/dxg", "is not there", "this is no WSL 2 with a GPU"),
    "management": ("/dev/nvidia*", "no NVIDIA device nodes found", "load the driver: modprobe nvidia"),
}
"""Modes with one device, and the fault if its nodes are missing."""


def build(inventory: Inventory, choices: Choices) -> Spec:
    """The spec, at the lowest version that its content needs. Raises Fault where the mode's own devices are missing."""
    if inventory.mode not in PARTS and inventory.mode not in SINGLE:
        raise Fault("probe", f"the child's answer has a mode that there is not: {inventory.mode[:40]!a}")
    forced_off = ("disable-device-node-modification",) if inventory.mode == "management" else ()
    hooks = Hooks(choices, inventory.hook, forced_off, places(inventory, choices))
    devices, edits = PARTS.get(inventory.mode, single)(inventory, choices, hooks)
    if hooks.none and inventory.mode in LINKS:
        edits = hookless.completed(edits, links(inventory, choices))
    elif hooks.places.every_loader:
        edits = off_mounts(edits)
    edits = tidy(edits)
    spec = Spec(
        kind=f"{choices.vendor}/{choices.class_name}",
        devices=finished(devices, edits, choices.all_device and NONE not in devices),
        container_edits=edits,
    )
    return spec._replace(cdi_version=minimum_version(spec))


def places(inventory: Inventory, choices: Choices) -> Places:
    every_loader = "both-loader-directories" in choices.feature_flags or Hooks(choices, inventory.hook).none
    return Places(choices.driver_root, inventory.machine, every_loader)


def links(inventory: Inventory, choices: Choices) -> list[Link]:
    """All that hooks would make in a container."""
    of_mode = LINKS.get(inventory.mode)
    return of_mode(inventory, places(inventory, choices)) if of_mode else []


NONE = Device("none", gpus.EMPTY)
Parts = tuple[list[Device], ContainerEdits]


def nvml(inventory: Inventory, choices: Choices, hooks: Hooks) -> Parts:
    if not inventory.driver.library_dirs:
        raise no_libraries(inventory, choices)
    common = merged(nodes(inventory.nodes, choices), driver.common(inventory.driver, choices, hooks, True))
    first = next((word for word in choices.device_ids if word in ("all", "none")), "")
    if first == "none":
        return [NONE], common
    return gpus.devices(inventory, choices, hooks), common


def no_libraries(inventory: Inventory, choices: Choices) -> Fault:
    version, other = inventory.driver.version, inventory.driver.files_version
    place = f"libraries under {choices.driver_root}"
    if not version:
        fact = "there is no libcuda.so.* or libnvidia-ml.so.* with a version"
        return Fault(place, fact, not_found(inventory.driver.search))
    if other:
        return Fault(place, f"are of version {other}, the loaded module is {version}", "reboot, or reload the module")
    fact = f"there is no libcuda.so.{version} or libnvidia-ml.so.{version}"
    return Fault(place, fact, not_found(inventory.driver.search))


def management(inventory: Inventory, choices: Choices, hooks: Hooks) -> Parts:
    devices, _ = single(inventory, choices, hooks)
    if not inventory.driver.library_dirs:
        raise no_libraries(inventory, choices)
    return devices, driver.common(inventory.driver, choices, hooks, False)


def single(inventory: Inventory, choices: Choices, _: Hooks) -> Parts:
    """Modes with one device that holds all the mode's nodes."""
    if not inventory.nodes:
        raise Fault(*SINGLE[inventory.mode])
    files = ContainerEdits(mounts=tuple(mount(choices.driver_root, path) for path in inventory.files))
    return [Device("all", merged(nodes(inventory.nodes, choices), files))], driver.VOID


def imex(inventory: Inventory, choices: Choices, _: Hooks) -> Parts:
    if not inventory.channels:
        raise Fault("/dev/nvidia-caps-imex-channels", "there is no IMEX channel", "nvidia-modprobe -i makes them")
    devices = []
    for channel in inventory.channels:
        node = DeviceNode(below(choices.dev_root, channel.path), channel.path)
        devices.append(Device(channel.id, ContainerEdits(device_nodes=(node,))))
    return devices, driver.VOID


def csv(inventory: Inventory, choices: Choices, hooks: Hooks) -> Parts:
    return tegra.devices(inventory, choices, hooks), tegra.common(inventory, choices, hooks)


def wsl(inventory: Inventory, choices: Choices, hooks: Hooks) -> Parts:
    devices, _ = single(inventory, choices, hooks)
    root, found = choices.driver_root, inventory.wsl
    libraries = once(item for one in found.libraries for item in hooks.places.mounts(one.path))
    edits = ContainerEdits(
        mounts=once((*(mount(root, path) for path in found.files), *libraries)),
        hooks=(
            *hooks.links(smi_link(inventory, root)),
            *hooks.ldcache(item.container_path for item in libraries),
        ),
    )
    return devices, merged(edits, driver.VOID)


def smi_link(inventory: Inventory, root: str) -> list[Link]:
    smi = inventory.wsl.smi
    return [Link("/usr/bin/nvidia-smi", below(root, smi))] if smi else []


def wsl_links(inventory: Inventory, where: Places) -> list[Link]:
    libraries = inventory.wsl.libraries
    return [*smi_link(inventory, where.root), *library_links(libraries, where), *soname_links(libraries, where)]


LINKS: dict[str, Callable[[Inventory, Places], list[Link]]] = {
    "nvml": lambda inventory, where: driver.links(inventory.driver, where, True),
    "management": lambda inventory, where: driver.links(inventory.driver, where, False),
    "csv": tegra.links,
    "wsl": wsl_links,
}
"""Modes whose specs have hooks."""
PARTS = {"nvml": nvml, "management": management, "imex": imex, "csv": csv, "wsl": wsl}
