"""Replaces a spec atomically: the only module that writes one.

The temporary file is in the spec's own directory, because CDI caches notice a rename within the directory that they
watch, but not one from elsewhere. Its name does not end in .yaml or .json, because they would read it, and drop every
device that it has in common with the spec. Its writer holds a lock on it, so that no other process deletes it.
"""

import contextlib
import errno
import fcntl
import os
import stat
from typing import NamedTuple

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import regular_file

_FILE_MODE = 0o644
_DIRECTORY_MODE = 0o755
_ATTEMPTS = 100
_RANDOM_BYTES = 3
_HINTS = {
    errno.EACCES: "run as root; if this is root, look for a denial by SELinux or AppArmor",
    errno.EDQUOT: "free some space in that directory, or raise the quota",
    errno.EIO: "look for disk errors in the kernel's log",
    errno.ENOENT: "the directory was removed meanwhile; try again",
    errno.ENOSPC: "free some space, or inodes, in that filesystem",
    errno.EPERM: "run as root; if this is root, look for an immutable flag with lsattr",
    errno.EROFS: "make that filesystem writable, or write elsewhere",
}


class Identity(NamedTuple):
    """A file as it was at one moment. Its content cannot change without the change time."""

    device: int
    inode: int
    mode: int
    size_bytes: int
    mtime_ns: int
    ctime_ns: int


class Placed(NamedTuple):
    written: bool
    """False: it was there already."""
    identity: Identity
    """Of what was written, or found unchanged. From its descriptor: the path may lead to another file by now."""


def identity(path: str) -> Identity | None:
    """The identity of what is at `path` itself, for instance a link; None for nothing."""
    try:
        return _identity(os.lstat(path))
    except OSError:
        return None


def _identity(seen: os.stat_result) -> Identity:
    return Identity(seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def publish(path: str, content: bytes) -> bool:
    """As `place`: True when written, False when it was there already."""
    return place(path, content).written


def place(path: str, content: bytes, at_once: bool = False) -> Placed:
    """Make `path` a regular file of mode 0644 with this content, unless it is one already.

    Readers see either the old document or the new one, at every moment, even if this process dies. A missing directory
    is made, with its parents. A Fault leaves what was there, except the one that says "is in place".

    `at_once`: without comparing it with the existing file, if that is known to differ.
    """
    directory, name = _split(path)
    try:
        fd = _make_directory(directory)
    except OSError as error:
        raise _directory_fault(directory, error) from error
    try:
        if not at_once:
            with contextlib.suppress(OSError):  # a leftover temporary must not keep us from publishing
                _sweep(fd, name)
            if found := _stands(fd, name, content):
                return Placed(False, found)
        written = _replace(fd, name, content)
        _sync_done(fd, path, "is in place")
    except OSError as error:
        raise _fault(path, "written", error) from error
    finally:
        _close(fd)
    return Placed(True, written)


def holds(path: str, content: bytes) -> bool:
    """Whether the file has this content, in a form that publish would not replace."""
    head, name = _split(path)
    try:
        directory = os.open(head, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        return _stands(directory, name, content) is not None
    finally:
        _close(directory)


def withdraw(path: str) -> bool:
    """Delete the file: True if there was one. A missing directory is as good as a missing file."""
    directory, name = _split(path)
    try:
        fd = _open_directory(directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _directory_fault(directory, error) from error
    try:
        os.unlink(name, dir_fd=fd)
        _sync_done(fd, path, "is removed")
    except FileNotFoundError:
        return False
    except OSError as error:
        raise _fault(path, "removed", error) from error
    finally:
        _close(fd)
    return True


def sweep(path: str) -> tuple[str, ...]:
    """Remove the temporary files that dead publishers of `path` left, and return their paths, sorted."""
    directory, name = _split(path)
    try:
        fd = _open_directory(directory)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise _directory_fault(directory, error) from error
    try:
        return tuple(os.path.join(directory, temporary) for temporary in _sweep(fd, name))
    except OSError as error:
        raise _fault(directory, "swept", error) from error
    finally:
        _close(fd)


def _split(path: str) -> tuple[str, str]:
    directory, name = os.path.split(path)
    if name in ("", ".", ".."):
        raise Fault(path or '""', "is not the path of a file", "name one, such as /var/run/cdi/nvidia.yaml")
    return directory or ".", name


def _open_directory(directory: str, above: int | None = None) -> int:
    return os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=above)


def _make_directory(directory: str) -> int:
    """A descriptor of the directory. Links are followed here, and nowhere after."""
    with contextlib.suppress(FileNotFoundError):
        return _open_directory(directory)
    parent, name = os.path.split(directory)
    above = _make_directory(parent or ".")
    try:
        # Not a chmod afterwards: if the process died between the two, the directory would stay closed to readers.
        umask = os.umask(0o777 & ~_DIRECTORY_MODE)
        try:
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=above)
        except FileExistsError:
            pass  # made by another process, or a dangling link: opening it fails then
        finally:
            os.umask(umask)
        _sync(above)
        return _open_directory(name, above)
    finally:
        _close(above)


def _sweep(directory: int, name: str) -> list[str]:
    return sorted(
        found for found in os.listdir(directory) if _is_temporary(found, name) and _sweep_one(directory, found)
    )


def _is_temporary(found: str, name: str) -> bool:
    prefix, suffix = f".{name}.", ".tmp"
    middle = found[len(prefix) : -len(suffix)]
    whole = found.startswith(prefix) and found.endswith(suffix) and len(middle) == 2 * _RANDOM_BYTES
    return whole and set(middle) <= set("0123456789abcdef")


def _sweep_one(directory: int, temporary: str) -> bool:
    try:
        fd = regular_file.open_fd(temporary, dir_fd=directory)
    except OSError:
        return False  # gone already, or not ours
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.unlink(temporary, dir_fd=directory)
    except OSError:
        return False  # its writer is alive, or another sweep was faster
    finally:
        _close(fd)
    return True


def _stands(directory: int, name: str, content: bytes) -> Identity | None:
    """The file, if it has this content already. If it cannot be read, writing reports the error."""
    try:
        fd = regular_file.open_fd(name, dir_fd=directory)
    except OSError:
        return None
    try:
        seen = os.fstat(fd)  # before it is read, so that a write in between changes the identity
        if stat.S_IMODE(seen.st_mode) != _FILE_MODE:
            return None
        found = b""
        while len(found) <= len(content) and (more := os.read(fd, len(content) + 1 - len(found))):
            found += more
        return _identity(seen) if found == content else None
    except OSError:
        return None
    finally:
        _close(fd)


def _replace(directory: int, name: str, content: bytes) -> Identity:
    for _ in range(_ATTEMPTS):
        if written := _replace_by(f".{name}.{os.urandom(_RANDOM_BYTES).hex()}.tmp", directory, name, content):
            return written
    raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))


