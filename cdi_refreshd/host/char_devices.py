"""Device nodes, by lstat alone: opening one would wake its GPU or hold its driver.

A node that cannot be inspected raises a Fault: no GPU loses its node because the kernel had no memory left.
"""

import errno
import os
import stat
from collections.abc import Iterable, Iterator

from cdi_refreshd.core.formats.globs import WILDCARD
from cdi_refreshd.core.formats.globs import matching as matching_names
from cdi_refreshd.core.nvidia.inventory import Link, Node
from cdi_refreshd.core.read_errors import ABSENT, unreadable


def node(path: str) -> Node | None:
    """The character device at `path`; None where there is none. A symbolic link to one does not count. Raises Fault."""
    try:
        seen = os.lstat(path)
    except OSError as error:
        if error.errno not in ABSENT:
            raise unreadable(path, error) from None
        return None
    if not stat.S_ISCHR(seen.st_mode):
        return None
    device = seen.st_rdev
    return Node(path, os.major(device), os.minor(device), stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid)


def problem(path: str) -> str:
    """Why `path` is no device node that a container can be given."""
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        return "is missing"
    return "is a symbolic link, not a device node" if stat.S_ISLNK(mode) else "is no character device"


def present(paths: Iterable[str]) -> tuple[Node, ...]:
    return tuple(found for path in paths if (found := node(path)))


def matching(pattern: str) -> Iterator[Node]:
    """Character devices whose path matches, in order; every part of the pattern may have wildcards. Raises Fault."""
    directory, _, name = pattern.rpartition("/")
    for path in _directories(directory):
        yield from present(f"{path}/{entry}" for entry in _names(path, name))


def _directories(pattern: str) -> Iterator[str]:
    if not WILDCARD.search(pattern):
        yield pattern
        return
    above, _, name = pattern.rpartition("/")
    for path in _directories(above):
        yield from (f"{path}/{entry}" for entry in _names(path, name))


def _names(directory: str, pattern: str) -> list[str]:
    """A name that is not printable cannot be written into a spec, and no driver gives one."""
    try:
        names = matching_names(sorted(os.listdir(directory or "/")), (pattern,))
    except OSError as error:
        if error.errno not in ABSENT:
            raise unreadable(directory, error) from None
        return []
    return [name for name in names if name.isprintable()]


def links(paths: Iterable[str]) -> tuple[Link, ...]:
    """Those of the paths that are symbolic links, with their texts. Raises Fault."""
    found = []
    for path in paths:
        try:
            found.append(Link(path, os.readlink(path)))
        except OSError as error:
            if error.errno not in (*ABSENT, errno.EINVAL):  # EINVAL: it is something else
                raise unreadable(path, error) from None
    return tuple(found)
