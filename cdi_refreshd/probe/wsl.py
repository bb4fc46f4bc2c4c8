"""WSL: the driver's files are in a store of Windows, and libdxcore.so knows where."""

import os

from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.inventory import Presence, Wsl
from cdi_refreshd.host import dxcore
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe.driver_libraries import inspected
from cdi_refreshd.probe.platforms import usual

STORES = "/usr/lib/wsl/drivers"
CUDA = "libcuda.so.1.1"
REQUIRED = (
    CUDA,
    "libcuda_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
    "libnvdxgdmal.so.1",
    "nvcubins.bin",
    "nvidia-smi",
)
MISSED = ("libnvidia-ptxjitcompiler.so.1", "libnvidia-ml.so.1", "nvidia-smi")
"""Every Windows driver has these. Whether it has the others depends on its version."""
OTHERS = ("*.so*", "*.bin", "*.dll")
THIS = "this is WSL (/dev/dxg is there)"


def library(tree: Tree) -> str:
    """The name to open libdxcore.so by: in another root its path, on the host the name that its loader knows.

    Many distributions' loaders do not know WSL's directory: then the path where WSL puts it.
    """
    found = tree.is_file(usual(tree))
    if tree.root or (found and not dxcore.can_open(dxcore.LIBRARY)):
        return usual(tree)
    return dxcore.LIBRARY


def probe(tree: Tree, seen: Presence) -> Wsl:
    """Raises Fault if CUDA's library is not found."""
    opened = library(tree)
    if opened == usual(tree) and not tree.is_file(opened):
        raise missing(opened, seen)
    if opened == dxcore.LIBRARY and not dxcore.can_open(opened):
        raise missing(usual(tree), seen)
    store = driver_store(tree, [tree.host(path) for path in dxcore.driver_stores(opened)])
    ours = tree.first([usual(tree)])
    required = [path for name in REQUIRED if tree.is_file(path := f"{store}/{name}")]
    others = [path for path in tree.find([store], *OTHERS) if path not in required]
    for name in MISSED:
        if f"{store}/{name}" not in required:
            tree.note(Finding("degraded", f"{store}/{name}", f"is missing, and {THIS}", "update the driver in Windows"))
    if not ours:
        fact = f"is missing, and {THIS}: CUDA does not start in containers"
        tree.note(Finding("degraded", usual(tree), fact, "update WSL: wsl --update"))
    return Wsl(
        libraries=tuple(inspected(tree, path) for path in (ours, *required) if ".so" in path),
        files=tuple(path for path in (ours, *required, *others) if path),
        smi=tree.first([f"{store}/nvidia-smi"]),
    )


def driver_store(tree: Tree, candidates: list[str]) -> str:
    """The first store with CUDA of those that libdxcore.so names; else the newest of the existing ones."""
    for path in candidates:
        if tree.is_file(f"{path}/{CUDA}"):
            return path
    there = [path for path in tree.expanded(tree.host(STORES), "nv*") if tree.is_file(f"{path}/{CUDA}")]
    where = ", ".join(candidates) or "none"
    if not there:
        fact = f"{THIS}, and none of Windows' ({where}) has {CUDA}"
        raise Fault("driver store", fact, "install NVIDIA's driver in Windows, not inside WSL")
    newest = max(there, key=lambda path: os.stat(f"{path}/{CUDA}").st_mtime_ns)
    fact = f"is taken, since what {dxcore.LIBRARY} names ({where}) has no {CUDA}"
    tree.note(Finding("info" if len(there) == 1 else "degraded", newest, fact, "restart WSL: wsl --shutdown"))
    return newest


def missing(path: str, seen: Presence) -> Fault:
    return Fault(path, f"is missing{', and ' + THIS if seen.wsl else ''}", "update WSL: wsl --update")
