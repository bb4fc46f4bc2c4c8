"""Opens files at paths where others can put anything: a FIFO, a link, a device, an endless file.

Every module that reads a file opens it here (tests/test_rules.py sees to it), except those of procfs and sysfs, which
are the kernel's. This is the only module that others in host/ and events/ may import.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
_KINDS = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device node",
    stat.S_IFBLK: "a device node",
}


class NotRegular(OSError):
    """The path is something else: `status` is its stat."""

    def __init__(self, path: str, status: os.stat_result) -> None:
        kind = _KINDS.get(stat.S_IFMT(status.st_mode), "something else")
        super().__init__(errno.EINVAL, f"is {kind}, not a regular file", path)
        self.status = status


class TooLarge(OSError):
    """The file is larger than the reader's limit."""

    def __init__(self, path: str, at_most_bytes: int) -> None:
        super().__init__(errno.EFBIG, f"is larger than {at_most_bytes} bytes", path)


def open_fd(path: str, *, follow_links: bool = False, dir_fd: int | None = None) -> int:
    """A descriptor of a regular file, to be closed by the caller. Never waits, and opens no device.

    Raises NotRegular, or another OSError. `follow_links` is for files that administrators may link elsewhere.
    """
    _refuse(path, os.stat(path, dir_fd=dir_fd, follow_symlinks=follow_links))
    descriptor = os.open(path, _FLAGS | (0 if follow_links else os.O_NOFOLLOW), dir_fd=dir_fd)
    try:
        _refuse(path, os.fstat(descriptor))  # it may have been replaced meanwhile
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


@contextlib.contextmanager
def opened(path: str, *, follow_links: bool = False, dir_fd: int | None = None) -> Iterator[int]:
    """As `open_fd`, and closes it."""
    descriptor = open_fd(path, follow_links=follow_links, dir_fd=dir_fd)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def read(path: str, at_most_bytes: int, *, follow_links: bool = False) -> bytes:
    """The whole file. Raises NotRegular, TooLarge, or another OSError."""
    content = start(path, at_most_bytes + 1, follow_links=follow_links)
    if len(content) > at_most_bytes:
        raise TooLarge(path, at_most_bytes)
    return content


def start(path: str, at_most_bytes: int, *, follow_links: bool = False) -> bytes:
    """The file's first bytes. Raises NotRegular, or another OSError."""
    with opened(path, follow_links=follow_links) as descriptor:
        parts: list[bytes] = []
        left = at_most_bytes
        while left > 0 and (part := os.read(descriptor, min(left, 1 << 20))):
            parts.append(part)
            left -= len(part)
        return b"".join(parts)


def _refuse(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise NotRegular(path, status)
