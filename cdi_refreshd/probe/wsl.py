"""WSL: the driver's files lie in a store that Windows keeps, and libdxcore.so knows where."""

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.inventory import Wsl
from cdi_refreshd.host import dxcore
from cdi_refreshd.host.driver_root import Tree

DXCORE_DIR = "/usr/lib/wsl/lib"
REQUIRED = (
    "libcuda.so.1.1",
    "libcuda_loader.so",
    "libnvidia-ptxjitcompiler.so.1",
    "libnvidia-ml.so.1",
    "libnvidia-ml_loader.so",
    "libnvdxgdmal.so.1",
    "nvcubins.bin",
    "nvidia-smi",
)
OTHERS = ("*.so*", "*.bin", "*.dll")


def library(tree: Tree) -> str:
    """libdxcore.so as it is to be opened: the host's by its name, another root's by its path."""
    return dxcore.LIBRARY if not tree.root else tree.host(f"{DXCORE_DIR}/{dxcore.LIBRARY}")


def probe(tree: Tree) -> Wsl:
    stores = [tree.host(path) for path in dxcore.driver_stores(library(tree))]
    store = next((path for path in stores if tree.is_file(f"{path}/libcuda.so.1.1")), "")
    if not store:
        where = ", ".join(stores) or "none"
        raise Fault("driver store", f"none of Windows' ({where}) has libcuda.so.1.1", "install NVIDIA's Windows driver")
    ours = tree.first([tree.host(f"{DXCORE_DIR}/{dxcore.LIBRARY}")])
    required = [path for name in REQUIRED if tree.is_file(path := f"{store}/{name}")]
    others = [path for path in tree.find([store], *OTHERS) if path not in required]
    return Wsl(
        libraries=tuple(path for path in (ours, *required) if ".so" in path),
        files=tuple(path for path in (ours, *required, *others) if path),
        smi=tree.first([f"{store}/nvidia-smi"]),
    )
