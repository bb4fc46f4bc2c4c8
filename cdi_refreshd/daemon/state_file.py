"""The daemon's state file, and whether the daemon runs."""

import json
import os
from typing import Any

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.report import state_document
from cdi_refreshd.host import atomic_file, regular_file

DIRECTORY = "/run/cdi-refreshd"
PATH = f"{DIRECTORY}/state.json"
LOCK = f"{DIRECTORY}/lock"
SIZE_LIMIT_BYTES = 4 << 20


def write(document: dict[str, Any]) -> None:
    """Written atomically. Raises Fault."""
    atomic_file.publish(PATH, json.dumps(document, indent=1).encode())


def read() -> dict[str, Any]:
    """Raises Fault if there is none."""
    try:
        loaded = json.loads(regular_file.read(PATH, SIZE_LIMIT_BYTES))
    except FileNotFoundError:
        raise Fault(PATH, "is missing: no daemon has run since boot", "systemctl start cdi-refreshd") from None
    except (OSError, ValueError, RecursionError) as error:
        raise Fault(PATH, f"cannot be read ({error})", "systemctl restart cdi-refreshd") from None
    if not state_document.is_one(loaded):
        raise Fault(PATH, "is not a state document", "systemctl restart cdi-refreshd")
    document: dict[str, Any] = loaded
    return document


def is_daemon(pid: object) -> bool:
    """Whether that process is alive and ours, and not another with the same pid."""
    try:
        with open(f"/proc/{int(str(pid))}/cmdline", "rb") as file:
            words = file.read(4096).split(b"\0")
    except (OSError, ValueError):
        return False
    return b"run" in words and any(b"cdi-refreshd" in word or b"cdi_refreshd" in word for word in words)


def is_running(pid: object) -> bool:
    """Whether a daemon has the lock: it may be in another PID namespace, where its pid means nothing here."""
    return _is_locked() or is_daemon(pid)


def _is_locked() -> bool:
    try:
        seen = os.lstat(LOCK)
        with open("/proc/locks", encoding="ascii") as file:
            # 1: FLOCK  ADVISORY  WRITE 812 00:1b:1301 0 EOF; the device's numbers are hexadecimal.
            held = {line.split()[-3] for line in file if " FLOCK " in line}
    except (OSError, IndexError):
        return False
    numbers = f"{os.major(seen.st_dev):02x}:{os.minor(seen.st_dev):02x}:{seen.st_ino}"
    return numbers in held or _is_locked_elsewhere()


def _is_locked_elsewhere() -> bool:
    """Whether a process outside of this PID namespace has the lock. Only root may ask."""
    import fcntl  # noqa: PLC0415 - few come here

    try:
        descriptor = os.open(LOCK, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


def lock() -> int:
    """A descriptor to keep open. Raises Fault if another daemon has the lock, or it cannot be made."""
    import fcntl  # noqa: PLC0415 - only the daemon locks

    try:
        os.makedirs(DIRECTORY, mode=0o755, exist_ok=True)
        descriptor = _lock_file()
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        raise Fault(LOCK, "another daemon runs", "see cdi-refreshd status") from None
    except OSError as error:
        hint = "run it as root" if isinstance(error, PermissionError) else f"make {DIRECTORY} a writable directory"
        raise Fault(LOCK, f"cannot be locked ({error.strerror})", hint) from None
    return descriptor


def _lock_file() -> int:
    """Closed to others: a user who can open the file can lock it, and so keep every daemon from starting.

    A file of earlier releases that others can open is replaced, since it may be locked.
    """
    flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
    descriptor = os.open(LOCK, flags, 0o600)
    seen = os.fstat(descriptor)
    if (seen.st_uid == os.geteuid() and not seen.st_mode & 0o077) or _a_daemon_lives():
        return descriptor
    os.close(descriptor)
    os.unlink(LOCK)
    return os.open(LOCK, flags | os.O_EXCL, 0o600)


def _a_daemon_lives() -> bool:
    try:
        return is_daemon(read().get("pid"))
    except Fault:
        return False
