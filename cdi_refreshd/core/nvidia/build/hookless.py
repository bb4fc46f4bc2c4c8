"""What hooks would do, expressed as mounts and device nodes: no program runs at the start of a container.

A link becomes a mount of its target file. Nothing is put below the container's /etc nor inside its
/proc, which runc refuses, and LD_LIBRARY_PATH is left alone: a variable of a spec replaces the image's own.
"""

from collections.abc import Container, Iterable, Mapping

from cdi_refreshd.core.cdi.model import ContainerEdits, Mount
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build.edits import below, device_node
from cdi_refreshd.core.nvidia.build.places import FEDORAS, is_loaders, once
from cdi_refreshd.core.nvidia.inventory import Link, Node
from cdi_refreshd.core.paths import joined

LINKS_AT_MOST = 40
TELL_VERSION = ("libcuda.so.", "libnvidia-ml.so.")
"""Libraries whose versioned file names show which driver a container has."""
CUDA_NAMES = ("libcuda.so", "libcuda.so.1")


def completed(edits: ContainerEdits, links: Iterable[Link]) -> ContainerEdits:
    """The edits with a mount for each link, and a variable for programs that read the loader's cache."""
    ends = targets(links)
    mounts = {mount.container_path: mount for mount in once(edits.mounts)}
    mounts |= link_mounts(mounts, ends)
    for path in (*spare_names(mounts, ends), *into_directories(mounts)):
        del mounts[path]
    # Triton and torch.compile read `ldconfig -p`, unless this is set.
    has_cuda = all(f"{FEDORAS}/{name}" in mounts for name in CUDA_NAMES)
    env = (*edits.env, *((f"TRITON_LIBCUDA_PATH={FEDORAS}",) if has_cuda else ()))
    return edits._replace(mounts=tuple(mounts.values()), env=env)


def targets(links: Iterable[Link]) -> dict[str, str]:
    """Link path -> the path that it leads to."""
    found = {}
    for path, target in links:
        directory = path.rpartition("/")[0]
        found[path] = joined(directory, target) if "/" in target or target == ".." else f"{directory}/{target}"
    return found


def link_mounts(files: Mapping[str, Mount], ends: Mapping[str, str]) -> dict[str, Mount]:
    """Of the file at each link's end, all by their paths in the container. A link that ends elsewhere has none."""
    made = {}
    for path in ends:
        end = path
        for _ in range(LINKS_AT_MOST):
            if end in files or end not in ends:
                break
            end = ends[end]
        if path not in files and end in files:
            made[path] = Mount(files[end].host_path, path, files[end].options)
    return made


def spare_names(mounts: Mapping[str, Mount], ends: Mapping[str, str]) -> set[str]:
    """Versioned names in loader directories of libraries that are also mounted under a link's name.

    Programs and libraries ask for the soname, which a link has. Each mount costs a container's start some time.
    """
    linked = {end for path, end in ends.items() if path in mounts and end in mounts}
    real = {path for path in linked if mounts[path].host_path.endswith(f"/{name_of(path)}")}
    return {path for path in real if is_loaders(path) and not name_of(path).startswith(TELL_VERSION)}


def into_directories(mounts: Mapping[str, Mount]) -> list[str]:
    """Paths below a directory that is mounted and that, on the host, has something else there, or nothing.

    A container runtime makes the mount point where it is missing: in the host's own directory.
    """
    found = []
    above = {folder: mounted_above(folder, mounts) for folder in {path.rpartition("/")[0] for path in mounts}}
    for path, mount in mounts.items():
        directory = above[path.rpartition("/")[0]]
        if directory and mount.host_path != mounts[directory].host_path + path[len(directory) :]:
            found.append(path)
    return found


def mounted_above(folder: str, mounts: Container[str]) -> str:
    """The folder itself, or the nearest above it, that is mounted as a whole; "" where none is."""
    while folder and folder not in mounts:
        folder = folder.rpartition("/")[0]
    return folder


def name_of(path: str) -> str:
    return path.rpartition("/")[2]


def without_end(edits: ContainerEdits, links: Iterable[Link]) -> list[str]:
    """Paths of the links that a finished spec lacks."""
    there = {mount.container_path for mount in edits.mounts}
    paths = dict.fromkeys(link.path for link in links)
    return [path for path in paths if not mounted_above(path, there)]


def by_path_nodes(nodes: Iterable[Node], links: Iterable[Link], choices: Choices) -> ContainerEdits:
    """Links of /dev/dri/by-path as nodes of those paths, with the numbers of the nodes that they lead to."""
    there = {node.path: node for node in nodes}
    made = []
    for link in links:
        node = there.get(joined(link.path.rpartition("/")[0], link.target))
        if node:
            path = below(choices.dev_root, link.path)
            made.append(device_node(node, choices)._replace(path=path, host_path=node.path))
    return ContainerEdits(device_nodes=tuple(made))
