"""Which errors of a read mean that something is not there, and which only that it could not be read."""

import errno

from cdi_refreshd.core.findings import Fault

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""These mean that the path does not exist. Any other error leaves it open."""


def unreadable(path: str, error: OSError) -> Fault:
    """The fault for a path that may exist. Nothing may leave a spec because, say, the file table was full."""
    return Fault(path, f"cannot be read: {error.strerror or error}", "probe again")
