"""Links by which programs in a container find the driver's files, made by hooks or as mounts."""

from collections.abc import Iterable, Iterator

from cdi_refreshd.core.nvidia.build.edits import below
from cdi_refreshd.core.nvidia.build.places import Places
from cdi_refreshd.core.nvidia.inventory import Driver, Library, Link


def matches(name: str, stem: str) -> bool:
    """As the shell pattern `stem*.*`."""
    return name.startswith(stem) and "." in name[len(stem) :]


def library_links(libraries: Iterable[Library], places: Places) -> Iterator[Link]:
    """Those that the host has beside its libraries, and some in any case."""
    for library in libraries:
        if beside := _beside(library):
            for directory in places.directories(library.path, library.bits):
                for name, target in beside:
                    yield Link(f"{directory}/{name}", target)


def _beside(library: Library) -> list[tuple[str, str]]:
    """Names of links in the library's directory, and their targets."""
    name, found = library.path.rpartition("/")[2], []
    if matches(name, "libcuda.so."):
        found.append(("libcuda.so", "libcuda.so.1"))
    if matches(name, "libGLX_nvidia.so."):
        found.append(("libGLX_indirect.so.0", name))
    if matches(name, "libnvidia-opticalflow.so."):
        found.append(("libnvidia-opticalflow.so", "libnvidia-opticalflow.so.1"))
    if library.soname_is_link:
        found.append((library.soname, name))
    if library.plain_is_link:
        stem, dot_so, _ = library.soname.rpartition(".so")
        found.append((f"{stem}{dot_so}", library.soname))
    return found


def graphics_links(driver: Driver, places: Places) -> list[Link]:
    found = []
    for path in driver.allocator:
        for directory in places.directories(path):
            found.append(Link(f"{directory}/gbm/nvidia-drm_gbm.so", "../libnvidia-allocator.so.1"))
    for path in driver.vulkan_producer:
        for directory in places.directories(path):
            found.append(Link(f"{directory}/libnvidia-vulkan-producer.so", path.rpartition("/")[2]))
    for path in driver.xorg:
        directory, _, name = below(places.root, path).rpartition("/")
        if name.startswith("libglxserver_nvidia.so."):
            found.append(Link(f"{directory}/libglxserver_nvidia.so", name))
    return found


def soname_links(libraries: Iterable[Library], places: Places) -> list[Link]:
    """Those that ldconfig makes in a container, whether the host has them or not."""
    found = []
    for library in libraries:
        name = library.path.rpartition("/")[2]
        # A soname with a whole version is that of a file which was renamed to another one.
        if library.soname not in ("", name) and "." not in library.soname.rpartition(".so.")[2]:
            directories = places.directories(library.path, library.bits)
            found += [Link(f"{directory}/{library.soname}", name) for directory in directories]
    return found
