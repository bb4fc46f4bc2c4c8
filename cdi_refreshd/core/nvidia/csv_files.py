"""The CSV files in which a Tegra system lists what its containers need."""

import fnmatch
import re
from collections.abc import Iterable
from typing import NamedTuple

TYPES = ("dev", "dir", "lib", "sym")
GPU_NODE = re.compile(r"/dev/(nvidia\d+|nvgpu/.+|nvhost-(\w+-)*gpu)", re.ASCII)
"""Of an integrated GPU, whichever driver it has. The other nodes of a Tegra, such as nvmap, are of no use alone."""
_GPU_NODES = ("/dev/nvidia", "/dev/nvgpu/", "/dev/nvhost-")


def names_gpu(entry: str) -> bool:
    """Whether a `dev` entry means a node of the GPU, or with its wildcards may mean one."""
    literal = re.split(r"[*?\[]", entry, maxsplit=1)[0]
    wild = literal != entry and any(name.startswith(literal) or literal.startswith(name) for name in _GPU_NODES)
    return wild or GPU_NODE.fullmatch(entry) is not None


class Entries(NamedTuple):
    dev: tuple[str, ...] = ()
    dir: tuple[str, ...] = ()
    lib: tuple[str, ...] = ()
    sym: tuple[str, ...] = ()


def parse(texts: Iterable[str]) -> Entries:
    """Lines of `type,path`. Lines of any other form or type are comments, as for NVIDIA's tools."""
    found: dict[str, dict[str, None]] = {kind: {} for kind in TYPES}
    for text in texts:
        for line in text.splitlines():
            kind, comma, path = (part.strip() for part in line.partition(","))
            if comma and kind in found and path:
                found[kind]["/" + path.lstrip("/")] = None  # never relative to the working directory
    return Entries(*(tuple(found[kind]) for kind in TYPES))


def ignored(path: str, patterns: Iterable[str]) -> bool:
    """Whether a pattern matches; a leading `**/` means: match only the last part of the path."""
    for pattern in patterns:
        if pattern.startswith("**/"):
            if fnmatch.fnmatchcase(path.rpartition("/")[2], pattern[3:]):
                return True
        elif fnmatch.fnmatchcase(path, pattern) and path.count("/") == pattern.count("/"):
            return True
    return False