def _replace_by(temporary: str, directory: int, name: str, content: bytes) -> Identity | None:
    """None if the temporary exists already, or was swept before we had the lock."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        # Closed to others until it is complete: a process that can open it can lock it.
        fd = os.open(temporary, flags, 0o600, dir_fd=directory)
    except FileExistsError:
        return None
    renamed = False
    try:
        if not _lock(fd):
            return None
        _write(fd, content)
        os.fchmod(fd, _FILE_MODE)
        os.fsync(fd)
        before = _identity(os.fstat(fd))
        os.rename(temporary, name, src_dir_fd=directory, dst_dir_fd=directory)
        renamed = True
        after = before
        with contextlib.suppress(OSError):  # it is in place; at worst our own event is taken for another's
            after = _identity(os.fstat(fd))
    finally:
        if not renamed:
            with contextlib.suppress(OSError):  # the next publisher sweeps it
                os.unlink(temporary, dir_fd=directory)
        _close(fd)
    # The rename changes the change time only. If anything else differs, another process wrote it: then it is not ours.
    return after if after._replace(ctime_ns=before.ctime_ns) == before else before


def _lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink > 0


def _write(fd: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        written = os.write(fd, rest)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        rest = rest[written:]


def _sync(directory: int) -> None:
    try:
        os.fsync(directory)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # file systems that cannot sync directories
            raise


def _sync_done(directory: int, path: str, done: str) -> None:
    try:
        _sync(directory)
    except OSError as error:
        raise Fault(path, f"{done}, but may not be after a power cut: {_said(error)}", _hint(error)) from error


def _close(fd: int) -> None:
    with contextlib.suppress(OSError):  # the data were synced; Linux frees the descriptor even on errors
        os.close(fd)


def _said(error: OSError) -> str:
    text = os.strerror(error.errno or 0)
    return text[:1].lower() + text[1:]


def _hint(error: OSError) -> str:
    return _HINTS.get(error.errno or 0, "")


def _fault(path: str, done: str, error: OSError) -> Fault:
    if error.errno == errno.EISDIR:
        return Fault(path, "is a directory, not a file", "move it away")
    return Fault(path, f"cannot be {done}: {_said(error)}", _hint(error))


def _directory_fault(directory: str, error: OSError) -> Fault:
    """The fault of a directory that cannot be opened or made, with the part of its path that is the cause."""
    parts = directory.split("/")
    for upto in range(1, len(parts) + 1):
        part = "/".join(parts[:upto])
        if os.path.islink(part) and not os.path.exists(part):
            to = os.readlink(part)
            return Fault(
                part, f"is a symbolic link to {to}, which is not there", "make that directory, or remove the link"
            )
        if os.path.exists(part) and not os.path.isdir(part):
            return Fault(part, "is a file, not a directory", "move it away")
    return Fault(directory, f"cannot be opened or made: {_said(error)}", _hint(error))
