"""Several publishers, alive and dead: whose temporary file may be swept, and by which."""

import fcntl
import os

import pytest

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host.atomic_file import publish, sweep
from tests.unit.host.atomic_file.beside import DEADLINE_S, Child, document, generation_of, mode_of, read, write

OLD, NEW, OTHER = document(1), document(2), document(3)
STALE = ".nvidia.yaml.0a1b2c.tmp"


def test_a_temporary_of_a_dead_process_is_swept_and_reported(shelf, spec):
    write(os.path.join(shelf, STALE), OLD[:100], 0o600)
    write(os.path.join(shelf, ".nvidia.yaml.ffffff.tmp"), b"", 0o600)
    assert sweep(spec) == (os.path.join(shelf, STALE), os.path.join(shelf, ".nvidia.yaml.ffffff.tmp"))
    assert sweep(spec) == ()
    assert os.listdir(shelf) == []


def test_sweeping_a_missing_directory_removes_nothing(shelf):
    assert sweep(os.path.join(shelf, "cdi", "nvidia.yaml")) == ()


def test_a_file_that_only_looks_like_a_temporary_is_not_swept(shelf, spec):
    names = {
        ".nvidia.yaml.backup.tmp", ".nvidia.yaml.0a1b2c3.tmp", ".nvidia.yaml..tmp", "nvidia.yaml.0a1b2c.tmp",
        ".nvidia.yaml.0a1b2c.tmp.yaml", ".other.yaml.0a1b2c.tmp", ".nvidia.yaml.tmp", "nvidia.yaml",
    }  # fmt: skip
    for name in names:
        write(os.path.join(shelf, name), b"")
    os.mkdir(os.path.join(shelf, ".nvidia.yaml.000000.tmp"))
    os.symlink("nvidia.yaml", os.path.join(shelf, ".nvidia.yaml.000001.tmp"))
    os.mkfifo(os.path.join(shelf, ".nvidia.yaml.000002.tmp"))
    stood = set(os.listdir(shelf))
    assert sweep(spec) == ()
    assert set(os.listdir(shelf)) == stood


def test_a_locked_temporary_is_not_swept_until_it_is_released(shelf, spec):
    path = os.path.join(shelf, STALE)
    with open(path, "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert sweep(spec) == ()
        publish(spec, NEW)
        assert os.path.exists(path)
    assert sweep(spec) == (path,)


@pytest.mark.parametrize("there", [OLD, NEW], ids=["other bytes", "the same bytes"])
def test_publishing_sweeps_whether_or_not_it_writes(shelf, spec, there):
    publish(spec, there)
    write(os.path.join(shelf, STALE), b"")
    publish(spec, NEW)
    assert os.listdir(shelf) == ["nvidia.yaml"]


def test_a_directory_that_cannot_be_listed_can_still_be_published_to(spec, monkeypatch):
    def refuse(_):
        raise PermissionError

    monkeypatch.setattr(os, "listdir", refuse)
    assert publish(spec, NEW) is True
    with pytest.raises(Fault):
        sweep(spec)


def test_neither_a_sweep_nor_another_publisher_removes_the_temporary_of_a_running_publisher(shelf, spec):
    ready, tell_ready = os.pipe()
    go, tell_go = os.pipe()
    real = os.fsync

    def wait_once(fd):
        os.fsync = real
        os.write(tell_ready, b".")
        os.read(go, 1)
        real(fd)

    def paused():
        os.fsync = wait_once
        publish(spec, NEW)

    child = Child(paused)
    os.read(ready, 1)
    assert len(os.listdir(shelf)) == 1
    assert sweep(spec) == ()
    publish(spec, OTHER)
    assert read(spec) == OTHER
    os.write(tell_go, b".")
    child.wait()
    for fd in (ready, tell_ready, go, tell_go):
        os.close(fd)
    assert (os.listdir(shelf), read(spec)) == (["nvidia.yaml"], NEW)


def test_a_temporary_is_locked_until_it_is_renamed(spec, monkeypatch):
    real, swept = os.rename, []

    def late(*names, **directories):
        swept.append(sweep(spec))
        real(*names, **directories)

    monkeypatch.setattr(os, "rename", late)
    publish(spec, NEW)
    assert swept == [()]


@pytest.mark.parametrize("holds", [False, True], ids=["swept before the lock", "held by the one that sweeps"])
def test_a_publisher_that_loses_its_temporary_before_it_has_the_lock_takes_another(shelf, spec, monkeypatch, holds):
    real, tried, thief = fcntl.flock, [], []

    def late(fd, flags):
        tried.append(fd)
        if len(tried) == 1:
            if holds:
                thief.append(os.open(f"/proc/self/fd/{fd}", os.O_RDONLY))
                real(thief[0], fcntl.LOCK_EX)
            else:
                (name,) = os.listdir(shelf)
                os.unlink(os.path.join(shelf, name))
        real(fd, flags)

    monkeypatch.setattr(fcntl, "flock", late)
    assert publish(spec, NEW) is True
    assert len(tried) == 2
    assert (os.listdir(shelf), read(spec)) == (["nvidia.yaml"], NEW)
    for fd in thief:
        os.close(fd)


def taken_names(monkeypatch, *names):
    """Makes these the random names, the last one for ever."""
    left = list(names)
    monkeypatch.setattr(os, "urandom", lambda _: bytes.fromhex(left.pop(0) if len(left) > 1 else left[0]))


def test_a_name_that_is_taken_is_neither_overwritten_nor_followed(shelf, spec, monkeypatch):
    write(os.path.join(shelf, "victim"), b"precious")
    os.symlink("victim", os.path.join(shelf, ".nvidia.yaml.000000.tmp"))
    with open(os.path.join(shelf, STALE), "w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        taken_names(monkeypatch, "000000", "0a1b2c", "0a1b2d")
        publish(spec, NEW)
    assert read(os.path.join(shelf, STALE)) == b""
    assert read(os.path.join(shelf, "victim")) == b"precious"
    assert read(spec) == NEW


def test_when_every_name_is_taken_that_is_a_fault_and_not_an_endless_loop(shelf, spec, monkeypatch):
    os.symlink("nowhere", os.path.join(shelf, ".nvidia.yaml.000000.tmp"))
    taken_names(monkeypatch, "000000")
    with pytest.raises(Fault, match="device or resource busy"):
        publish(spec, NEW)


def test_four_publishers_at_once_always_leave_one_of_their_documents_complete(shelf, spec):
    publish(spec, document(0))
    started, start = os.pipe()

    def many(number):
        os.read(started, 1)
        for turn in range(60):
            publish(spec, document(10 * turn + number))
            generation_of(read(spec))
            assert mode_of(spec) == 0o644

    children = [Child(lambda number=number: many(number)) for number in range(4)]
    os.write(start, b"....")
    for child in children:
        assert child.wait(DEADLINE_S) == 0
    os.close(start)
    os.close(started)
    assert generation_of(read(spec)) // 10 == 59
    publish(spec, NEW)
    assert os.listdir(shelf) == ["nvidia.yaml"]
