"""The smallest shared library that ldconfig lists and the dynamic linker loads, written without a compiler."""

import platform
import struct

MACHINES = {"x86_64": 62, "aarch64": 183, "i386": 3}
"""e_machine by uname's name; the last is 32 bits wide."""

ET_DYN, PT_LOAD, PT_DYNAMIC, PT_GNU_STACK, READ_WRITE = 3, 1, 2, 0x6474E551, 6
DT_NULL, DT_HASH, DT_STRTAB, DT_SYMTAB, DT_STRSZ, DT_SYMENT, DT_SONAME = 0, 4, 5, 6, 10, 11, 14
EHDR, PHDR = struct.Struct("<16sHHIQQQIHHHHHH"), struct.Struct("<IIQQQQQQ")
EHDR32, PHDR32 = struct.Struct("<16sHHIIIIIHHHHHH"), struct.Struct("<8I")


def shared_library(soname: str, machine: str = "") -> bytes:
    """A library with that soname and no symbols, for this machine or for another one."""
    machine = machine or platform.machine()
    wide = machine != "i386"
    head, table, word = (EHDR, PHDR, 8) if wide else (EHDR32, PHDR32, 4)
    start = head.size + 3 * table.size
    hash_table = struct.pack("<4I", 1, 1, 0, 0)
    symbol = 24 if wide else 16
    strings = b"\0" + soname.encode() + b"\0"
    hash_at, symbols_at = start, start + len(hash_table)
    strings_at = symbols_at + symbol
    dynamic_at = -(-(strings_at + len(strings)) // 8) * 8
    entries = [
        (DT_SONAME, 1),
        (DT_HASH, hash_at),
        (DT_STRTAB, strings_at),
        (DT_SYMTAB, symbols_at),
        (DT_STRSZ, len(strings)),
        (DT_SYMENT, symbol),
        (DT_NULL, 0),
    ]
    dynamic = b"".join(struct.pack("<QQ" if wide else "<II", *entry) for entry in entries)
    size = dynamic_at + len(dynamic)
    ident = b"\x7fELF" + bytes([2 if wide else 1, 1, 1]) + bytes(9)
    header = head.pack(
        ident, ET_DYN, MACHINES[machine], 1, 0, head.size, 0, 0, head.size, table.size, 3, 64 if wide else 40, 0, 0
    )
    # Writable, because the linker writes addresses into the dynamic section. The stack need not be executable.
    segments = (
        segment(table, PT_LOAD, 0, size, 0x1000)
        + segment(table, PT_DYNAMIC, dynamic_at, len(dynamic), word)
        + segment(table, PT_GNU_STACK, 0, 0, 16)
    )
    body = hash_table + bytes(symbol) + strings
    return header + segments + body.ljust(dynamic_at - start, b"\0") + dynamic


def segment(table, kind, at, size, align):
    if table is PHDR:
        return table.pack(kind, READ_WRITE, at, at, at, size, size, align)
    return table.pack(kind, at, at, at, size, size, READ_WRITE, align)
