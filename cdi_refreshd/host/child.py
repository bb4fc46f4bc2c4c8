"""A child process that does one piece of work and answers once, bounded in time and in size.

It is forked, not executed: a new interpreter costs as much as the whole probe. It has its own session, so that a
terminal's signals do not reach it and a kill includes what it started; it dies with its parent; the descriptor of its
answer is the only one that it keeps. NVML's output is discarded.

Once the answer is complete and the child has ended, nothing else is waited for. Processes that it left behind are
killed: all that have the pipe of its answer open, see `left`, and its process group.
"""

import contextlib
import os
import resource
import select
import signal
import time
from collections.abc import Callable

from cdi_refreshd.core.findings import Fault, UsageFault

ANSWER_AT_MOST_BYTES = 16 << 20
FAULT_AT_MOST_BYTES = 1 << 16
HEAD_AT_MOST_BYTES = 64
GRACE_S = 1.0
"""How long a killed child may take to end. After that it is stuck in the kernel, where no signal reaches it."""
ANSWERS_BY = 3
PR_SET_PDEATHSIG = 1
FAULT_WORDS = 3
"""Place, fact, hint."""
BLIND_S = 0.05
"""How often the end of a child is polled if the kernel cannot notify us."""
_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT

Work = Callable[[], bytes]


