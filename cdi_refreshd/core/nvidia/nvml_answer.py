"""What NVML answered, and how much of that is believed.

NVML is asked by index and answers for each GPU a UUID, a minor and a PCI address. The kernel has the same three in
/proc/driver/nvidia/gpus. A GPU is left out where its answers make no sense, where the kernel says otherwise, and where
another GPU claims the same and it is unknown whose it is: its name would lead to another's node. A MIG device has its
nodes by the numbers of its instances, so that one whose UUID makes no sense is known by its index alone.
"""

from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import NamedTuple, TypeVar

from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.driver_texts import SEE_LOG, VERSION, integrated_name
from cdi_refreshd.core.nvidia.gpu_count import physical
from cdi_refreshd.core.nvidia.inventory import KernelGpu, Nvml, PciFunction, is_mig_index

MINOR_AT_MOST = 247
"""The driver numbers its GPUs from 0 to 247; the numbers up to 255 are not for GPUs (nv-chardev-numbers.h)."""
GPUS_AT_MOST = MINOR_AT_MOST + 1
GPU_INSTANCES_AT_MOST, COMPUTE_INSTANCES_AT_MOST = 15, 8
"""Of a GPU, and of a GPU instance: the driver has access nodes for no more (/proc/driver/nvidia-caps/mig-minors)."""
MIGS_AT_MOST = GPU_INSTANCES_AT_MOST * COMPUTE_INSTANCES_AT_MOST
NAME_AT_MOST = 95
"""Characters, as NVML's header has it: 96 bytes with the zero at the end."""
CUDA_AT_MOST = 1_000_000
UNDECODED = "\ufffd"
"""What stands for bytes that are no UTF-8."""
COMPUTE_INSTANCE_DEPTH = 4

UUID_AT_MOST = 79
"""Characters; no driver uses more than 50."""
HEX = frozenset("0123456789abcdefABCDEF")


class RawGpu(NamedTuple):
    number: int
    uuid: str
    minor: int
    """-1 where an integrated GPU has none; likewise `pci` is "" then."""
    pci: str
    name: str
    mig_capable: bool
    mig_enabled: bool
    coherent: bool | None


class RawMig(NamedTuple):
    parent: int
    number: int
    uuid: str
    gi: int
    ci: int
    graphics: bool


class Answer(NamedTuple):
    """Of one session with NVML."""

    nvml: Nvml
    version: str = ""
    cuda_version: int = 0
    gpus: tuple[RawGpu, ...] = ()
    migs: tuple[RawMig, ...] = ()
    findings: tuple[Finding, ...] = ()
    """Name the GPUs and MIG devices that would not answer."""
    lies: tuple[Finding, ...] = ()
    """Name those whose answers cannot be true."""
    known: tuple[str, ...] = ()
    """PCI addresses of GPUs that a finding names."""


Item = TypeVar("Item", RawGpu, RawMig)


def believed(answer: Answer, kernel: Iterable[KernelGpu]) -> Answer:
    """Without what cannot be true. Raises Fault where that is most of it: then NVML is broken, and no GPU."""
    if answer.nvml.code != 0:
        return answer
    lies, findings = list(answer.lies), list(answer.findings)
    table = tuple(kernel)
    honest = _honest(answer.gpus, lambda gpu: nonsense(gpu) or contradicted(gpu, table), lies)
    gpus = _unique(honest, (lambda g: g.uuid, lambda g: g.minor, lambda g: g.pci), lies)
    numbers = {gpu.number for gpu in gpus}
    migs = _honest((mig for mig in answer.migs if mig.parent in numbers), mig_nonsense, lies)
    migs = list(_with_names(migs, findings))
    migs = _unique(migs, (lambda m: m.uuid, lambda m: (m.parent, m.gi, m.ci)), lies)
    if len(lies) > len(gpus) + len(migs):
        count = f"{len(lies)} of {len(lies) + len(gpus) + len(migs)} devices"
        fact = f"contradicts itself about {count}, so none of them is used: {lies[0].place}: {lies[0].fact}"
        raise Fault("NVML", fact, SEE_LOG)
    listed = {gpu.number for gpu in gpus}
    return answer._replace(
        version=answer.version if VERSION.fullmatch(answer.version) else "",
        cuda_version=answer.cuda_version if 0 < answer.cuda_version < CUDA_AT_MOST else 0,
        gpus=tuple(gpus),
        migs=tuple(migs),
        findings=(*findings, *lies),
        known=(*answer.known, *(gpu.pci for gpu in answer.gpus if gpu.number not in listed)),
    )


