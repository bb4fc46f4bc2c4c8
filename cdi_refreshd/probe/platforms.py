"""Which kind of host this is where no PCI function says: Tegra, WSL."""

from cdi_refreshd.core.nvidia.driver_paths import TEGRA_RELEASE
from cdi_refreshd.core.nvidia.inventory import Presence
from cdi_refreshd.core.read_errors import unreadable
from cdi_refreshd.host import dxcore, procfs, regular_file
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.host.regular_file import NotRegular

DXCORE_DIR = "/usr/lib/wsl/lib"


def is_tegra(tree: Tree) -> bool:
    """Raises Fault if it cannot be read: a Tegra may have no PCI function, and would seem to have no GPU."""
    release = tree.host(TEGRA_RELEASE)
    return procfs.is_there(release) or tree.is_file(release) or _family(tree).lower().startswith(b"tegra")


def _family(tree: Tree) -> bytes:
    path = tree.host("/sys/devices/soc0/family")
    try:
        return regular_file.start(path, 4096, follow_links=True)
    except (FileNotFoundError, NotRegular):
        return b""
    except OSError as error:
        raise unreadable(path, error) from None


def is_wsl(tree: Tree, seen: Presence) -> bool:
    """A Linux driver that was installed inside WSL has no GPU to bind to, so it does not change the mode."""
    if seen.wsl and not any(function.driver == "nvidia" for function in seen.functions):
        return True
    return dxcore.can_open(dxcore.LIBRARY if not tree.root else usual(tree))


def usual(tree: Tree) -> str:
    return tree.host(f"{DXCORE_DIR}/{dxcore.LIBRARY}")