class Child:
    """Poll `fileno()`; when readable call `read()` until it returns True; then `result()`. `kill()` ends it early."""

    def __init__(self, work: Work, stdin: int = -1) -> None:
        """`stdin` is a descriptor that the child gets as its standard input, instead of /dev/null."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        try:
            os.set_blocking(reader, False)  # before the fork: an error after it would lose the child
            self.pid = os.fork()
        except OSError:  # no process or no memory left: retries for hours must not use up the descriptors, too
            _close(reader)
            _close(writer)
            raise
        if not self.pid:
            _live(work, writer, stdin, parent)
        _close(writer)
        self._reader, self._parts, self._head, self._size = reader, [b""], b"", 0
        self._status: int | None = None
        self._killed = ""
        self.left: tuple[int, ...] = ()
        """Processes that it had started and left behind, and that have been killed."""

    def fileno(self) -> int:
        return self._reader

    def read(self) -> bool:
        """True when nothing more will come: the answer is complete, or the child has ended, even if other processes
        have the pipe."""
        ended = self._has_ended()  # before reading, so that nothing is missed
        while self._size <= ANSWER_AT_MOST_BYTES:
            try:
                part = os.read(self._reader, 1 << 18)
            except BlockingIOError:
                return ended or self._is_whole()
            if not part:
                return True
            self._parts.append(part)
            self._head = (self._head + part[:HEAD_AT_MOST_BYTES])[:HEAD_AT_MOST_BYTES]
            self._size += len(part)
        self.kill(f"answered more than {ANSWER_AT_MOST_BYTES >> 20} MiB")
        return True

    def _is_whole(self) -> bool:
        head, newline, _ = self._head.partition(b"\n")
        size = head.partition(b" ")[2]
        announced = int(size) if newline and size.isdigit() else -1
        return announced >= 0 and self._size - len(head) - 1 >= announced

    def kill(self, why: str) -> None:
        self._killed = self._killed or why
        if self._status is not None:
            return  # its pid may belong to another process by now
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
                return
            except ProcessLookupError:
                continue  # it had no session yet, or is gone

    def kill_late(self) -> None:
        """Ends one that has answered and still runs after GRACE_S."""
        self.kill(f"did not end within {GRACE_S:g} s of its answer")

    def gone(self) -> bool:
        """Reaps the child without waiting, and kills what it left behind; True once it has ended."""
        if self._status is None and self._has_ended():
            self._kill_what_is_left()
            try:
                self._status = os.waitpid(self.pid, os.WNOHANG)[1]
            except ChildProcessError:
                self._status = 0
        return self._status is not None

    def _has_ended(self) -> bool:
        """Without reaping it: until then no other process gets its number."""
        try:
            return self._status is not None or os.waitid(os.P_PID, self.pid, _ENDED) is not None
        except ChildProcessError:  # another part of this process waits for every child
            return True

    def _kill_what_is_left(self) -> None:
        """Kills the processes that have its pipe, which the ended child must have started, and its process group."""
        # First those that are counted: one of the group would be gone when it is looked for, or not yet.
        if self._reader >= 0 and _has_writers(self._reader):
            self.left = _kill_holders(os.fstat(self._reader).st_ino)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)

    def close(self) -> None:
        """Closes everything in any state. A child that still runs is killed; only after its end, for which GRACE_S is
        waited, what it left behind is found."""
        if not self.gone():
            self.kill("is no longer needed")
            self._gone_within(GRACE_S)
        if self._reader >= 0:
            _close(self._reader)
            self._reader = -1

    def result(self) -> bytes:
        """The answer. Raises Fault where there is none, and any Fault that the work raised."""
        if self._killed:
            stuck = "" if self.gone() else " and does not die: it hangs in the kernel"
            raise Fault("probe", f"the child (pid {self.pid}) {self._killed}{stuck}", "see dmesg for NVRM lines")
        answer = b"".join(self._parts)
        understood = _understood(answer)
        if isinstance(understood, Fault):
            raise understood
        if understood is None:
            raise Fault("probe", f"the child {self._end(answer)}", "see dmesg for NVRM lines")
        return understood

    def answer(self, limit_s: float) -> bytes:
        """Waits for it, but not for the child's end, which takes a millisecond more: see `end`. Raises Fault after
        `limit_s`, and as `result` does."""
        try:
            self._await_answer(limit_s)
            if self._killed or not self._is_whole():
                self._await_end()
            return self.result()
        except BaseException as error:
            if isinstance(error, Fault):
                self._await_end()
            self.close()
            raise

    def end(self) -> int:
        """Waits for the child's end after its answer. Returns how many processes it left behind. Raises Fault if it had
        to be killed."""
        try:
            self._await_end()
            self.result()
            return len(self.left)
        finally:
            self.close()

    def _await_answer(self, limit_s: float) -> None:
        poll = select.poll()
        poll.register(self, select.POLLIN)
        try:
            end = os.pidfd_open(self.pid)
            poll.register(end, select.POLLIN)
        except OSError:  # a kernel before 5.3
            end = -1
        try:
            ends_at = time.monotonic() + limit_s
            while (left_s := ends_at - time.monotonic()) > 0:
                ready = poll.poll((left_s if end >= 0 else min(left_s, BLIND_S)) * 1000)
                if (ready or end < 0) and self.read():
                    return
            self.kill(f"did not answer within {limit_s:g} s")
        finally:
            if end >= 0:
                os.close(end)

    def _await_end(self) -> None:
        if not self._gone_within(GRACE_S):
            self.kill_late()
            self._gone_within(GRACE_S)

    def _gone_within(self, limit_s: float) -> bool:
        ends_at = time.monotonic() + limit_s
        while not self.gone() and (left_s := ends_at - time.monotonic()) > 0:
            try:
                descriptor = os.pidfd_open(self.pid)
            except OSError:  # a kernel before 5.3
                time.sleep(0.001)
                continue
            select.select([descriptor], [], [], left_s)
            os.close(descriptor)
        return self.gone()

    def _end(self, answer: bytes) -> str:
        status = self._status
        if status is not None and os.WIFSIGNALED(status):
            number = os.WTERMSIG(status)
            known = number in signal.Signals.__members__.values()
            return f"died by {signal.Signals(number).name if known else f'signal {number}'}"
        if not answer:
            return "ended without an answer"
        return f"answered nonsense: {answer[:40]!a}"


def _understood(answer: bytes) -> bytes | Fault | None:
    """What was answered: the work's result, or the fault that it ended with; None where it is neither."""
    head, newline, rest = answer.partition(b"\n")
    kind, _, size = head.partition(b" ")
    if not newline or size != b"%d" % len(rest):
        return None
    if kind == b"answer":
        return rest
    if kind not in (b"fault", b"usage") or len(rest) > FAULT_AT_MOST_BYTES:
        return None
    import json  # noqa: PLC0415 - most answers need none

    try:
        words = json.loads(rest)
    except (ValueError, RecursionError):
        return None
    if type(words) is not list or len(words) != FAULT_WORDS or any(type(word) is not str for word in words):
        return None
    return (UsageFault if kind == b"usage" else Fault)(*words)