def nonsense(gpu: RawGpu) -> str:
    """What makes no sense by itself, "" where all does."""
    integrated = integrated_name(gpu.name)
    if not gpu.name.isprintable() or not 0 < len(gpu.name) <= NAME_AT_MOST or UNDECODED in gpu.name:
        return f"has an invalid name: {shown(gpu.name)}"
    if not is_gpu_uuid(gpu.uuid):
        return f"has an invalid UUID: {shown(gpu.uuid)}"
    if not (0 <= gpu.minor <= MINOR_AT_MOST or (integrated and gpu.minor == -1)):
        return f"has minor {gpu.minor}, and GPUs have 0 to {MINOR_AT_MOST}"
    if not (is_address(gpu.pci) or (integrated and not gpu.pci)):
        return f"has an invalid PCI address: {shown(gpu.pci)}"
    return ""


def is_gpu_uuid(text: str) -> bool:
    """GPU- and a word. That of an integrated GPU has no prefix."""
    groups = text.split("-")
    plain = [len(group) for group in groups] == [8, 4, 4, 4, 12] and HEX.issuperset(text.replace("-", ""))
    return plain or (text.startswith("GPU-") and text != "GPU-" and _is_word(text))


def is_mig_uuid(text: str) -> bool:
    """MIG- and a word; drivers before 470 have the numbers of the instances behind it."""
    word, *instances = text.split("/")
    numbers = [number for number in instances if number.isascii() and number.isdigit() and len(number) < 4]
    return (
        word.startswith("MIG-")
        and word != "MIG-"
        and _is_word(word)
        and len(instances) in (0, 2)
        and numbers == instances
    )


def _is_word(text: str) -> bool:
    """What may be the name of a device."""
    letters = text.replace("-", "").replace("_", "").replace(".", "")
    return text.isascii() and letters.isalnum() and text[-1].isalnum() and len(text) <= UUID_AT_MOST


def is_address(text: str) -> bool:
    """As in sysfs, of a device's first function: 0000:65:00.0, with a longer domain on some hosts."""
    domain, bus, device = text.split(":") if text.count(":") == 2 else ("", "", "")
    number, dot, function = device.partition(".")
    fits = 4 <= len(domain) <= 8 and len(bus) == len(number) == 2 and number[0] in "01" and dot + function == ".0"
    return fits and HEX.issuperset(domain + bus + number)


def contradicted(gpu: RawGpu, kernel: tuple[KernelGpu, ...]) -> str:
    """What the kernel has otherwise. It need not list a GPU: containers see only their own there, if any.

    An integrated GPU has another module, and its PCI address, minor or UUID may be unknown to NVML.
    """
    for one in () if integrated_name(gpu.name) else kernel:
        same = (one.address == gpu.pci, one.minor == gpu.minor, one.uuid == gpu.uuid)
        present = (True, one.minor >= 0, bool(one.uuid))
        agree = [known for known, is_known in zip(same, present, strict=True) if is_known]
        if any(agree) and not all(agree):
            ours = f"{gpu.pci}, minor {gpu.minor}, {gpu.uuid}"
            theirs = f"{one.address}, minor {one.minor}, {one.uuid or 'no UUID'}"
            return f"NVML reports {ours}, and the kernel {theirs}"
    return ""


def mig_nonsense(mig: RawMig) -> str:
    if mig.gi >= GPU_INSTANCES_AT_MOST or mig.ci >= COMPUTE_INSTANCES_AT_MOST:
        return f"is instance {mig.gi}/{mig.ci}, for which the driver has no access nodes"
    return ""


def _with_names(migs: Iterable[RawMig], findings: list[Finding]) -> Iterator[RawMig]:
    for mig in migs:
        known = is_mig_uuid(mig.uuid)
        if not known:
            fact = f"has an invalid UUID, so it has no name by UUID: {shown(mig.uuid)}"
            findings.append(Finding("degraded", f"MIG device {mig.parent}:{mig.number}", fact, SEE_LOG))
        yield mig if known else mig._replace(uuid="")


