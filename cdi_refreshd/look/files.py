"""What belongs to the driver beside its libraries: configuration, firmware, sockets, programs, Xorg's modules.

The directories are fixed. The caller's PATH, XDG_DATA_DIRS and working directory have no say: the daemon and a login
shell must see the same machine.
"""

from collections.abc import Iterable

from cdi_refreshd.core.inventory import Config, Driver
from cdi_refreshd.host.tree import Tree

PROGRAM_DIRS = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
PROGRAMS = (
    "nvidia-smi",
    "nvidia-debugdump",
    "nvidia-persistenced",
    "nvidia-cuda-mps-control",
    "nvidia-cuda-mps-server",
    "nvidia-imex",
    "nvidia-imex-ctl",
)
SOCKET_DIRS = ("/run", "/var/run")
SOCKETS = ("nvidia-persistenced/socket", "nvidia-fabricmanager/socket")
MPS = "/tmp/nvidia-mps"  # noqa: S108 - where NVIDIA's MPS daemon has its pipes
CONFIG_DIRS = ("/etc", "/usr/local/share", "/usr/share")
CONFIGS = (
    *(
        ("/usr/share", name)
        for name in (
            "glvnd/egl_vendor.d/10_nvidia.json",
            "egl/egl_external_platform.d/15_nvidia_gbm.json",
            "egl/egl_external_platform.d/10_nvidia_wayland.json",
            "egl/egl_external_platform.d/09_nvidia_wayland2.json",
            "egl/egl_external_platform.d/20_nvidia_xcb.json",
            "egl/egl_external_platform.d/20_nvidia_xlib.json",
            "nvidia/nvoptix.bin",
            "X11/xorg.conf.d/10-nvidia.conf",
            "X11/xorg.conf.d/nvidia-drm-outputclass.conf",
        )
    ),
    ("/etc", "OpenCL/vendors/nvidia.icd"),
)
VULKAN = ("icd.d/nvidia_icd.json", "icd.d/nvidia_layers.json", "implicit_layer.d/nvidia_layers.json")
XORG_DIRS = ("/usr/lib/xorg", "/usr/lib64/xorg", "/usr/X11R6/lib", "/usr/X11R6/lib64")
XORG_MODULES = ("modules/drivers", "modules/extensions", "modules/updates/drivers", "modules/updates/extensions")


def beside(tree: Tree, driver: Driver, config_search_paths: tuple[str, ...], machine: str, ipc: bool) -> Driver:
    """The driver with everything but firmware filled in. `machine` is uname's word for the processor."""
    return driver._replace(
        xorg=xorg(tree, driver),
        configs=configs(tree, config_search_paths, machine),
        sockets=sockets(tree) if ipc else (),
        binaries=programs(tree, PROGRAMS),
        graphics_binaries=programs(tree, ("nvidia-xconfig",)),
    )


def program(tree: Tree, name: str) -> str:
    return tree.first((tree.host(f"{directory}/{name}") for directory in PROGRAM_DIRS), tree.is_executable)


def programs(tree: Tree, names: Iterable[str]) -> tuple[str, ...]:
    return tuple(path for name in names if (path := program(tree, name)))


def sockets(tree: Tree) -> tuple[str, ...]:
    found = [tree.first(tree.host(f"{directory}/{name}") for directory in SOCKET_DIRS) for name in SOCKETS]
    return tuple(filter(None, (*found, tree.first([tree.host(MPS)]))))


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
    """`administrators` is the directory that the firmware loader was told, `release` the kernel's."""
    usual = (f"/lib/firmware/updates/{release}", "/lib/firmware/updates", f"/lib/firmware/{release}", "/lib/firmware")
    places = (administrators, *usual) if administrators else usual
    return tuple(tree.find((tree.host(f"{place}/nvidia/{version}") for place in places), "gsp*.bin"))


def xorg(tree: Tree, driver: Driver) -> tuple[str, ...]:
    fixed = [tree.host(f"{base}/{modules}") for base in XORG_DIRS for modules in XORG_MODULES]
    by_library = [
        [f"{directory}/nvidia/xorg", *(f"{directory}/xorg/{modules}" for modules in XORG_MODULES)]
        for directory in driver.library_dirs
    ]
    places = [*(by_library[0] if by_library else ()), *fixed, *(place for more in by_library[1:] for place in more)]
    names = ("nvidia_drv.so", f"libglxserver_nvidia.so.{driver.version}")
    return tuple(path for name in names if (path := tree.first(f"{place}/{name}" for place in places)))
