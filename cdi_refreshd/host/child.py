"""A child process that does one piece of work and answers once, bounded in time and in size.

It is forked and not executed: a fresh interpreter costs as much as the whole probe. It has its own session, so that a
terminal's signals miss it and a kill takes what it started along; it dies with its parent; it keeps no descriptor but
the one it answers by. What NVML prints goes nowhere.
"""

import os
import resource
import select
import signal
import time
from collections.abc import Callable

from cdi_refreshd.core.findings import Fault, UsageFault

ANSWER_AT_MOST_BYTES = 16 << 20
GRACE_S = 1.0
"""How long a killed child may take to go. One that does not is stuck in the kernel, where no signal reaches it."""
ANSWERS_BY = 3
PR_SET_PDEATHSIG = 1

Work = Callable[[], bytes]


class Child:
    """Poll `fileno()`; when readable call `read()` until it returns True; then `result()`. `kill()` ends it early."""

    def __init__(self, work: Work, stdin: int = -1) -> None:
        """`stdin` is a descriptor that the child gets as its standard input, instead of /dev/null."""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        parent = os.getpid()
        try:
            self.pid = os.fork()
        except OSError:  # no process or no memory left: who tries again for hours must not run out of descriptors, too
            os.close(reader)
            os.close(writer)
            raise
        if not self.pid:
            _live(work, writer, stdin, parent)
        os.close(writer)
        os.set_blocking(reader, False)
        self._reader, self._parts, self._size = reader, [b""], 0
        self._status: int | None = None
        self._killed = ""

    def fileno(self) -> int:
        return self._reader

    def read(self) -> bool:
        """True when there is nothing more to come."""
        while self._size <= ANSWER_AT_MOST_BYTES:
            try:
                part = os.read(self._reader, 1 << 18)
            except BlockingIOError:
                return False
            if not part:
                return True
            self._parts.append(part)
            self._size += len(part)
        self.kill(f"answered more than {ANSWER_AT_MOST_BYTES >> 20} MiB")
        return True

    def kill(self, why: str) -> None:
        self._killed = self._killed or why
        for kill in (os.killpg, os.kill):
            try:
                kill(self.pid, signal.SIGKILL)
                return
            except ProcessLookupError:
                continue  # it had no session yet, or is gone

    def gone(self) -> bool:
        """Reaps the child without waiting; True when it is no more."""
        if self._status is None:
            try:
                pid, status = os.waitpid(self.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self._status = status
        return self._status is not None

    def close(self) -> None:
        """Ends the conversation whatever its state. A child that is still there is killed, not waited for."""
        if not self.gone():
            self.kill("is not needed any more")
            self.gone()
        if self._reader >= 0:
            os.close(self._reader)
            self._reader = -1

    def result(self) -> bytes:
        """The answer. Raises Fault where there is none, and what the work itself raised as Fault."""
        if self._killed:
            stuck = "" if self.gone() else " and does not die: it hangs in the kernel"
            raise Fault("probe", f"the child (pid {self.pid}) {self._killed}{stuck}", "see dmesg for NVRM lines")
        answer = b"".join(self._parts)
        kind, newline, rest = answer.partition(b"\n")
        head, _, size = kind.partition(b" ")
        if newline and head in (b"answer", b"fault", b"usage") and size == str(len(rest)).encode():
            if head == b"answer":
                return rest
            import json  # noqa: PLC0415 - most answers need none

            place, fact, hint = json.loads(rest)
            raise (UsageFault if head == b"usage" else Fault)(place, fact, hint)
        raise Fault("probe", f"the child {self._end(answer)}", "see dmesg for NVRM lines")

    def answer(self, limit_s: float) -> bytes:
        """Waits. Raises Fault after `limit_s`, and as `result` does."""
        try:
            poll = select.poll()
            poll.register(self, select.POLLIN)
            ends_at = time.monotonic() + limit_s
            while (left_s := ends_at - time.monotonic()) > 0:
                if poll.poll(left_s * 1000) and self.read():
                    break
            else:
                self.kill(f"did not answer within {limit_s:g} s")
            self._await_end()
            return self.result()
        finally:
            self.close()

    def _await_end(self) -> None:
        if not self._gone_within(GRACE_S):
            self.kill(f"did not end within {GRACE_S:g} s of its answer")
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


def _live(work: Work, writer: int, stdin: int, parent: int) -> None:
    """The child's whole life."""
    try:
        _leave_parent(writer, stdin, parent)
        try:
            answer, head = work(), b"answer"
        except Fault as fault:
            answer, head = _told(fault), b"usage" if isinstance(fault, UsageFault) else b"fault"
        except Exception as error:  # whatever it is, the parent is to tell it
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
    writer, stdin = os.dup(writer), os.dup(null if stdin < 0 else stdin)  # off the numbers that are overwritten now
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
