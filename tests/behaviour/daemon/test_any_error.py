"""An error from each system call of a whole pass: the spec is the old or the new one, and the daemon lives.

The calls are found by tracing a pass, so that none is forgotten. strace is required: without it these tests fail.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.behaviour.daemon.running import CASE, LIMIT_S

pytestmark = pytest.mark.root

MEMORY = {"brk", "mmap", "munmap", "mremap", "madvise", "mprotect"}
"""Calls of the allocator: they depend on what the interpreter did before."""
ENDS = {"exit", "exit_group", "rt_sigreturn", "restart_syscall", "futex"}
NEVER_FAILS = {"rt_sigprocmask"}
"""Whose results glibc's fork() takes for granted: after an error it would leave all signals blocked at random."""
ERRORS = ("ENOMEM", "EIO")
EVERY_ERROR = bool(os.environ.get("EVERY_ERROR"))
"""All errors for each call, else in turns: each takes a second."""
FAULTS_AT_LEAST = 3
RIGHT_WITHIN_S = 60.0


class Strace:
    """A tracer of the daemon alone, from the moment that it is attached."""

    def __init__(self, pid, log, *options):
        self.pid, self.log = pid, log
        log.write_text("")
        self.process = subprocess.Popen(["strace", "-q", "-o", log, "-p", str(pid), *options], stderr=subprocess.PIPE)
        while "TracerPid:\t0\n" in Path(f"/proc/{pid}/status").read_text():
            assert self.process.poll() is None, self.process.stderr.read()

    def lines(self):
        return self.log.read_text().splitlines()

    def detach(self):
        self.process.send_signal(signal.SIGINT)
        self.process.wait(LIMIT_S)
        self.process.stderr.close()


@pytest.fixture
def log(tmp_path):
    return tmp_path / "strace"


def refresh(daemon, major):
    daemon.machine.become({**CASE, "uvm_major": major})
    daemon.signal(signal.SIGHUP)


def calls_of_a_pass(daemon, log):
    tracer = Strace(daemon.process.pid, log)
    reloads = daemon.state()["counters"]["reloads"]
    refresh(daemon, 400)
    daemon.until(lambda: daemon.state()["counters"]["reloads"] > reloads)
    daemon.until(lambda: "major: 400" in daemon.text())
    tracer.detach()
    names = {match[1] for line in log.read_text().splitlines() if (match := re.match(r"(\w+)\(", line))}
    return sorted(names - MEMORY - ENDS - NEVER_FAILS)


def test_an_error_at_any_system_call_leaves_a_complete_spec_and_the_daemon_recovers(machine, start, log):
    daemon = start()
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    calls = calls_of_a_pass(daemon, log)
    assert {"poll", "read", "openat", "fsync", "renameat"} <= set(calls)
    major, wrong = 400, []
    for number, call in enumerate(calls):
        for error in ERRORS if EVERY_ERROR else ERRORS[number % 2 :][:1]:
            daemon.until_quiet()
            major += 1
            wrong += one_fault(daemon, log, call, error, major)
    assert not wrong, "\n".join(wrong)


def one_fault(daemon, log, call, error, major):
    """What went wrong."""
    wrong = []
    fault = Strace(daemon.process.pid, log, "-e", f"trace={call}", "-e", f"inject={call}:error={error}")
    ends_at = time.monotonic() + 0.7
    refresh(daemon, major)
    while time.monotonic() < ends_at and sum("INJECTED" in line for line in fault.lines()) < FAULTS_AT_LEAST:
        daemon.hear(0.02)
        wrong += [] if is_whole(daemon.text(), major) else [f"{call} {error}: neither the old spec nor the new one"]
        if daemon.is_idle():
            break  # there will be no more of them
    fault.detach()
    ends_at = time.monotonic() + RIGHT_WITHIN_S
    while f"major: {major}\n" not in daemon.text() or daemon.state()["state"] != "ready":
        if daemon.process.poll() is not None:
            pytest.fail(f"{call} {error}: the daemon died\n{daemon.journal()[-2000:]}")
        if time.monotonic() > ends_at:
            return [*wrong, f"{call} {error}: wrong {RIGHT_WITHIN_S:g} s later: {daemon.state()['reason']}"]
        daemon.hear(0.02)
    return wrong


def is_whole(text, major):
    return text.startswith("---\n") and (f"major: {major}\n" in text or f"major: {major - 1}\n" in text)
