"""A small file for other programs, replaced whole: a reader meets the old one or the new one.

Unlike the spec it may be lost with the power, and nothing is synced: it is written every minute.
"""

import contextlib
import os

MODE = 0o644


def replace(path: str, content: bytes) -> None:
    """Raises OSError. The temporary is hidden, and does not end as the file does: collectors read by the ending."""
    directory, name = os.path.split(path)
    temporary = os.path.join(directory, f".{name}.tmp")
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)  # of one that was killed
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o600)
    try:
        try:
            os.fchmod(descriptor, MODE)
            with open(descriptor, "wb", closefd=False) as file:
                file.write(content)
        finally:
            os.close(descriptor)
        os.rename(temporary, path)
    except OSError:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def remove(path: str) -> None:
    """Raises OSError, but not if there is none."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        os.unlink(path)