def shown(text: str) -> str:
    """As one short printable word."""
    return repr(text[:40]) if text.isascii() else ascii(text[:40])


def lie(item: RawGpu | RawMig, fact: str) -> Finding:
    gpu = isinstance(item, RawGpu)
    name = str(item.number) if isinstance(item, RawGpu) else f"{item.parent}:{item.number}"
    return left_out(f"{'GPU' if gpu else 'MIG device'} {name}", fact, name)


def left_out(place: str, fact: str, *names: str) -> Finding:
    return Finding("degraded", place, fact, SEE_LOG, names)


def _honest(items: Iterable[Item], doubt: Callable[[Item], str], lies: list[Finding]) -> list[Item]:
    kept = []
    for item in items:
        if why := doubt(item):
            lies.append(lie(item, why))
        else:
            kept.append(item)
    return kept


def _unique(items: list[Item], keys: Iterable[Callable[[Item], Hashable]], lies: list[Finding]) -> list[Item]:
    """Of those that are one and the same in all keys the first; none of those that share a part of them."""
    keys = tuple(keys)
    first: dict[tuple[Hashable, ...], Item] = {}
    for item in items:
        whole = tuple(key(item) for key in keys)
        if whole in first:
            lies.append(lie(item, f"is a second entry of {first[whole].uuid}"))
        first.setdefault(whole, item)
    kept = list(first.values())
    shared = {item for key in keys for item in _sharing(kept, key)}
    for item in kept:
        if item in shared:
            lies.append(lie(item, f"has part of the identity of another one: {item.uuid}"))
    return [item for item in kept if item not in shared]


def _sharing(items: list[Item], key: Callable[[Item], Hashable]) -> Iterator[Item]:
    groups: dict[Hashable, list[Item]] = {}
    for item in items:
        if (value := key(item)) not in ("", -1):
            groups.setdefault(value, []).append(item)
    for group in groups.values():
        yield from group if len(group) > 1 else ()


def without_slices(answer: Answer, instances: Iterable[str]) -> list[Finding]:
    """One for each GPU of whose MIG devices NVML lists none, without a finding, although the driver has some.

    `instances` are paths below the driver's capabilities, such as /gpu0/mig/gi1/ci0.
    """
    cut = {path.split("/")[1] for path in instances if path.count("/") == COMPUTE_INSTANCE_DEPTH}
    listed = {str(mig.parent) for mig in answer.migs}
    left = (name for finding in answer.findings for name in finding.left_out if is_mig_index(name))
    listed |= {name.partition(":")[0] for name in left}
    fact = "are known to the driver, and NVML lists none"
    return [
        left_out(f"MIG devices of GPU {gpu.number}", fact, f"{gpu.number}:*")
        for gpu in answer.gpus
        if gpu.mig_enabled and str(gpu.number) not in listed and f"gpu{gpu.minor}" in cut
    ]


def forgotten(answer: Answer, functions: Iterable[PciFunction], kernel: Iterable[KernelGpu]) -> list[Finding]:
    """One for each GPU that is here beside those that NVML lists, and that nobody has named.

    What has another driver is that driver's on purpose. What is bound, and the module does not list, is hidden from a
    container on purpose; what is excluded is so by the module's parameter.
    """
    functions = physical(functions)
    has = {one.address for one in kernel if not one.excluded}
    named = {*(gpu.pci for gpu in answer.gpus), *answer.known}
    missing = [f.address for f in functions if f.driver == "nvidia" and f.address in has - named]
    # As many of them are named by their index, since not even their address could be had.
    nameless = answer.nvml.listed - len(answer.gpus) - len(answer.known)
    found = []
    fact = "is bound to the nvidia driver, and NVML does not list it"
    if nameless <= 0:
        found = [left_out(f"GPU {address}", fact, address) for address in missing]
    elif len(missing) > nameless:
        fact = f"{len(missing) - nameless} of them {fact}"
        found = [left_out(f"GPUs {', '.join(missing)}", fact, *missing)]
    if answer.gpus:
        driverless = [function.address for function in functions if not function.driver]
        found += [
            left_out(f"GPU {address}", "has no driver, and other GPUs have one", address) for address in driverless
        ]
    return found
