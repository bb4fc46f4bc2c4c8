"""Leases on files that all may read and nobody should write: who opens one to write waits until we have let go of it.

See F_SETLEASE in fcntl(2). Reading, renaming and deleting wait for nobody. The kernel tells by SIGIO that somebody
waits, and lets him through after 45 s at the latest (/proc/sys/fs/lease-break-time), or when we die. Where a filesystem
or a security module allows no leases there are none, and inotify tells what was written afterwards.
"""

import contextlib
import errno
import fcntl
import os
from collections.abc import Iterable

from cdi_refreshd.host import regular_file

STAYS_MOUNTED = ("/", "/run")
"""While we run. Nothing else that is mounted is held on to: a descriptor keeps it from being unmounted."""


class Leases:
    def __init__(self) -> None:
        self._held: dict[str, int] = {}

    def hold(self, paths: Iterable[str]) -> None:
        """On these, as they stand now, and no others. Who waits for one that stays goes on waiting."""
        wanted = tuple(paths)
        for path in [path for path, fd in self._held.items() if path not in wanted or not _is_at(fd, path)]:
            self._let_go(path)
        for path in wanted:
            if path not in self._held:
                with contextlib.suppress(OSError):
                    self._hold(path)

    def wanted(self) -> list[str]:
        """Those that somebody waits for."""
        return [path for path, fd in self._held.items() if fcntl.fcntl(fd, fcntl.F_GETLEASE) != fcntl.F_RDLCK]

    def release(self) -> None:
        for path in list(self._held):
            self._let_go(path)

    def _let_go(self, path: str) -> None:
        fd = self._held.pop(path)
        with contextlib.suppress(OSError):  # not by closing alone: a child may have the descriptor for a moment
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        os.close(fd)

    def _hold(self, path: str) -> None:
        fd = regular_file.open_fd(path)
        try:
            if _mount_id(fd) not in _ids_that_stay():
                raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
            fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        except OSError:
            os.close(fd)
            raise
        self._held[path] = fd


def _is_at(fd: int, path: str) -> bool:
    try:
        there = os.lstat(path)
    except OSError:
        return False
    held = os.fstat(fd)
    return (held.st_dev, held.st_ino) == (there.st_dev, there.st_ino)


def _ids_that_stay() -> set[str]:
    found = set()
    for place in STAYS_MOUNTED:
        with contextlib.suppress(OSError):
            fd = os.open(place, os.O_PATH | os.O_CLOEXEC)
            try:
                found.add(_mount_id(fd))
            finally:
                os.close(fd)
    return found


def _mount_id(fd: int) -> str:
    """By the kernel's word: a bind mount has the device of what it shows."""
    with open(f"/proc/self/fdinfo/{fd}") as file:
        return next((line.split()[1] for line in file if line.startswith("mnt_id:")), "")
