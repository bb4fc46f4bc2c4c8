"""What a host is, as the probe's child found it: frozen records, sorted, so that equal hosts give equal values.

All paths are paths on the host. They travel as JSON arrays; `freeze` turns them back and refuses anything else.
"""

import json
import types
from typing import Any, NamedTuple, get_args, get_origin

from cdi_refreshd.core.findings import SEVERITIES, Fault, Finding
from cdi_refreshd.core.nvidia.hook_program import HookProgram


class Node(NamedTuple):
    """A character device, from lstat."""

    path: str
    major: int
    minor: int
    mode: int
    """Permission bits, without the type bits."""
    uid: int = 0
    gid: int = 0

    @property
    def needed_gid(self) -> int:
        """The group that the user in a container must be in to use it, 0 for none."""
        return self.gid if self.mode and self.mode & 0o006 != 0o006 else 0


class Link(NamedTuple):
    """A symbolic link and its text."""

    path: str
    target: str


class PciFunction(NamedTuple):
    """A display function of NVIDIA's, from sysfs."""

    address: str
    """As in sysfs: 0000:65:00.0."""
    driver: str = ""
    """The kernel driver that is bound, "" for none."""
    may_suspend: bool = False
    """It is bound to the nvidia driver, which lets it sleep while it is not used."""
    suspended: bool = False
    """It is bound to the nvidia driver and sleeps: asking it would wake it."""
    virtual: bool = False
    """A virtual function (SR-IOV), which is for virtual machines and not a GPU of this host."""


class KernelGpu(NamedTuple):
    """A GPU of the loaded nvidia module, from /proc/driver/nvidia/gpus."""

    address: str
    uuid: str = ""
    """"" where the module does not know it yet."""
    minor: int = -1
    """-1 if unknown."""
    excluded: bool = False
    """The administrator keeps the module from using it."""


class Presence(NamedTuple):
    """What sysfs and procfs say, without waking anything."""

    sysfs: bool = True
    """False where /sys cannot be read: then nothing can be said about absence."""
    functions: tuple[PciFunction, ...] = ()
    module_version: str = ""
    """Of the loaded nvidia module; "" where none is loaded."""
    module_loaded: bool = False
    wsl: bool = False
    tegra: bool = False
    unreadable: str = ""
    """What could not be read, and why: then nothing can be said about absence, either."""


class Gpu(NamedTuple):
    number: int
    """NVML's index, by which users name GPUs."""
    uuid: str
    minor: int
    pci: str
    name: str = ""
    mig_enabled: bool = False
    coherent: bool | None = None
    nodes: tuple[Node, ...] = ()
    """/dev/nvidiaN first, then its DRM nodes; what does not exist is not here."""
    links: tuple[Link, ...] = ()
    """/dev/dri/by-path links to these nodes."""


def is_mig_index(name: str) -> bool:
    """Whether it is the index of a MIG device, GPU:slot, or of all of a GPU, GPU:*. A PCI address is not."""
    gpu, _, slot = name.partition(":")
    return gpu.isdigit() and (slot == "*" or slot.isdigit())


class MigDevice(NamedTuple):
    parent: int
    """NVML index of the GPU."""
    parent_uuid: str
    number: int
    """NVML's index of it within the GPU."""
    uuid: str
    """"" where it has none that makes sense."""
    gi: int
    ci: int
    nodes: tuple[Node, ...] = ()
    """The GPU's node, the access nodes of the GPU instance and the compute instance, then DRM nodes if graphics."""
    links: tuple[Link, ...] = ()


class Library(NamedTuple):
    path: str
    """Where the file really is, symbolic links resolved."""
    soname: str = ""
    """"" where the file is no ELF file or has not exactly one DT_SONAME that is a plain name."""
    soname_is_link: bool = False
    """Beside it there is a symbolic link with the soname as its name."""
    plain_is_link: bool = False
    """Beside it there is a symbolic link that ends in `.so`."""
    flaw: str = ""
    """Why no program can load it: it is empty, cut short, or no library of this machine."""
    bits: int = 64
    """Its ELF class."""


class Config(NamedTuple):
    path: str
    container_path: str


class Search(NamedTuple):
    """Where libraries were looked for and not found."""

    directories: tuple[str, ...] = ()
    """Those that there are."""
    cache: str = ""
    """The loader's cache, as a host path; "" if it was not read."""
    cache_trouble: str = ""
    """Why it cannot be used: `is missing`, `is damaged`."""


class Driver(NamedTuple):
    version: str = ""
    """By which the libraries are found: NVML's word, else from file names."""
    files_version: str = ""
    """The highest version that library names carry, where an essential library of `version` is missing."""
    cuda_version: int = 0
    """NVML's number: 13000 is CUDA 13.0. 0 where unknown."""
    library_dirs: tuple[str, ...] = ()
    libraries: tuple[Library, ...] = ()
    graphics_libraries: tuple[Library, ...] = ()
    allocator: tuple[str, ...] = ()
    vulkan_producer: tuple[str, ...] = ()
    xorg: tuple[str, ...] = ()
    configs: tuple[Config, ...] = ()
    firmware: tuple[str, ...] = ()
    sockets: tuple[str, ...] = ()
    binaries: tuple[str, ...] = ()
    graphics_binaries: tuple[str, ...] = ()
    astray: tuple[Link, ...] = ()
    """Of the paths above: those whose own links lead the host, which knows no driver root, elsewhere; and the file."""
    missing: tuple[str, ...] = ()
    """Names of essential libraries that are missing."""
    search: Search = Search()
    """Empty where nothing is missing."""


