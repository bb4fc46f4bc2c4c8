"""Which directories to watch, and for which names: everything whose change may change the spec, and nothing else."""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia import driver_paths
from cdi_refreshd.core.refresh.event import Kind

LEFTOVERS = ("nvidia*.yaml", "nvidia*.json")
"""Specs of NVIDIA's own generator. On some hosts other vendors' specs come and go with every container."""
OF_OTHER_NAMES = (name for name in (*driver_paths.OWN_VERSION, *driver_paths.OTHER_NAMES) if "nvidia" not in name)
LIBRARIES = (*driver_paths.LIBRARIES, *OF_OTHER_NAMES)
"""Also libraries of others that the driver uses; an upgrade of anything else is not a reason to probe."""
EXPLICIT_LIBRARIES = tuple(f"{name}*" for name in driver_paths.EXPLICIT_LIBRARIES)
NODES = (
    "/dev/nvidia*",
    "/dev/dxg",
    "/dev/gdrdrv",
    "/dev/nvgpu*",
    "/dev/nvhost*",
    "/dev/nvmap",
    "/dev/nvgpu/*",
    "/dev/nvgpu/igpu0/*",
    "/dev/nvidia-caps/nvidia-cap*",
    f"{driver_paths.CHANNEL_DIR}/channel*",
    "/dev/dri/card*",
    "/dev/dri/renderD*",
    "/dev/dri/by-path/*",
)
WSL = ("/usr/lib/wsl/lib/libdxcore.so", "/usr/lib/wsl/drivers/nv*")
"""Windows' store of all its drivers. Changes in it make no events; the mount of the store does."""
NONE, CLOSED, EACH = "none", "closed", "each"


class Watch(NamedTuple):
    directory: str
    names: tuple[str, ...] = ()
    """Shell patterns; () for every name."""
    kind: Kind = Kind.NODE
    writes: str = CLOSED
    """`none` for nodes and sockets: every CUDA program closes a node that it had open for writing when it ends, and so
    does our own probe. `closed` when a writer is done. `each` also without a close: truncate(2) opens nothing."""


def watches(
    choices: Choices, output_path: str, config_dirs: Iterable[str] = (), library_dirs: Iterable[str] = ()
) -> tuple[Watch, ...]:
    """One for each directory and kind, the output's first.

    `config_dirs` are those of our own configuration. `library_dirs` are further host paths: where the last probe
    found libraries through the loader's cache.
    """
    merged: dict[tuple[str, Kind, str], dict[str, None]] = {}
    for watch in _all(choices, output_path, tuple(config_dirs), tuple(library_dirs)):
        merged.setdefault((watch.directory, watch.kind, watch.writes), {}).update(dict.fromkeys(watch.names))
    return tuple(Watch(directory, tuple(names), kind, writes) for (directory, kind, writes), names in merged.items())


def _all(
    choices: Choices, output_path: str, config_dirs: tuple[str, ...], library_dirs: tuple[str, ...]
) -> Iterator[Watch]:
    yield from _specs(output_path)
    yield from (Watch(directory, ("*.conf",), Kind.CONFIGURATION) for directory in config_dirs)
    dev_root = choices.dev_root.rstrip("/")
    for pattern in (*NODES, *driver_paths.NODES.get(choices.mode, ())):
        yield _file(dev_root + pattern, Kind.NODE, NONE)
    root = choices.driver_root.rstrip("/")
    yield from (
        _file(f"{root}{base}/{name}", Kind.SOCKET, NONE)
        for base in driver_paths.SOCKET_DIRS
        for name in driver_paths.SOCKETS
    )
    yield _file(root + driver_paths.LOADER_CACHE, Kind.LIBRARY)
    yield from _libraries(choices, root, library_dirs)
    for path in (*driver_paths.FIRMWARE_DIRS, *driver_paths.XORG_DIRS):
        modules = driver_paths.XORG_MODULES if path in driver_paths.XORG_DIRS else ()
        yield from (Watch(f"{root}{path}/{module}", ("*nvidia*",), Kind.LIBRARY) for module in modules)
        if not modules:
            yield Watch(f"{root}{path}/nvidia", (), Kind.FIRMWARE)
    yield from _configs(choices, root)
    programs = (*driver_paths.PROGRAMS, *driver_paths.GRAPHICS_PROGRAMS)
    places = (*choices.program_search_paths, *(root + directory for directory in driver_paths.PROGRAM_DIRS))
    yield from (Watch(directory, programs, Kind.PROGRAM) for directory in places)
    yield from _hooks(choices)
    if choices.mode in ("csv", "auto"):
        yield from (_file(path, Kind.CSV_FILE) for path in choices.csv_files)
        yield _file(root + driver_paths.TEGRA_RELEASE, Kind.CSV_FILE)
    if choices.mode in ("wsl", "auto"):
        yield from (_file(root + path, Kind.DRIVER_STORE) for path in WSL)


def _file(path: str, kind: Kind, writes: str = CLOSED) -> Watch:
    directory, _, name = path.rpartition("/")
    return Watch(directory or "/", (name,), kind, writes)


def _specs(output_path: str) -> Iterator[Watch]:
    directory, _, name = output_path.rpartition("/")
    stem, _, ending = (re.sub(r"([*?[])", r"[\1]", part) for part in name.rpartition("."))
    own = (f"{stem}.{ending}", f"{stem}.*.{ending}")  # coherent GPUs have files of their own
    yield Watch(directory or "/", (*own, *(LEFTOVERS if directory in SPEC_DIRECTORIES else ())), Kind.SPEC, EACH)
    yield from (Watch(other, LEFTOVERS, Kind.SPEC, EACH) for other in SPEC_DIRECTORIES if other != directory)


def _libraries(choices: Choices, root: str, library_dirs: tuple[str, ...]) -> Iterator[Watch]:
    explicit = "enable-explicit-driver-libraries" in choices.feature_flags
    names = (*LIBRARIES, *EXPLICIT_LIBRARIES) if explicit else LIBRARIES
    narrow = driver_paths.LIBRARY_DIRS_32 if "enable-32bit-libraries" in choices.feature_flags else ()
    usual = tuple(root + path for path in (*driver_paths.LIBRARY_DIRS, *narrow) if path != "/")
    for directory in (*(choices.library_search_paths or usual), *library_dirs):
        yield Watch(directory, names, Kind.LIBRARY)
        for below in ("vdpau", "nvidia/xorg"):
            yield Watch(f"{directory}/{below}", ("*nvidia*",), Kind.LIBRARY)


def _configs(choices: Choices, root: str) -> Iterator[Watch]:
    directories = choices.config_search_paths or tuple(root + path for path in driver_paths.CONFIG_DIRS)
    for directory in directories:
        yield from (_file(f"{directory}/{name}", Kind.DRIVER_FILE) for _, name in driver_paths.CONFIGS)
    for directory in (*directories, root):
        for name in driver_paths.VULKAN:
            below = name.rpartition("/")[0]
            yield Watch(f"{directory}/vulkan/{below}", ("nvidia_*.json",), Kind.DRIVER_FILE)


def _hooks(choices: Choices) -> Iterator[Watch]:
    """The toolkit's programs are the host's own, whatever the driver root."""
    wanted = choices.hook_path or driver_paths.HOOK
    if wanted.startswith("/"):
        yield _file(wanted, Kind.HOOK)
        return
    for directory in driver_paths.PROGRAM_DIRS:
        yield Watch(choices.prefix + directory, (wanted, "nvidia-ctk"), Kind.HOOK)
