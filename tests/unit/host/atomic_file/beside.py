"""What runs beside a publisher: documents that show whether they are complete, processes, readers, a watcher."""

import ctypes
import hashlib
import json
import mmap
import os
import select
import signal
import stat
import struct
import subprocess
import traceback

DEADLINE_S = 120
NOBODY = 65534
LIBC = ctypes.CDLL(None, use_errno=True)
IN_MODIFY, IN_MOVED_FROM, IN_MOVED_TO, IN_CREATE, IN_DELETE = 0x2, 0x40, 0x80, 0x100, 0x200
IN_Q_OVERFLOW = 0x4000
PR_SET_PDEATHSIG = 1
CLONE_NEWNS = 0x20000


def document(generation, size_bytes=30_000):
    """A JSON document of about that size. Lengths differ between generations, so that a mixture shows."""
    filler = f"{generation} " * ((size_bytes + generation % 997) // len(f"{generation} "))
    return json.dumps(
        {"generation": generation, "filler": filler, "sum": hashlib.sha256(filler.encode()).hexdigest()}
    ).encode()


def generation_of(content):
    """The generation of a whole document; ValueError or AssertionError for anything else."""
    found = json.loads(content)
    assert found["sum"] == hashlib.sha256(found["filler"].encode()).hexdigest(), "torn"
    return found["generation"]


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, content, mode=0o644):
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, mode)


def mode_of(path):
    found = os.lstat(path).st_mode
    assert stat.S_ISREG(found), f"{path} is not a regular file"
    return stat.S_IMODE(found)


class Child:
    """A forked process that runs a function, and dies with its parent."""

    def __init__(self, function):
        self.words, into = os.pipe()
        self.pid = os.fork()
        if not self.pid:
            self._live(function, into)
        os.close(into)
        self.end = os.pidfd_open(self.pid)

    @staticmethod
    def _live(function, into):
        try:
            LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            function()
        except BaseException:
            os.write(into, traceback.format_exc().encode()[-4000:])
            os._exit(1)
        os._exit(0)

    def wait(self, deadline_s=DEADLINE_S):
        """Waits for its exit status; an exception in it is raised here."""
        ended = select.select([self.end], [], [], deadline_s)[0]
        if not ended:
            os.kill(self.pid, signal.SIGKILL)
        status = os.waitpid(self.pid, 0)[1]
        words = os.read(self.words, 4000).decode()
        os.close(self.end)
        os.close(self.words)
        assert ended, f"still running after {deadline_s} s"
        assert not words, words
        return status

    def kill(self):
        os.kill(self.pid, signal.SIGKILL)
        return self.wait()


def become_nobody():
    if os.geteuid() == 0:
        os.setgroups([])
        os.setgid(NOBODY)
        os.setuid(NOBODY)
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)  # changing user clears it


def in_private_mounts(function):
    """Runs it in a child with a mount namespace of its own."""

    def inside():
        assert LIBC.unshare(CLONE_NEWNS) == 0, os.strerror(ctypes.get_errno())
        mount("--make-rprivate", "/")
        function()

    assert Child(inside).wait() == 0


def mount(*arguments):
    subprocess.run(["mount", *arguments], check=True)


class Readers:
    """Processes that open, read and parse a spec as fast as they can, as nobody where we are root.

    What is missing, closed to them, torn or older than what they saw before ends one, and `stop` raises it.
    """

    def __init__(self, path, count=4):
        self.board = mmap.mmap(-1, mmap.PAGESIZE)  # byte 0: stop; then (reads, generations seen) of each reader
        self.started, self._start = os.pipe()
        self.children = [Child(lambda number=number: self._read(path, number)) for number in range(count)]
        for _ in self.children:
            assert select.select([self.started], [], [], DEADLINE_S)[0], "a reader does not start"
            os.read(self.started, 1)

    def _read(self, path, number):
        become_nobody()
        reads = seen = 0
        last = None
        while not self.board[0]:
            generation = generation_of(read(path))
            assert last is None or generation >= last, f"{generation} after {last}"
            reads, seen, last = reads + 1, seen + (generation != last), generation
            if reads == 1:
                os.write(self._start, b".")
        struct.pack_into("qq", self.board, 8 + 16 * number, reads, seen)

    def stop(self):
        """[(reads, generations seen)] of each."""
        self.board[0] = 1
        for child in self.children:
            child.wait()
        os.close(self.started)
        os.close(self._start)
        return [struct.unpack_from("qq", self.board, 8 + 16 * number) for number in range(len(self.children))]


class Watch:
    """The kernel's events of a directory."""

    def __init__(self, directory):
        self.fd = LIBC.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        mask = IN_MODIFY | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE
        assert LIBC.inotify_add_watch(self.fd, os.fsencode(directory), mask) > 0

    def drain(self):
        """[(mask, name)] of all that happened until now: an event is queued before the call that causes it returns."""
        found = []
        while select.select([self.fd], [], [], 0)[0]:
            data = os.read(self.fd, 65536)
            while data:
                _, mask, _, length = struct.unpack_from("iIII", data)
                found.append((mask, data[16 : 16 + length].rstrip(b"\0").decode()))
                data = data[16 + length :]
        return found

    def close(self):
        os.close(self.fd)