class Nvml(NamedTuple):
    """How NVML answered. `code` is its return code: 0 is success, None where it was not asked."""

    code: int | None = None
    message: str = ""
    library: str = ""
    """The file that was opened."""
    listed: int = 0
    """GPUs that NVML counts, whether they answer or not."""


class Tegra(NamedTuple):
    """What the CSV files name and the machine has."""

    nodes: tuple[Node, ...] = ()
    directories: tuple[str, ...] = ()
    libraries: tuple[Library, ...] = ()
    symlinks: tuple[Library, ...] = ()
    chains: tuple[Link, ...] = ()
    """Every link of every `sym` entry's chain."""
    files: tuple[str, ...] = ()
    names_gpu: bool = True
    """Whether the files name any node of the GPU, there or not."""
    nvml_works: bool = False
    orin: bool = False
    integrated: int = -1
    """NVML index of the integrated GPU where there is a discrete one beside it; -1: one device only."""


class Wsl(NamedTuple):
    libraries: tuple[Library, ...] = ()
    """Those whose directories the container's loader must know."""
    files: tuple[str, ...] = ()
    smi: str = ""


class Channel(NamedTuple):
    """An IMEX channel. Its id is text: leading zeros survive."""

    id: str
    path: str


class InstalledRuntime(NamedTuple):
    """The program of a container runtime."""

    name: str
    """Of INSTALLATIONS in core/checks/container_runtimes.py, or a program's."""
    path: str = ""
    size_bytes: int = 0
    mtime_ns: int = 0
    said: str = ""
    """What `--version` said, "" where it said nothing in time."""
    serves: bool = True
    """Somebody here uses it for containers with devices: false for a containerd without a kubelet."""


class Inventory(NamedTuple):
    mode: str = ""
    machine: str = "x86_64"
    """uname's word for the processor."""
    presence: Presence = Presence()
    nvml: Nvml = Nvml()
    gpus: tuple[Gpu, ...] = ()
    migs: tuple[MigDevice, ...] = ()
    nodes: tuple[Node, ...] = ()
    """Control nodes in nvml mode; the mode's own nodes in management, gds, gdrcopy, mofed, nvswitch and wsl."""
    files: tuple[str, ...] = ()
    """What the mode mounts besides: the udev directory and cufile.json of gds."""
    channels: tuple[Channel, ...] = ()
    driver: Driver = Driver()
    tegra: Tegra = Tegra()
    wsl: Wsl = Wsl()
    hook: HookProgram = HookProgram()
    findings: tuple[Finding, ...] = ()
    runtimes: tuple[InstalledRuntime, ...] = ()
    """The container runtimes here, where the spec will have what some of them may not read."""
    fingerprint: str = ""
    unchanged: bool = False
    """True: the caller's fingerprint still holds and a GPU sleeps, so that nobody probed further."""

    @property
    def needs_groups(self) -> bool:
        """Some node is for a group: the spec will have it, unless disabled, and older runtimes do not read that."""
        of_devices = (*(gpu.nodes for gpu in self.gpus), *(mig.nodes for mig in self.migs))
        return any(node.needed_gid for nodes in (self.nodes, self.tegra.nodes, *of_devices) for node in nodes)


INTEGER_BELOW = 1 << 63
"""Nothing that is counted on a machine is more."""


def to_json(record: tuple[Any, ...]) -> bytes:
    """Of an inventory, or any other record of plain values and records."""
    return json.dumps(record, separators=(",", ":")).encode()


def from_json(text: bytes) -> Inventory:
    """Raises Fault where the text is not an Inventory."""
    try:
        value: Inventory = read_back(Inventory, text)
        if any(finding.severity not in SEVERITIES for finding in value.findings):
            raise ValueError("a severity that there is not")
    except ValueError as error:
        raise Fault("probe", f"the child's answer is not an inventory ({error})") from None
    return value


def read_back(kind: Any, text: bytes) -> Any:
    """An object of `kind` that `to_json` wrote; ValueError where it is anything else, however deep or large."""
    try:
        return freeze(kind, json.loads(text))
    except (TypeError, RecursionError, OverflowError) as error:
        raise ValueError(type(error).__name__) from None


def freeze(kind: Any, value: Any) -> Any:
    """`value`, as JSON gave it, as an object of `kind`; ValueError where it does not fit."""
    if isinstance(kind, type) and hasattr(kind, "_fields"):
        hints = kind.__annotations__
        if type(value) is not list or len(value) != len(hints):
            raise ValueError(f"{kind.__name__} expected")
        return kind(*map(freeze, hints.values(), value))
    if get_origin(kind) is tuple:
        if type(value) is not list:
            raise ValueError("list expected")
        item = get_args(kind)[0]
        if item is str and all(type(x) is str and x.isascii() for x in value):
            return tuple(value)
        return tuple(freeze(item, x) for x in value)
    if isinstance(kind, types.UnionType):
        return None if value is None else freeze(get_args(kind)[0], value)
    if type(value) is not kind:
        raise ValueError(f"{kind.__name__} expected, not {type(value).__name__}")
    if kind is str and not value.isascii():
        return value.encode("utf-8", "backslashreplace").decode()  # half a surrogate pair could be written nowhere
    if kind is int and not -INTEGER_BELOW <= value < INTEGER_BELOW:
        raise ValueError("a number out of range")
    return value
