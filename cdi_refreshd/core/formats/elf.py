"""The soname of a shared library, out of its dynamic segment.

Source: the ELF-64 and ELF-32 object file formats (System V ABI, chapters 4 and 5).
"""

import struct
from collections.abc import Callable

Read = Callable[[int, int], bytes]
"""(offset, size_bytes) to that many bytes of the file, fewer at its end."""

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_STRTAB, DT_SONAME = 0, 5, 14
SEGMENTS_AT_MOST, DYNAMIC_AT_MOST_BYTES, NAME_AT_MOST_BYTES = 128, 1 << 16, 256


def soname(read: Read) -> str | None:
    """The DT_SONAME, "" where there is none; None for what is no ELF file, has several, or one that is no file name."""
    try:
        names = _sonames(read)
    except (struct.error, ValueError):
        return None
    if len(names) > 1:
        return None
    name = names[0] if names else ""
    return None if "/" in name or not name.isprintable() or name in (".", "..") else name


def _sonames(read: Read) -> list[str]:
    head = read(0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise ValueError("not an ELF file")
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    if wide:
        table, size, count = *struct.unpack_from(order + "Q", head, 32), *struct.unpack_from(order + "HH", head, 54)
    else:
        table, size, count = *struct.unpack_from(order + "I", head, 28), *struct.unpack_from(order + "HH", head, 42)
    if count > SEGMENTS_AT_MOST:
        raise ValueError("more segments than any library has")
    segments = [_segment(read(table + i * size, size), order, wide) for i in range(count)]
    dynamic = next((s for s in segments if s[0] == PT_DYNAMIC), None)
    if dynamic is None:
        return []
    size = min(dynamic[3], DYNAMIC_AT_MOST_BYTES)
    raw = read(dynamic[1], size)
    if len(raw) < size:
        raise ValueError("half a file")
    entries = _entries(raw, order, wide)
    strings = next((value for tag, value in entries if tag == DT_STRTAB), None)
    return [_string(read, segments, strings, value) for tag, value in entries if tag == DT_SONAME]


def _segment(raw: bytes, order: str, wide: bool) -> tuple[int, int, int, int]:
    """Type, file offset, address, size in the file."""
    if wide:
        kind, _, offset, address, _, size = struct.unpack_from(order + "IIQQQQ", raw)
    else:
        kind, offset, address, _, size = struct.unpack_from(order + "IIIII", raw)
    return kind, offset, address, size


def _entries(raw: bytes, order: str, wide: bool) -> list[tuple[int, int]]:
    layout = struct.Struct(order + ("qQ" if wide else "iI"))
    found = []
    for tag, value in layout.iter_unpack(raw[: len(raw) - len(raw) % layout.size]):
        if tag == DT_NULL:
            break
        found.append((tag, value))
    return found


def _string(read: Read, segments: list[tuple[int, int, int, int]], strings: int | None, at: int) -> str:
    if strings is None:
        raise ValueError("no string table")
    for kind, offset, address, size in segments:
        if kind == PT_LOAD and address <= strings < address + size:
            raw = read(strings - address + offset + at, NAME_AT_MOST_BYTES)
            name, end, _ = raw.partition(b"\0")
            if not end:
                raise ValueError("the name does not end")
            return name.decode()
    raise ValueError("the string table is in no segment")
