"""What is at a path, and which devices the kernel lists: as records, without opening any of them."""

from typing import NamedTuple

CHARACTER, BLOCK, FIFO = "character device", "block device", "FIFO"
FILE, DIRECTORY, SOCKET, LINK = "file", "directory", "socket", "symbolic link"
NOTHING, UNKNOWN = "nothing", "unknown"
"""UNKNOWN: no permission to find out."""


class Entry(NamedTuple):
    """What is at a path. All but `kind` describes the target of a symbolic link."""

    kind: str = NOTHING
    real: str = NOTHING
    """The kind with symbolic links followed."""
    major: int = 0
    minor: int = 0
    mode: int = 0
    """Permission bits."""
    gid: int = 0
    uid: int = 0


UNSEEN = Entry(UNKNOWN, UNKNOWN)


def registered(text: str, nvidia_loaded: bool = False) -> tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]]:
    """/proc/devices, for character and for block devices: major -> names of its drivers.

    Empty (unknown) if NVIDIA's module is loaded and the text has none of its majors: then the text is not from the
    kernel that the module is in, but from the /proc of a container or a test.
    """
    tables: tuple[dict[int, tuple[str, ...]], dict[int, tuple[str, ...]]] = ({}, {})
    table = tables[0]
    for line in text.splitlines():
        if line.startswith("Block"):
            table = tables[1]
        number, _, name = line.strip().partition(" ")
        if number.isascii() and number.isdigit() and name:
            table[int(number)] = (*table.get(int(number), ()), name)
    if nvidia_loaded and not any(name.startswith("nvidia") for names in tables[0].values() for name in names):
        return {}, {}
    return tables
