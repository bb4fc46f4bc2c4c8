"""NVML through pynvml, as records. Only the probe's child may call this: an open NVML holds the driver and its GPUs.

Source: NVIDIA's NVML API reference; pynvml is the module of PyPI's nvidia-ml-py.
"""

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from cdi_refreshd.host import ctypes_util

with ctypes_util.stood_in():
    import pynvml

from cdi_refreshd.core.findings import Fault, Finding, printable
from cdi_refreshd.core.nvidia.driver_texts import SEE_LOG, integrated_name
from cdi_refreshd.core.nvidia.inventory import Nvml
from cdi_refreshd.core.nvidia.nvml_answer import GPUS_AT_MOST, MIGS_AT_MOST, Answer, RawGpu, RawMig, left_out

SONAME = "libnvidia-ml.so.1"
# Profiles whose instances may do graphics; 0x11 is newer than NVIDIA's generator, which fails on it.
GRAPHICS_PROFILES = (0x0A, 0x0B, 0x0C, 0x11)
NO_SUCH_MIG = (pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT)
UNKNOWN_TO_DRIVER = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


class Nonsense(Exception):
    """NVML's answer about a device is impossible."""


class Found(NamedTuple):
    """What one session found, as it grows."""

    gpus: list[RawGpu]
    migs: list[RawMig]
    findings: list[Finding]
    lies: list[Finding]
    known: list[str]


def can_open(library: str) -> bool:
    """Whether the file, or the bare soname where it is "", can be opened. Nothing is initialised."""
    try:
        ctypes.CDLL(library or SONAME)
    except OSError:
        return False
    return True


@contextmanager
def session(library: str) -> Iterator[None]:
    """NVML open. Raises pynvml.NVMLError, and OSError where the library cannot be opened."""
    # The library of the driver root that is configured, not the first one that the loader knows.
    pynvml.nvmlLib = ctypes.CDLL(library or SONAME, mode=ctypes.RTLD_GLOBAL)
    pynvml.nvmlInit()
    try:
        yield
    finally:
        pynvml.nvmlShutdown()


def ask(library: str) -> Answer:
    """Everything that a spec needs of NVML, in one session. Raises Fault where it counts more than there can be."""
    try:
        with session(library):
            return _everything(library)
    except pynvml.NVMLError as error:
        return Answer(Nvml(error.value, _text(error), library))
    except OSError as error:
        return Answer(Nvml(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, str(error), library))


def _everything(library: str) -> Answer:
    count = pynvml.nvmlDeviceGetCount()
    if count > GPUS_AT_MOST:
        raise Fault("NVML", f"counts {count} GPUs, and the driver has numbers for {GPUS_AT_MOST}", SEE_LOG)
    found = Found([], [], [], [], [])
    for index in range(count):
        _device(index, found)
    return Answer(
        Nvml(0, "", library, count),
        _optional(_said, pynvml.nvmlSystemGetDriverVersion) or "",
        _optional(pynvml.nvmlSystemGetCudaDriverVersion) or 0,
        tuple(found.gpus),
        tuple(found.migs),
        tuple(found.findings),
        tuple(found.lies),
        tuple(found.known),
    )


def _device(index: int, found: Found) -> None:
    """A GPU and its MIG devices."""
    handle = None
    try:
        handle = pynvml.nvmlDeviceGetHandleByIndex(index)
        if not handle:
            raise Nonsense("NVML gives no handle for it")
        gpu = _gpu(handle, index)
        slots = _mig_slots(handle, index, found.findings) if gpu.mig_capable else 0
    except pynvml.NVMLError as error:
        found.findings.append(left_out(f"GPU {index}", f"does not answer NVML: {_text(error)}", str(index)))
    except Nonsense as error:
        found.lies.append(left_out(f"GPU {index}", str(error), str(index)))
    else:
        found.gpus.append(gpu)
        found.migs.extend(_migs(handle, index, slots, found))
        return
    pci = _optional(pynvml.nvmlDeviceGetPciInfo, handle) if handle else None
    found.known.extend([_address(pci)] if pci else [])


