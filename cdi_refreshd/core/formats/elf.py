"""What the headers of a shared library say: its class and processor, its size, its soname.

Source: the ELF-64 and ELF-32 object file formats (System V ABI, chapters 4 and 5).
"""

import struct
from collections.abc import Callable
from typing import NamedTuple

Read = Callable[[int, int], bytes]
"""(offset, size_bytes) -> that many bytes of the file, fewer at its end."""

PT_LOAD, PT_DYNAMIC = 1, 2
DT_NULL, DT_STRTAB, DT_SONAME = 0, 5, 14
SEGMENTS_AT_MOST, DYNAMIC_AT_MOST_BYTES, NAME_AT_MOST_BYTES = 128, 1 << 16, 256
MACHINES = {"x86_64": (64, 62), "aarch64": (64, 183), "ppc64le": (64, 21), "i386": (32, 3)}
"""uname's name of a processor -> the bits of its libraries, and e_machine."""


class Image(NamedTuple):
    """What the headers of an ELF file say."""

    bits: int
    """Its class: 32 or 64."""
    machine: int
    """e_machine."""
    size_bytes: int
    """The minimum size of a file that contains all its segments and section headers."""
    soname: str | None = None
    """"" where it has none; None where it has several, one that is no file name, or only a part of it is there."""


def image(read: Read) -> Image | None:
    """None for a file that is not ELF."""
    try:
        head = _head(read)
        segments = _segments(read, head)
    except (struct.error, ValueError):
        return None
    ends = [head.table + head.entry_bytes * head.entries, head.sections_end]
    ends += [offset + size for kind, offset, _, size in segments if kind == PT_LOAD]
    made = Image(64 if head.wide else 32, head.machine, max(ends))
    try:
        names = _sonames(read, head, segments)
    except (struct.error, ValueError):
        return made
    return made._replace(soname=_plain(names))


def flaw(found: Image | None, size_bytes: int, machine: str) -> str:
    """Why a program of this machine could not load a library file of that size, "" if it could.

    `machine` is uname's name of the processor; for an unknown one every library is accepted.
    """
    if size_bytes == 0:
        return "is empty"
    if found is None:
        return "is not an ELF file"
    if size_bytes < found.size_bytes:
        return f"is cut short: {size_bytes} of {found.size_bytes} bytes"
    bits, number = MACHINES.get(machine, (found.bits, found.machine))
    if (found.bits, found.machine) != (bits, number):
        return f"is a {found.bits}-bit library for another processor than {machine}"
    return ""


class _Head(NamedTuple):
    wide: bool
    order: str
    machine: int
    table: int
    entry_bytes: int
    entries: int
    sections_end: int


Segment = tuple[int, int, int, int]
"""Type, file offset, address, size in the file."""


def _head(read: Read) -> _Head:
    head = read(0, 64)
    if len(head) < 52 or head[:4] != b"\x7fELF" or head[4] not in (1, 2) or head[5] not in (1, 2):
        raise ValueError("not an ELF file")
    wide, order = head[4] == 2, "<" if head[5] == 1 else ">"
    (machine,) = struct.unpack_from(order + "H", head, 18)
    tables, sizes = ("QQ", 54) if wide else ("II", 42)
    table, sections = struct.unpack_from(order + tables, head, 32 if wide else 28)
    entry, count, section, sections_count = struct.unpack_from(order + "4H", head, sizes)
    if count > SEGMENTS_AT_MOST:
        raise ValueError("more segments than any library has")
    return _Head(wide, order, machine, table, entry, count, sections + section * sections_count if sections else 0)


def _segments(read: Read, head: _Head) -> list[Segment]:
    """The readable ones: the table of a truncated file may lack some."""
    raw = read(head.table, head.entry_bytes * head.entries)
    parts = (raw[at : at + head.entry_bytes] for at in range(0, len(raw), head.entry_bytes or 1))
    return [_segment(part, head) for part in parts if len(part) == head.entry_bytes]


def _segment(raw: bytes, head: _Head) -> Segment:
    if head.wide:
        kind, _, offset, address, _, size = struct.unpack_from(head.order + "IIQQQQ", raw)
    else:
        kind, offset, address, _, size = struct.unpack_from(head.order + "IIIII", raw)
    return kind, offset, address, size


def _plain(names: list[str]) -> str | None:
    if len(names) > 1:
        return None
    name = names[0] if names else ""
    return None if "/" in name or not name.isprintable() or name in (".", "..") else name


def _sonames(read: Read, head: _Head, segments: list[Segment]) -> list[str]:
    if len(segments) < head.entries:
        raise ValueError("half a file")
    dynamic = next((segment for segment in segments if segment[0] == PT_DYNAMIC), None)
    if dynamic is None:
        return []
    size = min(dynamic[3], DYNAMIC_AT_MOST_BYTES)
    raw = read(dynamic[1], size)
    if len(raw) < size:
        raise ValueError("half a file")
    entries = _entries(raw, head.order, head.wide)
    strings = next((value for tag, value in entries if tag == DT_STRTAB), None)
    return [_string(read, segments, strings, value) for tag, value in entries if tag == DT_SONAME]


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
