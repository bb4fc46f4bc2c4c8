"""NVML through pynvml, as records. Only the probe's child may call this: an open NVML holds the driver and its GPUs.

Source: NVIDIA's NVML API reference; pynvml is the module of PyPI's nvidia-ml-py.
"""

import ctypes
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

# pynvml imports ctypes.util for a function that it calls nowhere on Linux. The real module brings subprocess, shutil
# and tempfile along, which cost more than asking NVML about eight GPUs; an empty one stands in during this import.
if "ctypes.util" not in sys.modules:
    sys.modules["ctypes.util"] = types.ModuleType("ctypes.util")
    sys.modules["ctypes.util"].find_library = lambda name: None  # type: ignore[attr-defined]
    import pynvml

    del sys.modules["ctypes.util"]
else:
    import pynvml

from cdi_refreshd.core.findings import LEFT_OUT, Finding
from cdi_refreshd.core.nvidia.driver_texts import integrated_name
from cdi_refreshd.core.nvidia.inventory import Nvml

SONAME = "libnvidia-ml.so.1"
# Profiles whose instances may do graphics; 0x11 is newer than NVIDIA's generator, which fails on it.
GRAPHICS_PROFILES = (0x0A, 0x0B, 0x0C, 0x11)
NO_SUCH_MIG = (pynvml.NVML_ERROR_NOT_FOUND, pynvml.NVML_ERROR_INVALID_ARGUMENT)
UNKNOWN_TO_DRIVER = (pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_ERROR_FUNCTION_NOT_FOUND)


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
    """Of one session with NVML. `findings` name the GPUs and MIG devices that would not answer."""

    nvml: Nvml
    version: str = ""
    cuda_version: int = 0
    gpus: tuple[RawGpu, ...] = ()
    migs: tuple[RawMig, ...] = ()
    findings: tuple[Finding, ...] = ()


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
    """Everything that a spec needs of NVML, in one session. Never raises for what a GPU does."""
    try:
        with session(library):
            return _everything(library)
    except pynvml.NVMLError as error:
        return Answer(Nvml(error.value, _text(error), library))
    except OSError as error:
        return Answer(Nvml(pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, str(error), library))


def _everything(library: str) -> Answer:
    count = pynvml.nvmlDeviceGetCount()
    gpus: list[RawGpu] = []
    migs: list[RawMig] = []
    findings: list[Finding] = []
    for index in range(count):
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            gpu = _gpu(handle, index)
        except pynvml.NVMLError as error:
            findings.append(_left_out(f"GPU {index}", f"does not answer NVML: {_text(error)}", str(index)))
            continue
        gpus.append(gpu)
        if gpu.mig_capable:
            migs += _migs(handle, index, findings)
    return Answer(
        Nvml(0, "", library, count),
        _optional(pynvml.nvmlSystemGetDriverVersion) or "",
        _optional(pynvml.nvmlSystemGetCudaDriverVersion) or 0,
        tuple(gpus),
        tuple(migs),
        tuple(findings),
    )


def _gpu(handle: Any, index: int) -> RawGpu:
    name = pynvml.nvmlDeviceGetName(handle)
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
        pynvml.nvmlDeviceGetUUID(handle),
        -1 if minor is None else minor,
        f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0" if pci else "",
        name,
        capable,
        enabled,
        _coherent(handle),
    )


def _migs(handle: Any, parent: int, findings: list[Finding]) -> Iterator[RawMig]:
    graphics: set[int] | None = None
    try:
        slots = pynvml.nvmlDeviceGetMaxMigDeviceCount(handle)
    except pynvml.NVMLError as error:
        slots = 0
        if error.value not in UNKNOWN_TO_DRIVER:
            fact = f"NVML does not count them: {_text(error)}"
            findings.append(_left_out(f"MIG devices of GPU {parent}", fact, f"{parent}:*"))
    for index in range(slots):
        try:
            mig = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, index)
            gi, ci = pynvml.nvmlDeviceGetGpuInstanceId(mig), pynvml.nvmlDeviceGetComputeInstanceId(mig)
            uuid = pynvml.nvmlDeviceGetUUID(mig)
        except pynvml.NVMLError as error:
            if error.value not in NO_SUCH_MIG:
                name = f"{parent}:{index}"
                findings.append(_left_out(f"MIG device {name}", f"does not answer NVML: {_text(error)}", name))
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
    ask_mode = getattr(pynvml, "nvmlDeviceGetAddressingMode", None)  # newer than the oldest pynvml that we take
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


def _left_out(place: str, fact: str, *names: str) -> Finding:
    return Finding("degraded", place, f"{fact}{LEFT_OUT}", "see dmesg for NVRM lines", names)


def _text(error: Any) -> str:
    return f"{error} (NVML error {error.value})"
