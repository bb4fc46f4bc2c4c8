"""The driver's libraries: where they are, which version, what links stand beside them."""

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.formats import globs, ld_so_cache
from cdi_refreshd.core.nvidia import driver_texts
from cdi_refreshd.core.nvidia.driver_paths import LIBRARY_DIRS, LOADER_CACHE
from cdi_refreshd.core.nvidia.inventory import Driver, Library
from cdi_refreshd.host.driver_root import Tree

EGL_PLATFORMS = tuple(
    f"libnvidia-egl-{name}.so.*.*" for name in ("gbm", "wayland", "wayland2", "xcb", "xlib")
)  # own version numbers, not the driver's
EXPLICIT = (
    *(f"lib{name}.so" for name in ("EGL", "GL", "GLESv1_CM", "GLESv2", "GLX", "GLdispatch", "OpenCL", "OpenGL")),
    *(f"libnvidia-{name}.so" for name in ("api", "egl-xcb", "egl-xlib")),
)
NVML = "libnvidia-ml.so.1"

OURS = ("libnvidia", "libcuda", "libnv", "libGL", "libEGL", "libOpenCL", "libvdpau", "libvulkan")
"""How names begin that lead to NVIDIA's libraries on some distribution."""


class Libraries:
    """Finds libraries by name: in the usual directories, else through the loader's cache."""

    def __init__(self, tree: Tree, search_paths: tuple[str, ...]) -> None:
        self.tree = tree
        directories = search_paths or tuple(tree.host(path) for path in LIBRARY_DIRS)
        # /lib is a link to /usr/lib nearly everywhere: each directory once, under the name that comes first.
        once: dict[str, str] = {}
        for path in directories:
            once.setdefault(tree.resolve(path), path)
        self.directories = tuple(once.values())
        self.uses_cache = not search_paths
        self._cached: tuple[tuple[str, tuple[str, ...]], ...] | None = None

    def find(self, pattern: str) -> list[str]:
        """Real paths, each once, in the order of the directories."""
        found = self.tree.real(self.tree.find(self.directories, pattern))
        return found or self._in_cache(pattern)

    def nvml(self) -> str:
        """The file to open, "" where there is none."""
        return next(iter(self.find(NVML)), "")

    def _in_cache(self, pattern: str) -> list[str]:
        found = [path for path, names in self._cache() if any(globs.matches(name, pattern) for name in names)]
        return [path for path in self.tree.real(found) if self.tree.is_file(path)]

    def _may_be_ours(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        return directory not in self.directories or name.startswith(OURS)

    def _names(self, path: str) -> tuple[str, ...]:
        return tuple(one.rpartition("/")[2] for one in self._chain(path))

    def _chain(self, path: str) -> list[str]:
        """The path and every link's target on the way: a pattern may match any of them."""
        chain = [path]
        while self.tree.is_link(chain[-1]) and len(chain) < len(LIBRARY_DIRS):
            text = self.tree.link_text(chain[-1])
            chain.append(self.tree.host(text) if text.startswith("/") else f"{chain[-1].rpartition('/')[0]}/{text}")
        return chain

    def _cache(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """Paths with the names by which a pattern may know them.

        A host lists thousands. Of those in directories that were searched by name already, only links with names
        like NVIDIA's are followed: nothing else there can lead to what was not found.
        """
        if self._cached is None:
            self._cached = ()
            path = self.tree.host(LOADER_CACHE)
            raw = self.tree.read(path) if self.uses_cache else None
            if raw is not None:
                try:
                    listed = ld_so_cache.libraries(raw)
                    paths = [self.tree.host(item) for item in listed if self._may_be_ours(self.tree.host(item))]
                    self._cached = tuple((path, self._names(path)) for path in paths)
                except ValueError as error:
                    fact = f"is not a library cache that can be read ({error})"
                    self.tree.findings.append(Finding("degraded", path, fact, "run ldconfig"))
        return self._cached


def versioned(libraries: Libraries, nvml_version: str, module_version: str, explicit: bool) -> Driver:
    """The driver's libraries by its version: NVML's word, else what the file names carry."""
    version = nvml_version or inferred_version(libraries, module_version)
    if not version:
        return Driver()
    if not (libraries.find(f"libcuda.so.{version}") or libraries.find(f"libnvidia-ml.so.{version}")):
        return Driver(version, inferred_version(libraries, module_version))
    tree = libraries.tree
    directories = tuple(dict.fromkeys(path.rpartition("/")[0] for path in libraries.find(f"lib*.so.{version}")))
    paths = list(tree.find((d + sub for d in directories for sub in ("", "/vdpau")), f"*.so.{version}"))
    paths += tree.find(directories, "libnvidia-nvvm70.so.*")
    if explicit:
        paths += (path for name in EXPLICIT for path in tree.find(directories, name))
    egl = dict.fromkeys(path for pattern in EGL_PLATFORMS for path in libraries.find(pattern))
    return Driver(
        version=version,
        library_dirs=directories,
        libraries=tuple(inspected(tree, path, version) for path in tree.real(paths)),
        graphics_libraries=tuple(Library(path) for path in egl),
        allocator=tuple(libraries.find(f"libnvidia-allocator.so.{version}")),
        vulkan_producer=tuple(libraries.find(f"libnvidia-vulkan-producer.so.{version}")),
    )


def inferred_version(libraries: Libraries, module_version: str) -> str:
    """Out of file names: the loaded module's version where there is a library of it, else the highest."""
    for stem in ("libcuda.so.", "libnvidia-ml.so."):
        names = [path.rpartition("/")[2] for path in libraries.find(stem + "*.*")]
        versions = {name[len(stem) :] for name in names if name.startswith(stem)}
        if module_version in versions:
            return module_version
        if highest := driver_texts.highest_version(versions):
            return highest
    return ""


def inspected(tree: Tree, path: str, version: str = "") -> Library:
    """The library with its soname and the links beside it."""
    directory, _, name = path.rpartition("/")
    soname = tree.soname(path) if name.count(".") > 1 else name
    if soname is None:
        tree.findings.append(Finding("info", path, "is no ELF library with one soname, so it gets no links"))
        return Library(path)
    soname = soname or name
    if is_of_another_version(soname, name, version):
        return Library(path, soname)
    return Library(
        path,
        soname,
        soname != name and tree.is_link(f"{directory}/{soname}"),
        plain_name(soname) not in ("", soname) and tree.is_link(f"{directory}/{plain_name(soname)}"),
    )


def is_of_another_version(soname: str, name: str, version: str) -> bool:
    """The file was renamed from one driver version to another; the old one is gone, and no container needs its name."""
    stem, _, told = soname.rpartition(".so.")
    return name == f"{stem}.so.{version}" and "." in told and told != version


def plain_name(soname: str) -> str:
    """The soname without what follows `.so`; "" where it has none."""
    stem, dot_so, _ = soname.rpartition(".so")
    return stem + dot_so
