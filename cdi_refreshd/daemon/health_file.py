"""The file with the health line. Its age is the daemon's heartbeat."""

import os
import time

from cdi_refreshd.core.report import health
from cdi_refreshd.core.report.health import Health
from cdi_refreshd.daemon.state_file import DIRECTORY
from cdi_refreshd.host import atomic_file, regular_file

PATH = f"{DIRECTORY}/health"
SIZE_LIMIT_BYTES = 4096


def write(of: Health) -> None:
    """Raises Fault."""
    atomic_file.publish(PATH, health.line(of).encode())


def beat() -> bool:
    """False if the file has been removed."""
    try:
        os.utime(PATH, follow_symlinks=False)
    except OSError:
        return False
    return True


def age_s() -> float | None:
    """Since the last heartbeat, below 0 if the clock was set back since; None if there is none."""
    try:
        return time.time() - os.lstat(PATH).st_mtime
    except OSError:
        return None


def read() -> Health:
    """The daemon's health line, unless it is too old."""
    age = age_s()
    if age is None:
        return health.NO_DAEMON
    if age > health.STALE_S:
        return health.STALE
    if age < -health.EARLY_S:
        return health.SET_BACK
    try:
        said = health.parsed(regular_file.read(PATH, SIZE_LIMIT_BYTES).decode("ascii", "replace"))
    except OSError:
        said = None
    return said or health.UNREADABLE
