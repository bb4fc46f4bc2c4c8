"""The output of a program, bounded in time and in size, and isolated.

It gets no environment of ours, no input, no descriptor but the one that it answers by, and a session of its own, so
that what it starts goes with it when it takes too long.
"""

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterable
from typing import NamedTuple

LIMIT_S = 2.0
"""For all questions together."""
SIZE_LIMIT_BYTES = 1 << 16
CANNOT_RUN = (126, 127)
"""Exit statuses of the loader and the shell where they cannot start a program."""


class Identity(NamedTuple):
    """Identity of a file that was neither replaced nor written. Links are followed."""

    device: int
    inode: int
    size: int
    mtime_ns: int


class Answer(NamedTuple):
    runs: bool
    """False where this host cannot execute the program."""
    text: str = ""
    """What it printed on its standard output, as far as it is UTF-8 and no more than the limit."""


def identity(path: str) -> Identity | None:
    """None where nothing is there."""
    try:
        seen = os.stat(path)
    except (OSError, ValueError):
        return None
    return Identity(seen.st_dev, seen.st_ino, seen.st_size, seen.st_mtime_ns)


def is_roots(path: str) -> bool:
    """Whether only root can have written the program: anything else is not executed."""
    try:
        seen = os.stat(path)
    except (OSError, ValueError):
        return False
    return seen.st_uid == 0 and not seen.st_mode & 0o022


def ask(path: str, questions: Iterable[tuple[str, ...]], limit_s: float = LIMIT_S) -> list[Answer]:
    """The answer to each list of arguments, all asked at once. Waits for `limit_s` seconds at most."""
    started = [_start(path, arguments) for arguments in questions]
    ends_at = time.monotonic() + limit_s
    return [_finish(*one, ends_at) if one else Answer(False) for one in started]


def _start(path: str, arguments: tuple[str, ...]) -> tuple[int, int] | None:
    """Its pid and the descriptor that it answers by."""
    output, theirs = os.pipe2(os.O_CLOEXEC)
    actions = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, theirs, 1),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
    ]
    try:
        pid = os.posix_spawn(path, [path.rpartition("/")[2], *arguments], {}, file_actions=actions, setsid=True)
    except (OSError, ValueError):
        os.close(output)
        return None
    finally:
        os.close(theirs)
    return pid, output


def _finish(pid: int, output: int, ends_at: float) -> Answer:
    said, ended = b"", False
    poll = select.poll()
    poll.register(output, select.POLLIN)
    try:
        while len(said) < SIZE_LIMIT_BYTES and not ended:
            if not poll.poll(max(0.0, ends_at - time.monotonic()) * 1000):
                break
            more = os.read(output, SIZE_LIMIT_BYTES)
            said, ended = said + more, not more
    finally:
        os.close(output)
        status = _ended(pid, ends_at if ended else 0.0)
    runs = not (status is not None and os.WIFEXITED(status) and os.WEXITSTATUS(status) in CANNOT_RUN)
    return Answer(runs, said[:SIZE_LIMIT_BYTES].decode("utf-8", "replace"))


def _ended(pid: int, ends_at: float) -> int | None:
    """Its status; None where it did not end in time and was killed, with all that it had started."""
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:  # a kernel before 5.3: a program that has closed its output counts as ended
        descriptor = -1
    try:
        ends = select.select([descriptor], [], [], max(0.0, ends_at - time.monotonic()))[0] if descriptor >= 0 else []
        if not ends:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
        status = os.waitpid(pid, 0)[1]
        return status if ends else None
    except ChildProcessError:  # another part of this process waits for every child
        return None
    finally:
        if descriptor >= 0:
            os.close(descriptor)
