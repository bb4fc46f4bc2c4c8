"""Messages as udevd sends them to its listeners, so that a test can act as udevd.

The layout is libudev's: a header with the offsets of the properties and hashes for the kernel's filter, then the
properties, a NUL after each.
"""

import struct

MAGIC = 0xFEEDCAFE
HEADER = struct.Struct("=8sIIIIIIII")
MIX, MASK = 0x5BD1E995, 0xFFFFFFFF


def message(action, subsystem, path, **properties):
    pairs = {"ACTION": action, "DEVPATH": path, "SUBSYSTEM": subsystem, "SEQNUM": "1", **properties}
    body = b"".join(f"{key}={value}\0".encode() for key, value in pairs.items())
    header = HEADER.pack(
        b"libudev\0", swapped(MAGIC), HEADER.size, HEADER.size, len(body), swapped(murmur(subsystem.encode())), 0, 0, 0
    )
    return header + body


def swapped(number):
    """In network byte order on every machine."""
    return struct.unpack("=I", struct.pack(">I", number))[0]


def murmur(data):
    """MurmurHash2 with seed 0."""
    result = len(data)
    whole = len(data) // 4 * 4
    for (word,) in struct.iter_unpack("=I", data[:whole]):
        mixed = word * MIX & MASK
        result = result * MIX & MASK ^ (mixed ^ mixed >> 24) * MIX & MASK
    if rest := data[whole:]:
        result = (result ^ int.from_bytes(rest, "little")) * MIX & MASK
    result = (result ^ result >> 13) * MIX & MASK
    return result ^ result >> 15
