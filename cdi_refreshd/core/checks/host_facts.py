"""Facts about a host, as records that check rules read. They are gathered without opening a device."""

from collections.abc import Mapping
from typing import NamedTuple

from cdi_refreshd.core.entries import UNSEEN, Entry
from cdi_refreshd.core.nvidia.hook_program import HookProgram


class BoundGpu(NamedTuple):
    """A display function that is bound to the nvidia driver, and that the driver lists in procfs."""

    address: str
    minor: int = -1
    """The N of /dev/nvidiaN; -1 if unknown, because the GPU sleeps or its module does not report it."""
    model: str = ""


class Instance(NamedTuple):
    """A GPU instance of MIG, or with `ci` 0 or more, a compute instance in it."""

    gpu: int
    """The minor of the GPU's node."""
    gi: int
    ci: int
    minor: int
    """Minor of its access node."""


class Host(NamedTuple):
    entries: Mapping[str, Entry]
    """Entries of all `paths` that the rules requested."""
    characters: Mapping[int, tuple[str, ...]] = {}
    """/proc/devices: major number -> drivers that own it. Empty if it cannot be read."""
    blocks: Mapping[int, tuple[str, ...]] = {}
    in_sysfs: frozenset[tuple[str, int, int]] = frozenset()
    """Kind, major and minor of devices that /proc/devices does not explain, but sysfs knows."""
    interfaces: frozenset[str] = frozenset()
    """Network interfaces."""
    drm: Mapping[str, str] = {}
    """card1 or renderD128 to the PCI address of its function."""
    modules: frozenset[str] = frozenset()
    """NVIDIA's loaded modules, by their names in sysfs."""
    module_version: str = ""
    library_version: str = ""
    """Version of the driver libraries that a program on this host gets, "" for none or unknown."""
    gpus: tuple[BoundGpu, ...] = ()
    functions: int = 0
    """Number of NVIDIA's display functions, whichever driver they have, without virtual functions."""
    on_bus: int | None = None
    """The same, for comparison with the expected number: None if it is unknown."""
    without_driver: tuple[str, ...] = ()
    """Addresses of display functions without any driver."""
    instances: tuple[Instance, ...] = ()
    mig_capable: frozenset[int] = frozenset()
    """Minors of MIG-capable GPUs."""
    platform: str = ""
    """The platform that has a GPU without a PCI function: WSL or Tegra."""
    bare_wsl: str = ""
    """The node of WSL's GPU if Windows has no NVIDIA driver."""
    units: tuple[str, ...] = ()
    """Enabled units that write specs, ours among them."""
    flaws: Mapping[str, str] = {}
    """Libraries that no program on this host can load -> what is wrong with them."""
    two_runs: bool = False
    """/run/cdi has files, and is not /var/run/cdi."""
    hook_programs: Mapping[str, HookProgram] = {}
    """NVIDIA's hook programs that specs call and that could be executed, by path."""

    def entry(self, path: str) -> Entry:
        return self.entries.get(path, UNSEEN)
