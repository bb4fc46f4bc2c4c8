"""The installed container runtimes and their version output. Asking starts no service.

A program that does not end in time is killed with all that it started, and nothing waits for one that cannot be killed.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cdi_refreshd.core.checks.container_runtimes import INSTALLATIONS
from cdi_refreshd.core.nvidia.inventory import InstalledRuntime

DIRECTORIES = ("/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin")
ENVIRONMENT = {"PATH": ":".join(DIRECTORIES), "HOME": "/nonexistent"}
LIMIT_S = 2.0
GRACE_S = 0.5
"""How long a killed program may take to end."""
SIZE_LIMIT_BYTES = 1 << 16
Key = tuple[str, int, int]
_answers: dict[Key, str] = {}
"""By path, size and time of change: a daemon asks a program once, and again when it was replaced."""
_lingering: set[int] = set()
"""Killed, but not ended: they hang in the kernel. Reaped at the next request."""


class Asked(NamedTuple):
    """A program that was started to print its version."""

    found: InstalledRuntime
    pid: int = 0
    """0 where its answer is known already."""
    output: int = -1

    @property
    def key(self) -> Key:
        return self.found.path, self.found.size_bytes, self.found.mtime_ns


def installed(names: Iterable[str]) -> tuple[InstalledRuntime, ...]:
    """The installed programs of INSTALLATIONS, or of others, with the version output of each."""
    return answers(ask(names))


def remember(found: Iterable[InstalledRuntime]) -> None:
    """Keeps the answers that a child got: the next one, forked from this process, need not ask again."""
    _answers.update({Asked(one).key: one.said for one in found if one.path})


def ask(names: Iterable[str]) -> list[Asked]:
    """Starts the installed ones, all at once. The result must be passed to `answers`."""
    for pid in tuple(_lingering):
        _reaped(pid)
    asked = [Asked(found) for name in names if (found := _find(name))]
    return [one if one.key in _answers else _start(one) for one in asked]


def answers(asked: Sequence[Asked]) -> tuple[InstalledRuntime, ...]:
    """ "" for a program that fails, or takes too long. Asking again costs nothing."""
    ends_at = time.monotonic() + LIMIT_S
    for one in asked:
        if one.key not in _answers:
            _answers[one.key] = _finish(one, ends_at)
    return tuple(one.found._replace(said=_answers[one.key]) for one in asked)


def _find(name: str) -> InstalledRuntime | None:
    program = INSTALLATIONS[name].program if name in INSTALLATIONS else name
    for path in (program,) if program.startswith("/") else [f"{directory}/{program}" for directory in DIRECTORIES]:
        if os.access(path, os.X_OK) and os.path.isfile(path):
            seen = os.stat(path)
            return InstalledRuntime(name, path, seen.st_size, seen.st_mtime_ns)
    return None


def _start(one: Asked) -> Asked:
    output, theirs = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, theirs, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    words = [one.found.path, "--version"]
    try:
        pid = os.posix_spawn(words[0], words, ENVIRONMENT, file_actions=actions, setsid=True)
    except OSError:  # no program for this machine
        os.close(output)
        _answers[one.key] = ""
        return one
    finally:
        os.close(theirs)
    return one._replace(pid=pid, output=output)


def _finish(one: Asked, ends_at: float) -> str:
    """Its output, where it has succeeded by then. It may close its output and go on, or leave it to a child."""
    said, closed, status = b"", False, None
    poll = select.poll()
    poll.register(one.output, select.POLLIN)
    try:
        while len(said) < SIZE_LIMIT_BYTES and not closed:
            if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
                break
            more = os.read(one.output, SIZE_LIMIT_BYTES)
            said, closed = said + more, not more
        well = closed and _ends_by(one.pid, ends_at)
    finally:
        os.close(one.output)
        status = _killed(one.pid)
    return said.decode("utf-8", "replace") if well and status == 0 else ""


def _ends_by(pid: int, ends_at: float) -> bool:
    """Waits for its end, and leaves it to be reaped."""
    while not (ended := _has_ended(pid)) and (left_s := ends_at - time.monotonic()) > 0:
        try:
            descriptor = os.pidfd_open(pid)
        except OSError:  # a kernel before 5.3
            time.sleep(min(0.01, left_s))
            continue
        select.select([descriptor], [], [], left_s)
        os.close(descriptor)
    return ended


def _has_ended(pid: int) -> bool:
    try:
        return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None
    except ChildProcessError:  # another part of this process waits for every child
        return True


def _killed(pid: int) -> int:
    """Kills what is left of its session, and itself. Returns its exit status; -1 where it is unknown."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)  # before it is reaped: until then no other process has its number
    _ends_by(pid, time.monotonic() + GRACE_S)
    return _reaped(pid)


def _reaped(pid: int) -> int:
    try:
        gone, status = os.waitpid(pid, os.WNOHANG)
    except ChildProcessError:
        gone, status = pid, -1
    (_lingering.discard if gone else _lingering.add)(pid)
    return status if gone else -1