def _gpu(handle: Any, index: int) -> RawGpu:
    name = _said(pynvml.nvmlDeviceGetName, handle)
    # An integrated GPU is on no PCI bus and has no minor; for any other that is a fault.
    maybe = _optional if integrated_name(name) else _required
    pci = maybe(pynvml.nvmlDeviceGetPciInfo, handle)
    minor = maybe(pynvml.nvmlDeviceGetMinorNumber, handle)
    capable, enabled = True, False
    try:
        enabled = pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE
    except pynvml.NVMLError as error:
        if error.value not in UNKNOWN_TO_DRIVER:
            raise
        capable = False
    return RawGpu(
        index,
        _said(pynvml.nvmlDeviceGetUUID, handle),
        -1 if minor is None else minor,
        _address(pci) if pci else "",
        name,
        capable,
        enabled,
        _coherent(handle),
    )


def _address(pci: Any) -> str:
    return f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0"


def _mig_slots(handle: Any, parent: int, findings: list[Finding]) -> int:
    try:
        slots = int(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
    except pynvml.NVMLError as error:
        if error.value not in UNKNOWN_TO_DRIVER:
            fact = f"NVML does not count them: {_text(error)}"
            findings.append(left_out(f"MIG devices of GPU {parent}", fact, f"{parent}:*"))
        return 0
    if slots > MIGS_AT_MOST:
        raise Nonsense(f"counts {slots} MIG devices, and the driver has access nodes for {MIGS_AT_MOST}")
    return slots


def _migs(handle: Any, parent: int, slots: int, found: Found) -> Iterator[RawMig]:
    graphics: set[int] | None = None
    for index in range(slots):
        name = f"{parent}:{index}"
        try:
            mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            if not mig:
                raise Nonsense("NVML gives no handle for it")
            gi, ci = pynvml.nvmlDeviceGetGpuInstanceId(mig), pynvml.nvmlDeviceGetComputeInstanceId(mig)
            uuid = _said(pynvml.nvmlDeviceGetUUID, mig)
        except pynvml.NVMLError as error:
            if error.value not in NO_SUCH_MIG:
                found.findings.append(left_out(f"MIG device {name}", f"does not answer NVML: {_text(error)}", name))
            continue
        except Nonsense as error:
            found.lies.append(left_out(f"MIG device {name}", str(error), name))
            continue
        if graphics is None:
            graphics = _graphics_profiles(handle)
        yield RawMig(parent, index, uuid, gi, ci, bool(graphics) and _profile(handle, gi) in graphics)


def _graphics_profiles(handle: Any) -> set[int]:
    """Ids, as this GPU numbers them, of its profiles with graphics. Unknown profiles are simply not among them."""
    infos = (_optional(pynvml.nvmlDeviceGetGpuInstanceProfileInfo, handle, p, 1) for p in GRAPHICS_PROFILES)
    return {info.id for info in infos if info is not None}


def _profile(handle: Any, gi: int) -> int | None:
    instance = _optional(pynvml.nvmlDeviceGetGpuInstanceById, handle, gi)
    info = None if instance is None else _optional(pynvml.nvmlGpuInstanceGetInfo, instance)
    return None if info is None else int(info.profileId)


def _coherent(handle: Any) -> bool | None:
    """Whether CPU and GPU share page tables (ATS); False where the driver does not know the question, None on error."""
    ask_mode = getattr(pynvml, "nvmlDeviceGetAddressingMode", None)  # newer than the oldest supported pynvml
    if ask_mode is None:
        return False
    try:
        return bool(ask_mode(handle) == pynvml.NVML_DEVICE_ADDRESSING_MODE_ATS)
    except pynvml.NVMLError as error:
        return False if error.value in UNKNOWN_TO_DRIVER else None


def _optional(function: Callable[..., Any], *arguments: Any) -> Any:
    try:
        return function(*arguments)
    except pynvml.NVMLError:
        return None


def _required(function: Callable[..., Any], *arguments: Any) -> Any:
    return function(*arguments)


def _said(function: Callable[..., Any], *arguments: Any) -> str:
    """A function's text, whether it is UTF-8 or not: pynvml's own decoding raises."""
    raw = getattr(function, "__wrapped__", function)(*arguments)
    return raw.decode("utf-8", "replace") if isinstance(raw, bytes) else str(raw)


def _text(error: Any) -> str:
    """On one short line, whatever the library says about its error."""
    try:
        words = " ".join(str(error).split())
    except UnicodeError:
        words = ""
    known = words and words != "None"
    return f"{printable(words)[:100] if known else 'unknown error'} (NVML error {error.value})"
