"""The smallest shared library that ldconfig lists and the dynamic linker loads, written without a compiler."""

import platform
import struct

MACHINES = {"x86_64": 62, "aarch64": 183}
"""e_machine by uname's name."""

EHDR, PHDR = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
ET_DYN, PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, READ_WRITE = 3, 1, 2, 0x6474E551, 6
DT_NULL, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 0, 4, 5, 6, 10, 11, 14


def shared_library(soname: str) -> bytes:
    """An ELF64 library with that soname and no symbols."""
    start = EHDR.size + 3 * PHDR.size
    hash_table = struct.pack("<4I", 1, 1, 0, 0)
    symbols = bytes(24)
    strings = b"\0" + soname.encode() + b"\0"
    hash_at, symbols_at = start, start + len(hash_table)
    strings_at = symbols_at + len(symbols)
    dynamic_at = -(-(strings_at + len(strings)) // 8) * 8
    entries = [
        (DT_SONAME, 1),
        (DT_HASH, hash_at),
        (DT_STRTAB, strings_at),
        (DT_SYMTAB, symbols_at),
        (DT_STRSZ, len(strings)),
        (DT_SYMENT, 24),
        (DT_NULL, 0),
    ]
    dynamic = b"".join(struct.pack("<QQ", *entry) for entry in entries)
    size = dynamic_at + len(dynamic)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    header = EHDR.pack(
        ident, ET_DYN, MACHINES[platform.machine()], 1, 0, EHDR.size, 0, 0, EHDR.size, PHDR.size, 3, 64, 0, 0
    )
    # Writable, because the linker writes addresses into the dynamic section; a stack that need not be executable.
    segments = (
        PHDR.pack(PT_LOAD, READ_WRITE, 0, 0, 0, size, size, 0x1000)
        + PHDR.pack(PT_DYNAMIC, READ_WRITE, dynamic_at, dynamic_at, dynamic_at, len(dynamic), len(dynamic), 8)
        + PHDR.pack(PT_GNU_STACK, READ_WRITE, 0, 0, 0, 0, 0, 16)
    )
    body = hash_table + symbols + strings
    return header + segments + body.ljust(dynamic_at - start, b"\0") + dynamic