def _has_writers(reader: int) -> bool:
    """Else nobody has to be looked for: a busy host has thousands of processes, with a hundred thousand descriptors."""
    poll = select.poll()
    poll.register(reader, 0)
    return not any(event & select.POLLHUP for _, event in poll.poll(0))


def _kill_holders(pipe: int) -> tuple[int, ...]:
    """Kills every process that can write to this pipe. One whose descriptors are hidden from us cannot have it."""
    killed: list[int] = []
    try:
        names = os.listdir("/proc")
    except OSError:  # they survive, and are found another time
        return ()
    for name in names:
        if not name.isdigit() or int(name) == os.getpid():
            continue
        with contextlib.suppress(OSError):
            if any(_writes_to(name, number, pipe) for number in os.listdir(f"/proc/{name}/fd")):
                os.kill(int(name), signal.SIGKILL)
                killed.append(int(name))
    return tuple(killed)


def _writes_to(pid: str, number: str, pipe: int) -> bool:
    """Readers do not count: another child of ours, just forked, still has all our descriptors."""
    try:
        if os.readlink(f"/proc/{pid}/fd/{number}") != f"pipe:[{pipe}]":
            return False
        with open(f"/proc/{pid}/fdinfo/{number}") as file:
            flags = next((int(line.split()[1], 8) for line in file if line.startswith("flags:")), 0)
    except OSError:
        return False  # closed meanwhile
    return flags & os.O_ACCMODE != os.O_RDONLY


def _close(descriptor: int) -> None:
    """Ignores errors: Linux frees the descriptor in any case, and an exception would lose the child."""
    with contextlib.suppress(OSError):
        os.close(descriptor)


def _live(work: Work, writer: int, stdin: int, parent: int) -> None:
    """The child's whole life."""
    try:
        _leave_parent(writer, stdin, parent)
        try:
            answer, head = work(), b"answer"
        except Fault as fault:
            answer, head = _told(fault), b"usage" if isinstance(fault, UsageFault) else b"fault"
        except Exception as error:  # the parent reports any of them
            text = " ".join(f"{type(error).__name__}: {error}".split())
            answer, head = _told(Fault("probe", text)), b"fault"
        rest = memoryview(b"%s %d\n%s" % (head, len(answer), answer))
        while rest:
            rest = rest[os.write(ANSWERS_BY, rest) :]
        os._exit(0)
    finally:
        os._exit(1)


def _told(fault: Fault) -> bytes:
    import json  # noqa: PLC0415

    return json.dumps(fault.finding[1:4]).encode()


def _leave_parent(writer: int, stdin: int, parent: int) -> None:
    os.setsid()
    import ctypes  # noqa: PLC0415 - the parent has no use for it

    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
    signal.set_wakeup_fd(-1)
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    null = os.open(os.devnull, os.O_RDWR)
    writer, stdin = os.dup(writer), os.dup(null if stdin < 0 else stdin)  # numbers that are not overwritten next
    os.dup2(stdin, 0)
    for descriptor in (1, 2):
        os.dup2(null, descriptor)
    os.dup2(writer, ANSWERS_BY, inheritable=False)
    for name in os.listdir("/proc/self/fd"):
        if int(name) > ANSWERS_BY:
            try:
                os.close(int(name))
            except OSError:
                continue  # the listing's own descriptor
