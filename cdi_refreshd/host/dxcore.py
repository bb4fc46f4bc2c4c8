"""Where Windows keeps its GPU driver, according to WSL's libdxcore.so.

Source: the kernel's own description of this interface, include/uapi/misc/d3dkmthk.h of the dxgkrnl driver, and
Microsoft's documentation of D3DKMTEnumAdapters3 and D3DKMTQueryAdapterInfo. Characters are 16 bits wide.
"""

import ctypes

from cdi_refreshd.core.findings import Fault

LIBRARY = "libdxcore.so"
ADAPTERS_AT_MOST = 64
INCLUDE_COMPUTE_ONLY = 1
DRIVER_VERSION, QUERY_REGISTRY = 13, 48
DRIVER_STORE_PATH = 2
OLDEST_WDDM = 2700
PATH_AT_MOST = 260


class _Adapter(ctypes.Structure):
    _fields_ = (
        ("handle", ctypes.c_uint32),
        ("luid_low", ctypes.c_uint32),
        ("luid_high", ctypes.c_int32),
        ("sources", ctypes.c_uint32),
        ("present_move_regions_preferred", ctypes.c_uint32),
    )


class _Adapters2(ctypes.Structure):
    _fields_ = (("count", ctypes.c_uint32), ("adapters", ctypes.POINTER(_Adapter)))


class _Adapters3(ctypes.Structure):
    _fields_ = (("filter", ctypes.c_uint64), ("count", ctypes.c_uint32), ("adapters", ctypes.POINTER(_Adapter)))


class _Query(ctypes.Structure):
    _fields_ = (
        ("handle", ctypes.c_uint32),
        ("type", ctypes.c_uint32),
        ("data", ctypes.c_void_p),
        ("size_bytes", ctypes.c_uint32),
    )


class _Registry(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("name", ctypes.c_uint16 * PATH_AT_MOST),
        ("value_type", ctypes.c_uint32),
        ("adapter_index", ctypes.c_uint32),
        ("output_size_bytes", ctypes.c_uint32),
        ("status", ctypes.c_uint32),
        # The driver writes the path from here on; the union of the interface is 8 bytes and aligned to 8.
        ("output", ctypes.c_uint64 * (PATH_AT_MOST * 2 // 8)),
    )


def can_open(library: str = LIBRARY) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def driver_stores(library: str = LIBRARY) -> tuple[str, ...]:
    """Directories of the adapters' drivers, in the adapters' order. Raises Fault where libdxcore does not answer."""
    try:
        dxcore = ctypes.CDLL(library)
        query = dxcore.D3DKMTQueryAdapterInfo
        adapters = _adapters(dxcore)
    except (OSError, AttributeError) as error:
        raise Fault(library, f"does not report where the driver is ({error})", "update WSL: wsl --update") from None
    stores = (_store(query, adapter.handle) for adapter in adapters if _wddm(query, adapter.handle) >= OLDEST_WDDM)
    return tuple(dict.fromkeys(filter(None, stores)))


def _adapters(dxcore: ctypes.CDLL) -> list[_Adapter]:
    room = (_Adapter * ADAPTERS_AT_MOST)()
    start = ctypes.cast(room, ctypes.POINTER(_Adapter))
    request: _Adapters2 | _Adapters3
    if hasattr(dxcore, "D3DKMTEnumAdapters3"):
        request = _Adapters3(INCLUDE_COMPUTE_ONLY, ADAPTERS_AT_MOST, start)
        status = dxcore.D3DKMTEnumAdapters3(ctypes.byref(request))
    else:
        request = _Adapters2(ADAPTERS_AT_MOST, start)
        status = dxcore.D3DKMTEnumAdapters2(ctypes.byref(request))
    if status:
        raise OSError(f"listing the adapters failed with status {status & 0xFFFFFFFF:#x}")
    return list(room[: min(request.count, ADAPTERS_AT_MOST)])


def _wddm(query: "ctypes._NamedFuncPointer", handle: int) -> int:
    version = ctypes.c_uint32()
    return version.value if _ask(query, handle, DRIVER_VERSION, version) else 0


def _store(query: "ctypes._NamedFuncPointer", handle: int) -> str:
    info = _Registry(type=DRIVER_STORE_PATH, flags=1)
    if not _ask(query, handle, QUERY_REGISTRY, info) or info.status:
        return ""
    size = min(info.output_size_bytes, ctypes.sizeof(info.output))
    return bytes(info.output)[:size].decode("utf-16-le", "replace").partition("\0")[0].rstrip("/")


def _ask(query: "ctypes._NamedFuncPointer", handle: int, kind: int, data: "ctypes._CData") -> bool:
    request = _Query(handle, kind, ctypes.cast(ctypes.byref(data), ctypes.c_void_p), ctypes.sizeof(data))
    return bool(query(ctypes.byref(request)) == 0)
