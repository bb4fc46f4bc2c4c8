"""The driver's files besides its libraries: configuration, firmware, sockets, programs, Xorg's modules."""

from collections.abc import Iterable

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia.driver_paths import (
    CONFIG_DIRS,
    CONFIGS,
    FIRMWARE,
    FIRMWARE_DIRS,
    GRAPHICS_PROGRAMS,
    MPS,
    PROGRAM_DIRS,
    PROGRAMS,
    SMI,
    SOCKET_DIRS,
    SOCKETS,
    VULKAN,
    XORG_DIRS,
    XORG_MODULES,
)
from cdi_refreshd.core.nvidia.inventory import Config, Driver
from cdi_refreshd.host.driver_root import Tree


def beside(tree: Tree, driver: Driver, choices: Choices, machine: str, ipc: bool) -> Driver:
    """The driver with everything but firmware filled in. `machine` is uname's name of the processor."""
    found = programs(tree, PROGRAMS, choices.program_search_paths)
    if driver.library_dirs and not any(path.endswith(f"/{SMI}") for path in found):
        fact = f"is in none of {', '.join((*choices.program_search_paths, *map(tree.host, PROGRAM_DIRS)))}"
        tree.note(Finding("degraded", SMI, fact, "install it, or give --program-search-path"))
    return driver._replace(
        xorg=xorg(tree, driver),
        configs=configs(tree, choices.config_search_paths, machine),
        sockets=sockets(tree) if ipc else (),
        binaries=found,
        graphics_binaries=programs(tree, GRAPHICS_PROGRAMS, choices.program_search_paths),
    )


def program(tree: Tree, name: str, search_paths: tuple[str, ...] = ()) -> str:
    """In the search paths, which are the host's own, else in the usual directories below the driver root."""
    places = (*search_paths, *map(tree.host, PROGRAM_DIRS))
    return tree.first((f"{directory}/{name}" for directory in places), tree.is_executable)


def programs(tree: Tree, names: Iterable[str], search_paths: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(path for name in names if (path := program(tree, name, search_paths)))


def sockets(tree: Tree) -> tuple[str, ...]:
    found = [tree.first(tree.host(f"{directory}/{name}") for directory in SOCKET_DIRS) for name in SOCKETS]
    mps = tree.host(MPS)
    why = tree.untrusted_socket(mps)
    if why:
        # Any user may create and remove it there: that is only worth knowing, and degrades nothing.
        tree.note(Finding("info", mps, f"{why}, so it is left out"))
    return tuple(filter(None, (*found, "" if why is None or why else mps)))


def configs(tree: Tree, search_paths: tuple[str, ...], machine: str) -> tuple[Config, ...]:
    directories = search_paths or tuple(tree.host(path) for path in CONFIG_DIRS)
    architecture = {"x86_64": "x86_64", "aarch64": "aarch64"}.get(machine)
    vulkan = (*VULKAN, f"icd.d/nvidia_icd.{architecture}.json") if architecture else VULKAN
    found = []
    for base, name in CONFIGS:
        found.append(Config(tree.first(f"{directory}/{name}" for directory in directories), f"{base}/{name}"))
    for name in vulkan:
        places = (*directories, tree.host(""))
        found.append(Config(tree.first(f"{d}/vulkan/{name}" for d in places), f"/etc/vulkan/{name}"))
    return tuple(config._replace(path=tree.astray(config.path) or config.path) for config in found if config.path)


def firmware(tree: Tree, version: str, release: str, administrators: str) -> tuple[str, ...]:
    """`administrators` is the directory that the firmware loader has from its administrator, `release` the kernel's."""
    usual = [place for directory in FIRMWARE_DIRS for place in (f"{directory}/{release}", directory)]
    places = [tree.within(administrators), *map(tree.host, usual)] if administrators else map(tree.host, usual)
    return tuple(tree.find((f"{place}/nvidia/{version}" for place in places), *FIRMWARE))


def xorg(tree: Tree, driver: Driver) -> tuple[str, ...]:
    fixed = [tree.host(f"{base}/{modules}") for base in XORG_DIRS for modules in XORG_MODULES]
    by_library = [
        [f"{directory}/nvidia/xorg", *(f"{directory}/xorg/{modules}" for modules in XORG_MODULES)]
        for directory in driver.library_dirs
    ]
    places = [*(by_library[0] if by_library else ()), *fixed, *(place for more in by_library[1:] for place in more)]
    names = ("nvidia_drv.so", f"libglxserver_nvidia.so.{driver.version}")
    return tuple(path for name in names if (path := tree.first(f"{place}/{name}" for place in places)))
