"""Makes device nodes and links to them. No symbolic link is followed. A node that exists by now is fine."""

import contextlib
import errno
import os
import stat
from collections.abc import Iterator

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.inventory import Node

_DIRECTORY_MODE = 0o755
_HINTS = {
    errno.EACCES: "run as root",
    errno.EPERM: "allow CAP_MKNOD, and CAP_CHOWN with @chown where the driver's nodes are not root's",
    errno.EROFS: "make /dev writable",
    errno.ELOOP: "a symbolic link is in its place: remove it",
    errno.ENOTDIR: "move away what is in its directory's place",
}


def make(node: Node) -> bool:
    """False if it was made meanwhile. Raises Fault; then it is not left half-made."""
    with _directory(node.path) as (fd, name):
        try:
            _make(fd, name, node)
        except FileExistsError:
            if _numbers(fd, name) != (node.major, node.minor):
                raise
            return False
    return True


def replace(node: Node) -> bool:
    """Replaces a character device with other numbers. False if it has these already. Raises Fault."""
    with _directory(node.path) as (fd, name):
        numbers = _numbers(fd, name)
        if numbers == (node.major, node.minor):
            return False
        if numbers is not None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name, dir_fd=fd)
        with contextlib.suppress(FileExistsError):
            _make(fd, name, node)
            return True
        return False


def link(path: str, text: str) -> bool:
    """False if the path exists already: the next probe checks it. Raises Fault."""
    with _directory(path) as (fd, name):
        try:
            os.symlink(text, name, dir_fd=fd)
        except FileExistsError:
            return False
    return True


def unlink(path: str, text: str) -> bool:
    """Removes only a link with this text. False if there is none. Raises Fault."""
    with _directory(path) as (fd, name):
        try:
            if os.readlink(name, dir_fd=fd) != text:
                return False
            os.unlink(name, dir_fd=fd)
        except FileNotFoundError:
            return False
        except OSError as error:
            if error.errno == errno.EINVAL:  # not a link
                return False
            raise
    return True


@contextlib.contextmanager
def _directory(path: str) -> Iterator[tuple[int, str]]:
    """The directory, made where it is missing, and the name in it. OSError becomes Fault."""
    above, name = os.path.split(path)
    fd = -1
    try:
        fd = _open(above)
        yield fd, name
    except OSError as error:
        text = os.strerror(error.errno or 0)
        hint = _HINTS.get(error.errno or 0, "")
        raise Fault(path, f"cannot be made as it should be: {text[:1].lower()}{text[1:]}", hint) from error
    finally:
        if fd >= 0:
            os.close(fd)


def _open(directory: str) -> int:
    flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        return os.open(directory, flags)
    except FileNotFoundError:
        parent, name = os.path.split(directory)
        above = os.open(parent, flags)
    try:
        with contextlib.suppress(FileExistsError), _umask(0o777 & ~_DIRECTORY_MODE):
            os.mkdir(name, _DIRECTORY_MODE, dir_fd=above)
        return os.open(name, flags, dir_fd=above)
    finally:
        os.close(above)


@contextlib.contextmanager
def _umask(mask: int) -> Iterator[None]:
    before = os.umask(mask)
    try:
        yield
    finally:
        os.umask(before)


def _make(fd: int, name: str, node: Node) -> None:
    # The mode from the first moment on, and no chmod after it: that would follow a link.
    with _umask(0):
        os.mknod(name, stat.S_IFCHR | node.mode, os.makedev(node.major, node.minor), dir_fd=fd)
    if node.uid or node.gid:
        try:
            os.chown(name, node.uid, node.gid, dir_fd=fd, follow_symlinks=False)
        except OSError:
            os.unlink(name, dir_fd=fd)
            raise


def _numbers(fd: int, name: str) -> tuple[int, int] | None:
    """Of the character device there; None where there is none."""
    try:
        seen = os.stat(name, dir_fd=fd, follow_symlinks=False)
    except OSError:
        return None
    return (os.major(seen.st_rdev), os.minor(seen.st_rdev)) if stat.S_ISCHR(seen.st_mode) else None
