"""Gives a file a name that no container runtime reads, and loses nothing."""

import contextlib
import errno
import os

from cdi_refreshd.core.findings import Fault

SUFFIX = ".cdi-refreshd-aside"
ATTEMPTS = 1000
_HINTS = {
    errno.EACCES: "run as root",
    errno.EPERM: "run as root; if this is root, look for an immutable flag with lsattr",
    errno.EROFS: "make that file system writable, or remove the file where it comes from",
}


def name_for(path: str) -> str:
    """The name that `put` would give the file now."""
    return next(name for name in _names(path) if not os.path.lexists(name))


def put(path: str) -> str:
    """Renames the file (of a symbolic link the link itself) within its directory; returns its new path.

    Raises Fault, and then nothing has changed. An existing file is never overwritten.
    """
    try:
        for name in _names(path):
            try:
                # Reserves the name: a rename alone would overwrite a file that was put there meanwhile.
                os.close(os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            except FileExistsError:
                continue
            _rename(path, name)
            return name
        raise Fault(path, "has been put aside too often", f"remove some of {path}{SUFFIX}.*")
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise Fault(path, f"cannot be renamed: {why[:1].lower()}{why[1:]}", _HINTS.get(error.errno or 0, "")) from error


def _names(path: str) -> list[str]:
    return [path + SUFFIX, *(f"{path}{SUFFIX}.{number}" for number in range(1, ATTEMPTS))]


def _rename(path: str, name: str) -> None:
    directory = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            os.rename(path, name)
        except OSError:
            with contextlib.suppress(OSError):
                os.unlink(name)
            raise
        with contextlib.suppress(OSError):  # some file systems cannot sync directories
            os.fsync(directory)
    finally:
        os.close(directory)
