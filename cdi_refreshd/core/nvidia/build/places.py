"""Where in a container a library of the host is put: by its own path, or in directories that loaders search.

A container is often of another distribution than its host. Its loader has a list of default directories:
/usr/lib/TRIPLET in the Debian family, /usr/lib64 in the Fedora family; what is in both is found without the
loader's cache, which only a hook could rebuild. Source: glibc's configuration in both families.
"""

import functools
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Mount
from cdi_refreshd.core.nvidia.build.edits import READ_ONLY, below

FAMILIES = {
    "x86_64": (("/usr/lib/x86_64-linux-gnu", "/usr/lib64"), ("/usr/lib/i386-linux-gnu", "/usr/lib")),
    "aarch64": (("/usr/lib/aarch64-linux-gnu", "/usr/lib64"), ("/usr/lib/arm-linux-gnueabihf", "/usr/lib")),
}
"""uname's name of the processor -> for 64 and for 32 bits, Debian's directory and Fedora's."""
DEFAULT_DIRECTORIES = frozenset(path for classes in FAMILIES.values() for of_class in classes for path in of_class)
FEDORAS = "/usr/lib64"
SUBDIRECTORIES = ("/vdpau",)
"""Of a library directory, where programs look for some libraries by path."""


class Places(NamedTuple):
    root: str
    """The driver root."""
    machine: str = "x86_64"
    every_loader: bool = False
    """Libraries are put into the default directories of both families, besides their own."""

    def directories(self, path: str, bits: int = 64) -> tuple[str, ...]:
        """In the container, of a library by its host path."""
        own = below(self.root, path).rpartition("/")[0]
        return _every_loaders(own, self.machine, bits) if self.every_loader else (own,)

    def mounts(self, path: str, bits: int = 64, host_path: str = "") -> Iterator[Mount]:
        """`host_path` where the host finds the file by another one."""
        name = path.rpartition("/")[2]
        for directory in self.directories(path, bits):
            yield Mount(host_path or path, f"{directory}/{name}", READ_ONLY)


@functools.lru_cache(maxsize=64)
def _every_loaders(own: str, machine: str, bits: int) -> tuple[str, ...]:
    below_it = next((name for name in SUBDIRECTORIES if own.endswith(name)), "")
    wide, narrow = FAMILIES.get(machine, FAMILIES["x86_64"])
    theirs, others = (wide, narrow) if bits == 64 else (narrow, wide)
    both = tuple(directory + below_it for directory in theirs)
    # Arch has 64-bit libraries in /usr/lib, which Fedora's 32-bit loader searches; its own gets there by /usr/lib64.
    return both if own.removesuffix(below_it) in others else tuple(dict.fromkeys((*both, own)))


def is_loaders(path: str) -> bool:
    """Whether a file in a container is in a default directory of some loader."""
    return path.rpartition("/")[0] in DEFAULT_DIRECTORIES


def once(mounts: Iterable[Mount]) -> tuple[Mount, ...]:
    """The first of several mounts for one path in the container: which one a runtime takes is undefined."""
    found: dict[str, Mount] = {}
    for item in mounts:
        found.setdefault(item.container_path, item)
    return tuple(found.values())
