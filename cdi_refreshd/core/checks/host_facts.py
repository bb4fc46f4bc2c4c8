"""What a host is found to have, as records that rules about specs read. Nobody opened a device to learn it."""

from collections.abc import Mapping
from typing import NamedTuple

from cdi_refreshd.core.nvidia.hook_program import HookProgram

CHARACTER, BLOCK, FIFO = "character device", "block device", "FIFO"
FILE, DIRECTORY, SOCKET, LINK = "file", "directory", "socket", "symbolic link"
NOTHING, UNKNOWN = "nothing", "unknown"
"""UNKNOWN: we may not probe."""


class Entry(NamedTuple):
    """What stands at a path. All but `kind` is of what a symbolic link there leads to."""

    kind: str = NOTHING
    real: str = NOTHING
    """The kind with symbolic links followed."""
    major: int = 0
    minor: int = 0
    mode: int = 0
    """Permission bits."""
    gid: int = 0
    uid: int = 0


class BoundGpu(NamedTuple):
    """A display function that is bound to the nvidia driver, and that the driver lists in procfs."""

    address: str
    minor: int = -1
    """Of /dev/nvidiaN; -1 where nobody asked, because the GPU sleeps or its module does not tell."""
    model: str = ""


class Instance(NamedTuple):
    """A GPU instance of MIG, or with `ci` 0 or more, a compute instance in it."""

    gpu: int
    """The minor of the GPU's node."""
    gi: int
    ci: int
    minor: int
    """Of its access node."""


class Host(NamedTuple):
    entries: Mapping[str, Entry]
    """All that `paths` of the rules asked for."""
    characters: Mapping[int, tuple[str, ...]] = {}
    """/proc/devices: a major number to the drivers that have it. Empty where it cannot be read."""
    blocks: Mapping[int, tuple[str, ...]] = {}
    in_sysfs: frozenset[tuple[str, int, int]] = frozenset()
    """Kind, major and minor of devices that /proc/devices does not explain, but sysfs knows."""
    interfaces: frozenset[str] = frozenset()
    """Of the network."""
    drm: Mapping[str, str] = {}
    """card1 or renderD128 to the PCI address of its function."""
    modules: frozenset[str] = frozenset()
    """Those of NVIDIA's that are loaded, by their names in sysfs."""
    module_version: str = ""
    library_version: str = ""
    """Which driver libraries a program of this host would get, "" for none or unknown."""
    gpus: tuple[BoundGpu, ...] = ()
    functions: int = 0
    """How many display functions of NVIDIA's there are, whoever has them; none of them virtual."""
    on_bus: int | None = None
    """The same for who compares it with what should be there: None where that cannot be told."""
    without_driver: tuple[str, ...] = ()
    """Addresses of display functions that no driver at all has."""
    instances: tuple[Instance, ...] = ()
    mig_capable: frozenset[int] = frozenset()
    """Minors of GPUs that can be cut into MIG slices."""
    platform: str = ""
    """What has a GPU without a PCI function of NVIDIA's: WSL or Tegra."""
    units: tuple[str, ...] = ()
    """Enabled units that write specs, ours among them."""
    flaws: Mapping[str, str] = {}
    """Of libraries that no program of this host can load: what is wrong with them."""
    two_runs: bool = False
    """/run/cdi has files, and is not /var/run/cdi."""
    hook_programs: Mapping[str, HookProgram] = {}
    """NVIDIA's hook programs that specs call, and that could be asked, by their paths."""

    def entry(self, path: str) -> Entry:
        return self.entries.get(path, UNSEEN)


UNSEEN = Entry(UNKNOWN, UNKNOWN)


def registered(text: str, nvidia_loaded: bool = False) -> tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]]:
    """/proc/devices: of character devices and of block devices, a major to its drivers' names.

    Empty, which is "nobody knows", where NVIDIA's module is loaded and the text has none of its majors: then it is not
    the list of the kernel that the module is in, but that of a container's or a test's /proc.
    """
    tables: tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]] = ({}, {})
    table = tables[0]
    for line in text.splitlines():
        if line.startswith("Block"):
            table = tables[1]
        number, _, name = line.strip().partition(" ")
        if number.isascii() and number.isdigit() and name:
            table[int(number)] = (*table.get(int(number), ()), name)
    if nvidia_loaded and not any(name.startswith("nvidia") for names in tables[0].values() for name in names):
        return {}, {}
    return tables
