"""What a probe read, for a bug report: names, sizes, link targets and numbers; contents only of the driver's procfs.

Nothing here opens a device or wakes a GPU.
"""

import os
import stat
from collections.abc import Iterator
from typing import Any

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks.item_rules import paths
from cdi_refreshd.core.checks.subject import subject
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.formats import globs
from cdi_refreshd.core.nvidia import driver_paths
from cdi_refreshd.core.nvidia.inventory import Inventory, Library
from cdi_refreshd.core.refresh import watch_list
from cdi_refreshd.host import char_devices, path_entries, pci, procfs, regular_file
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe import files
from cdi_refreshd.probe.driver_libraries import versioned
from cdi_refreshd.probe.libraries import Libraries

PROCFS = ("/proc/driver/nvidia", "/proc/driver/nvidia-caps")
PROCFS_NAMES = ("version", "params", "information", "access", "mig-minors")
"""Informative files of the driver; the others are for its support, or act when written."""
TEXT_AT_MOST_BYTES, FILES_AT_MOST = 1 << 16, 20_000
BY_PATH = "/dev/dri/by-path"
KINDS = {stat.S_IFREG: "file", stat.S_IFLNK: "link", stat.S_IFDIR: "directory", stat.S_IFCHR: "node"}
KINDS |= {stat.S_IFSOCK: "socket", stat.S_IFBLK: "block device", stat.S_IFIFO: "FIFO"}


def survey(choices: Choices, inventory: Inventory, spec: Spec | None) -> dict[str, Any]:
    tree = Tree(choices.driver_root)
    libraries = Libraries(tree, choices.library_search_paths)
    walked(tree, libraries, choices, inventory)
    explicit = "enable-explicit-driver-libraries" in choices.feature_flags
    ours = (*watch_list.LIBRARIES, *(watch_list.EXPLICIT_LIBRARIES if explicit else ()))
    examined = {
        *(path for path in tree.seen() if is_ours(path, ours)),
        *device_paths(choices),
        *named_in(inventory),
        *spec_directories(),
    }
    examined |= {path for name in (driver_paths.HOOK, "nvidia-ctk") for path in programs(name)}
    examined |= set(library_files(libraries))
    if spec:
        examined |= paths(subject("", spec))
    cache = tree.host(driver_paths.LOADER_CACHE)
    return {
        "files": {path: seen for path in sorted(examined)[:FILES_AT_MOST] if (seen := entry(path, tree))},
        "loader_cache": libraries.cached(*watch_list.LIBRARIES) if os.path.exists(cache) else None,
        "pci": [one._asdict() | {"drm": pci.drm_names(one.address)} for one in pci.functions()],
        "modules": [
            name for name in path_entries.names("/sys/module") if "nvidia" in name or name in ("nvgpu", "dxgkrnl")
        ],
        "firmware_path": procfs.firmware_path(),
        "procfs": procfs_texts(),
    }


def is_ours(path: str, patterns: tuple[str, ...]) -> bool:
    """The loader's cache leads past libraries of others, which do not belong into a report."""
    name = path.rpartition("/")[2]
    return ".so" not in name or any(globs.matches(name, pattern) for pattern in patterns)


def walked(tree: Tree, libraries: Libraries, choices: Choices, inventory: Inventory) -> None:
    """The probe's own walk through the driver's files, without NVML: the tree notes every path."""
    driver = versioned(libraries, inventory.driver.version, inventory.presence.module_version, choices)
    files.beside(tree, driver, choices, procfs.machine(), True)
    if driver.version:
        files.firmware(tree, driver.version, procfs.release(), procfs.firmware_path())


def entry(path: str, tree: Tree) -> dict[str, Any] | None:
    """None where there is nothing."""
    try:
        seen = os.lstat(path)
        kind = KINDS.get(stat.S_IFMT(seen.st_mode), "other")
        found: dict[str, Any] = {"kind": kind, "mode": f"{stat.S_IMODE(seen.st_mode):04o}"}
        found |= {"uid": seen.st_uid, "gid": seen.st_gid} if seen.st_uid or seen.st_gid else {}
        if kind == "link":
            return {"kind": kind, "target": os.readlink(path)}
        if kind in ("node", "block device"):
            return found | {"major": os.major(seen.st_rdev), "minor": os.minor(seen.st_rdev)}
    except (OSError, ValueError):
        return None
    if kind == "file":
        found["size_bytes"] = seen.st_size
        if ".so" in path.rpartition("/")[2] and (image := tree.library(path).image):
            found["library"] = image._asdict()
    return found


def device_paths(choices: Choices) -> Iterator[str]:
    root = choices.dev_root.rstrip("/")
    patterns = {*watch_list.NODES, *(pattern for some in driver_paths.NODES.values() for pattern in some)}
    for pattern in patterns:
        yield from (node.path for node in char_devices.matching(root + pattern))
    yield from (f"{root}{BY_PATH}/{name}" for name in path_entries.names(root + BY_PATH))


def named_in(inventory: Inventory) -> Iterator[str]:
    """Paths that the child found in ways of its own: by csv files, in Windows' store."""
    tegra, wsl = inventory.tegra, inventory.wsl
    for library in (*tegra.libraries, *tegra.symlinks, *inventory.driver.libraries, *wsl.libraries):
        yield from beside(library)
    yield from (link.path for link in tegra.chains)
    yield from (*tegra.directories, *tegra.files, *wsl.files, *inventory.files)


def beside(library: Library) -> Iterator[str]:
    """The file, and the links beside it that a spec may name."""
    directory, _, name = library.path.rpartition("/")
    names = (name, library.soname, library.soname.rpartition(".so")[0] + ".so") if library.soname else (name,)
    yield from (f"{directory}/{one}" for one in names)


def library_files(libraries: Libraries) -> Iterator[str]:
    """Of the driver's, whatever their version."""
    for directory in libraries.directories():
        yield from (path for path in libraries.tree.find([directory], *watch_list.LIBRARIES) if directory != "/")


def programs(name: str) -> Iterator[str]:
    return (f"{directory}/{name}" for directory in driver_paths.PROGRAM_DIRS)


def spec_directories() -> Iterator[str]:
    for directory in SPEC_DIRECTORIES:
        yield from (f"{directory}/{name}" for name in path_entries.names(directory))


def procfs_texts() -> dict[str, str]:
    found = {}
    for top in PROCFS:
        for directory, _, names in os.walk(top):
            for name in sorted(names):
                if name in PROCFS_NAMES and (text := kernel_text(f"{directory}/{name}")) is not None:
                    found[f"{directory}/{name}"] = text
    return found


def kernel_text(path: str) -> str | None:
    try:
        return regular_file.start(path, TEXT_AT_MOST_BYTES).decode(errors="replace")
    except (OSError, Fault):
        return None
