"""Where the driver's libraries are: the usual directories, those that its links lead to, and the loader's cache."""

from collections.abc import Iterable, Iterator

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.formats import globs, ld_so_cache
from cdi_refreshd.core.nvidia.driver_paths import LIBRARY_DIRS, LIBRARY_DIRS_32, LOADER_CACHE
from cdi_refreshd.core.nvidia.inventory import Search
from cdi_refreshd.host.driver_root import Tree

CUDA, NVML = "libcuda.so.1", "libnvidia-ml.so.1"

OURS = ("libnvidia", "libcuda", "libnv", "libGL", "libEGL", "libOpenCL", "libvdpau", "libvulkan")
"""Prefixes of names that lead to NVIDIA's libraries on some distributions."""


class Libraries:
    """Finds libraries by name, in all places: one place does not hide another.

    Many hosts have a leftover file of the driver in a usual directory, and the driver itself elsewhere. Given search
    paths are the only places. With `bits` 32 the directories and the cache's entries are those of
    32-bit libraries.
    """

    def __init__(self, tree: Tree, search_paths: tuple[str, ...] = (), bits: int = 64) -> None:
        self.tree = tree
        self.bits = bits
        usual = LIBRARY_DIRS if bits == 64 else LIBRARY_DIRS_32
        named = search_paths or tuple(tree.host(path) for path in usual)
        self.usual = self._each_once(named)
        self._named = frozenset(named)
        self.uses_cache = not search_paths
        self._cache_trouble = ""
        self._damage = ""
        self._directories: tuple[str, ...] | None = None
        self._cached: dict[str, list[str]] | None = None
        self._cached_names: list[str] = []
        self._order: dict[str, int] = {}

    def find(self, pattern: str) -> list[str]:
        """Real paths, each once: those of the directories in their order, then the others of the cache."""
        return self.tree.real((*self.tree.find(self.directories(), pattern), *self._in_cache(pattern)))

    def nvml(self, module_version: str = "") -> str:
        """The file to open, "" if there is none; if there are several, the one of the module's version."""
        found = self.find(NVML)
        fitting = (path for path in found if module_version and path.endswith(f".so.{module_version}"))
        return next(fitting, next(iter(found), ""))

    def directories(self) -> tuple[str, ...]:
        """The usual ones, and the real ones of libcuda.so.1 and libnvidia-ml.so.1, by whichever link."""
        if self._directories is None:
            self._directories = self.usual
            if self.uses_cache:
                led_to = [path.rpartition("/")[0] for name in (CUDA, NVML) for path in self.find(name)]
                self._directories = self._each_once((*self.usual, *led_to))
        return self._directories

    def searched(self) -> Search:
        """The places that were searched, for messages."""
        root = self.tree.host("/")
        there = tuple(path for path in self.usual if path != root and self.tree.is_directory(path))
        self._cache()
        cache = self.tree.host(LOADER_CACHE) if self.uses_cache else ""
        if self._damage:
            self.tree.note(Finding("degraded", cache, self._damage, "run ldconfig"))
        return Search(there, cache, self._cache_trouble)

    def cached(self, *patterns: str) -> list[str]:
        """The entries of the loader's cache with such names, in its order."""
        self._cache()
        return [path for path in self._order if any(globs.matches(path.rpartition("/")[2], one) for one in patterns)]

    def _each_once(self, directories: Iterable[str]) -> tuple[str, ...]:
        """Each directory once, under its first name: /lib is a link to /usr/lib nearly everywhere."""
        once: dict[str, str] = {}
        for path in directories:
            once.setdefault(self.tree.resolve(path), path)
        return tuple(once.values())

    def _in_cache(self, pattern: str) -> list[str]:
        known = self._cache()
        found = {path for name in globs.matching(self._cached_names, (pattern,)) for path in known[name]}
        return [path for path in sorted(found, key=self._order.__getitem__) if self.tree.is_file(path)]

    def _cache(self) -> dict[str, list[str]]:
        """The names that a pattern may match, sorted, with their paths.

        A host lists thousands. Of those in the usual directories, which are searched by name, only links with names
        like NVIDIA's are followed: nothing else there can lead to what was not found.
        """
        if self._cached is None:
            self._cached = {}
            names: dict[str, list[str]] = {}
            for path in map(self.tree.host, self._listed()):
                if self._may_be_ours(path):
                    self._order.setdefault(path, len(self._order))
                    for name in self._names(path):
                        names.setdefault(name, []).append(path)
            self._cached, self._cached_names = names, sorted(names)
        return self._cached

    def _listed(self) -> tuple[str, ...]:
        path = self.tree.host(LOADER_CACHE)
        raw = self.tree.read(path) if self.uses_cache else None
        if raw is None:
            self._cache_trouble = "is missing" if self.uses_cache else ""
            return ()
        try:
            return ld_so_cache.libraries(raw, self.bits)
        except ValueError as error:
            self._cache_trouble = "is damaged"
            self._damage = f"is not a readable library cache ({error})"
            return ()

    def _may_be_ours(self, path: str) -> bool:
        directory, _, name = path.rpartition("/")
        return directory not in self._named or name.startswith(OURS)

    def _names(self, path: str) -> Iterator[str]:
        """The names of the path and of every link target on the way: a pattern may match any of them."""
        for _ in LIBRARY_DIRS:
            yield path.rpartition("/")[2]
            if not self.tree.is_link(path):
                return
            text = self.tree.link_text(path)
            path = self.tree.host(text) if text.startswith("/") else f"{path.rpartition('/')[0]}/{text}"
