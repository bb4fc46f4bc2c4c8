"""What `/etc/ld.so.cache` lists.

Source: glibc's cache format, "glibc-ld.so.cache" version 1.1 (elf/cache.c, sysdeps/generic/dl-cache.h), optionally
behind the older "ld.so-1.7.0" table.
"""

import struct

OLD_MAGIC, NEW_MAGIC = b"ld.so-1.7.0\0", b"glibc-ld.so.cache1.1"
OLD_ENTRY_BYTES, NEW_HEAD_BYTES, NEW_ENTRY = 12, 48, struct.Struct("<iIIIQ")
ELF = (1, 3)
"""A plain ELF library, and one for glibc 2."""
ARCHITECTURES = {64: (0x0300, 0x0500, 0x0A00), 32: (0x0000,)}
"""x86-64, ppc64le and aarch64; i386."""


def libraries(cache: bytes, bits: int = 64) -> tuple[str, ...]:
    """Paths of the 64-bit or the 32-bit libraries, in the cache's order. ValueError if this is not such a cache."""
    at = 0
    if cache.startswith(OLD_MAGIC):
        (count,) = struct.unpack_from("<I", _part(cache, 12, 4))
        at = -(-(16 + count * OLD_ENTRY_BYTES) // 8) * 8
    if cache[at : at + len(NEW_MAGIC)] != NEW_MAGIC:
        raise ValueError("not a library cache of glibc 2.2 or later")
    (count,) = struct.unpack_from("<I", _part(cache, at + 20, 4))
    table = _part(cache, at + NEW_HEAD_BYTES, count * NEW_ENTRY.size)
    paths: dict[str, None] = {}
    for flags, _, value, _, _ in NEW_ENTRY.iter_unpack(table):
        if flags & 0xFF in ELF and flags & 0xFF00 in ARCHITECTURES[bits]:
            paths[_string(cache, at + value)] = None
    return tuple(paths)


def _part(cache: bytes, at: int, size: int) -> bytes:
    part = cache[at : at + size]
    if len(part) != size:
        raise ValueError("it ends too early")
    return part


def _string(cache: bytes, at: int) -> str:
    end = cache.find(b"\0", at)
    if end < 0:
        raise ValueError("a name lies outside it")
    return cache[at:end].decode("utf-8", "surrogateescape")
