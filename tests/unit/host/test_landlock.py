"""What a process that opens NVML can change: nothing outside the directories that it may write."""

import contextlib
import ctypes
import errno
import os
import signal
import socket

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.inventory import Inventory
from cdi_refreshd.host import procfs
from cdi_refreshd.host.landlock import CREATE_RULESET, SCOPES_SINCE, WHICH_VERSION, change_only_below
from cdi_refreshd.probe import machine, runner
from cdi_refreshd.probe.request import Request

from .children import answer

VERSION = ctypes.CDLL(None).syscall(ctypes.c_long(CREATE_RULESET), None, ctypes.c_size_t(0), WHICH_VERSION)

pytestmark = pytest.mark.skipif(VERSION < 1, reason="NOT CHECKED: this kernel has no Landlock, or it is off")


def restricted(below, *attempts):
    """What a child with these restrictions is refused: names of errors, "" for what it could do."""

    def work():
        assert change_only_below(below)
        reported = []
        for attempt in attempts:
            try:
                attempt()
                reported.append("")
            except OSError as error:
                reported.append(errno.errorcode[error.errno])
        return ",".join(reported).encode()

    return answer(work).decode().split(",")


def write(path, flags=os.O_WRONLY | os.O_CREAT):
    return lambda: os.close(os.open(path, flags, 0o600))


def test_a_restricted_process_writes_only_below_the_given_directories(tmp_path):
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    (other / "there").write_text("whole")
    reported = restricted(
        [str(mine), "/nowhere"],
        write(mine / "new"),
        write(other / "new"),
        write(other / "there"),
        lambda: os.mkdir(other / "directory"),
        lambda: os.unlink(other / "there"),
        lambda: os.rename(other / "there", mine / "there"),
        lambda: os.symlink("x", other / "link"),
        lambda: os.mkfifo(other / "fifo"),
        lambda: socket.socket(socket.AF_UNIX).bind(str(other / "s")),
        (other / "there").read_text,
    )
    assert reported[0] == reported[-1] == ""
    assert set(reported[1:-1]) <= {"EACCES", "EXDEV"}
    assert (other / "there").read_text() == "whole"
    assert os.listdir(other) == ["there"]


def test_a_restricted_process_cannot_truncate_a_file_by_its_path(tmp_path):
    (tmp_path / "there").write_text("whole")
    if VERSION < 3:
        pytest.skip("NOT CHECKED: this kernel's Landlock knows nothing of it")
    assert restricted([], lambda: os.truncate(tmp_path / "there", 0)) == ["EACCES"]


def test_a_program_that_a_restricted_process_starts_is_restricted_too(tmp_path):
    def start():
        status = os.spawnv(os.P_WAIT, "/bin/sh", ["sh", "-c", f": > {tmp_path}/new"])
        if status:
            raise PermissionError(errno.EACCES, "refused")

    assert restricted([], start) == ["EACCES"]


def test_a_restricted_process_can_write_to_the_given_devices():
    assert restricted(["/dev"], write("/dev/null", os.O_RDWR)) == [""]
    assert restricted([], write("/dev/null", os.O_RDWR)) == ["EACCES"]


def test_a_restricted_process_signals_only_processes_that_it_started():
    if VERSION < SCOPES_SINCE:
        pytest.skip("NOT CHECKED: this kernel's Landlock knows nothing of it")

    def own():
        child = os.fork()
        if not child:
            with contextlib.suppress(BaseException):
                signal.pause()
            os._exit(0)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)

    assert restricted([], lambda: os.kill(os.getppid(), 0), own) == ["EPERM", ""]


@pytest.mark.parametrize("privileges", [True, False], ids=["outside the units", "in the units"])
def test_the_probe_cannot_write_below_run_in_the_units(tmp_path, monkeypatch, privileges):
    path = tmp_path / "file"

    def probe(_):
        with contextlib.suppress(PermissionError):
            path.write_text("x")
        return Inventory()

    monkeypatch.setattr(machine, "probe", probe)
    monkeypatch.setattr(procfs, "no_new_privileges", lambda: not privileges)
    monkeypatch.setattr(runner, "WRITES_BELOW", ("/dev",))
    answer(lambda: runner._probe(Request(Choices())))
    assert path.exists() is privileges


def test_the_probe_may_write_neither_below_run_nor_below_etc():
    assert not [
        path for path in runner.WRITES_BELOW if path in "/run/" or path.startswith(("/run", "/var/run", "/etc"))
    ]
