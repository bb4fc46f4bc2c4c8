"""What tells that something is not there, and what only tells that nobody could look."""

import errno

from cdi_refreshd.core.findings import Fault

ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG)
"""Errors of the system that say so about a path. What follows from any other one would be a guess."""


def unseen(path: str, error: OSError) -> Fault:
    """Of something whose absence would take it out of a spec: a full table of files is no reason for that."""
    return Fault(path, f"cannot be read: {error.strerror or error}", "probe again")
