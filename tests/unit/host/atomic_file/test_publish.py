"""What a publisher does for one document, on a file system that works."""

import errno
import fcntl
import os
import socket
import subprocess
import sys

import pytest

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import atomic_file as module
from cdi_refreshd.host.atomic_file import publish, withdraw
from tests.unit.host.atomic_file.beside import Child, become_nobody, document, mode_of, read, write

TOP = os.path.abspath(__file__).rpartition("/tests/")[0]
OLD, NEW = document(1), document(2)


@pytest.fixture
def umask():
    before = os.umask(0o022)
    yield os.umask
    os.umask(before)


def failing(monkeypatch, name, code, when=lambda *_, **__: True):
    """Makes this call of the os module fail."""
    real = getattr(os, name)

    def call(*arguments, **options):
        if when(*arguments, **options):
            raise OSError(code, os.strerror(code))
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, call)


def before(monkeypatch, name, function):
    """Does something once, just before the first such call."""
    real, done = getattr(os, name), []

    def call(*arguments, **options):
        if not done:
            done.append(True)
            function(*arguments)
        return real(*arguments, **options)

    monkeypatch.setattr(os, name, call)


def fault_of(function, *arguments):
    with pytest.raises(Fault) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.finding


@pytest.mark.parametrize("content", [NEW, b"", b"x"])
def test_a_published_document_is_a_regular_file_of_mode_0644_with_these_bytes(spec, content):
    assert publish(spec, content) is True
    assert (read(spec), mode_of(spec)) == (content, 0o644)


@pytest.mark.parametrize("mask", [0o000, 0o077, 0o777])
def test_the_umask_changes_neither_the_mode_of_the_file_nor_those_of_its_directories(shelf, umask, mask):
    path = os.path.join(shelf, "a", "b", "nvidia.yaml")
    umask(mask)
    publish(path, NEW)
    assert umask(0o022) == mask
    assert mode_of(path) == 0o644
    assert os.stat(os.path.join(shelf, "a")).st_mode & 0o7777 == 0o755
    assert os.stat(os.path.join(shelf, "a", "b")).st_mode & 0o7777 == 0o755


def test_the_mode_of_a_directory_that_was_there_is_left_alone(shelf, spec):
    os.chmod(shelf, 0o2711)
    publish(spec, NEW)
    assert os.stat(shelf).st_mode & 0o7777 == 0o2711


def test_a_path_without_a_directory_is_one_in_the_current_directory(shelf, spec, monkeypatch):
    monkeypatch.chdir(shelf)
    publish("nvidia.yaml", NEW)
    assert read(spec) == NEW


def test_the_same_bytes_are_not_written_again(spec):
    publish(spec, NEW)
    stood = os.stat(spec)
    assert publish(spec, NEW) is False
    assert os.stat(spec) == stood


@pytest.mark.parametrize(
    "there", [NEW[:-1], NEW + b"x", b"", NEW[:-1] + b"x"], ids=["shorter", "longer", "empty", "other"]
)
def test_bytes_that_differ_anywhere_are_written(spec, there):
    write(spec, there)
    assert publish(spec, NEW) is True
    assert read(spec) == NEW


@pytest.mark.parametrize("mode", [0o600, 0o664, 0o4644, 0o000])
def test_the_same_bytes_under_another_mode_are_written_again(spec, mode):
    write(spec, NEW, mode)
    assert publish(spec, NEW) is True
    assert mode_of(spec) == 0o644


def test_a_symbolic_link_to_the_same_bytes_becomes_a_regular_file_and_its_target_stays(shelf, spec):
    elsewhere = os.path.join(shelf, "elsewhere")
    write(elsewhere, NEW)
    os.symlink(elsewhere, spec)
    assert publish(spec, NEW) is True
    assert mode_of(spec) == 0o644
    assert publish(spec, OLD) is True
    assert read(elsewhere) == NEW


def test_a_pipe_in_the_place_of_the_spec_is_replaced_without_waiting_for_its_writer(spec):
    os.mkfifo(spec)
    Child(lambda: publish(spec, NEW)).wait()
    assert (read(spec), mode_of(spec)) == (NEW, 0o644)


def test_a_socket_in_the_place_of_the_spec_is_replaced(spec):
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(spec)
        assert publish(spec, NEW) is True
    assert mode_of(spec) == 0o644


def test_a_huge_file_in_place_of_the_spec_is_read_only_up_to_the_difference(spec, monkeypatch):
    write(spec, NEW)
    os.truncate(spec, 1 << 26)
    real, taken = os.read, []
    monkeypatch.setattr(os, "read", lambda fd, size: taken.append(len(found := real(fd, size))) or found)
    assert publish(spec, NEW) is True
    assert sum(taken) == len(NEW) + 1


def test_a_file_that_is_read_in_pieces_is_still_found_equal(spec, monkeypatch):
    publish(spec, NEW)
    real = os.read
    monkeypatch.setattr(os, "read", lambda fd, size: real(fd, min(size, 999)))
    assert publish(spec, NEW) is False


def test_a_file_that_cannot_be_read_is_replaced(spec, monkeypatch):
    publish(spec, NEW)
    failing(monkeypatch, "read", errno.EIO)
    assert publish(spec, NEW) is True


def test_short_writes_are_continued(spec, monkeypatch):
    real = os.write
    monkeypatch.setattr(os, "write", lambda fd, data: real(fd, data[:999]))
    publish(spec, NEW)
    assert read(spec) == NEW


def test_a_file_that_takes_no_bytes_is_a_fault_and_not_an_endless_loop(spec, monkeypatch):
    publish(spec, OLD)
    monkeypatch.setattr(os, "write", lambda fd, data: 0)
    assert "input/output error" in fault_of(publish, spec, NEW).fact
    assert read(spec) == OLD


def test_the_temporary_is_beside_the_spec_under_a_name_that_no_runtime_reads(shelf, spec, monkeypatch):
    seen = []
    before(monkeypatch, "rename", lambda *_: seen.extend(os.listdir(shelf)))
    publish(spec, NEW)
    (temporary,) = seen
    assert temporary.startswith(".nvidia.yaml.")
    assert temporary.endswith(".tmp")
    assert len(temporary) == len(".nvidia.yaml.XXXXXX.tmp")


def test_the_temporary_is_complete_and_has_its_mode_before_it_is_renamed(shelf, spec, monkeypatch):
    seen = []

    def probe(temporary, *_):
        path = os.path.join(shelf, temporary)
        seen.append((read(path), mode_of(path)))

    before(monkeypatch, "rename", probe)
    publish(spec, NEW)
    assert seen == [(NEW, 0o644)]


def test_no_other_user_can_open_the_temporary_before_it_is_complete(shelf, spec, monkeypatch):
    seen = []
    before(monkeypatch, "write", lambda fd, _: seen.append(os.fstat(fd).st_mode & 0o777))
    publish(spec, NEW)
    assert seen == [0o600]


def test_a_directory_behind_a_link_is_followed(shelf):
    os.mkdir(os.path.join(shelf, "run"))
    os.symlink("run", os.path.join(shelf, "var"))
    publish(os.path.join(shelf, "var", "cdi", "nvidia.yaml"), NEW)
    assert read(os.path.join(shelf, "run", "cdi", "nvidia.yaml")) == NEW


def test_a_directory_that_is_swapped_meanwhile_does_not_lead_the_publisher_elsewhere(shelf, monkeypatch):
    there, away = os.path.join(shelf, "cdi"), os.path.join(shelf, "away")
    os.mkdir(there)

    def swap(*_):
        os.rename(there, away)
        os.mkdir(there)

    before(monkeypatch, "write", swap)
    publish(os.path.join(there, "nvidia.yaml"), NEW)
    assert os.listdir(there) == []
    assert os.listdir(away) == ["nvidia.yaml"]


def test_a_directory_that_is_removed_meanwhile_is_a_fault_that_says_so(shelf, monkeypatch):
    there = os.path.join(shelf, "cdi")
    before(monkeypatch, "urandom", lambda *_: os.rmdir(there))
    assert "removed meanwhile" in fault_of(publish, os.path.join(there, "nvidia.yaml"), NEW).hint


def test_a_directory_that_another_process_makes_meanwhile_is_used(shelf, monkeypatch):
    real = os.mkdir

    def twice(path, mode, dir_fd):
        real(path, mode, dir_fd=dir_fd)
        real(path, mode, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", twice)
    assert publish(os.path.join(shelf, "cdi", "nvidia.yaml"), NEW) is True


@pytest.mark.parametrize("name", ["cdi/nvidia.yaml", "cdi/deeper/nvidia.yaml"])
@pytest.mark.parametrize("operation", [lambda path: publish(path, NEW), withdraw], ids=["publish", "withdraw"])
def test_a_file_in_place_of_a_directory_is_reported(shelf, operation, name):
    there = os.path.join(shelf, "cdi")
    write(there, b"")
    found = fault_of(operation, os.path.join(shelf, name))
    assert (found.place, found.fact) == (there, "is a file, not a directory")


def test_a_dangling_link_in_place_of_the_directory_is_reported_with_its_target(shelf):
    there = os.path.join(shelf, "cdi")
    os.symlink("/nowhere/at/all", there)
    found = fault_of(publish, os.path.join(there, "nvidia.yaml"), NEW)
    assert (found.place, found.fact) == (there, "is a symbolic link to /nowhere/at/all, which is not there")
    assert not os.path.exists("/nowhere")


@pytest.mark.parametrize("operation", [lambda path: publish(path, NEW), withdraw], ids=["publish", "withdraw"])
@pytest.mark.parametrize("filled", [False, True])
def test_a_directory_in_the_place_of_the_spec_is_a_fault_and_stays(shelf, spec, operation, filled):
    os.mkdir(spec)
    if filled:
        write(os.path.join(spec, "something"), b"")
    found = fault_of(operation, spec)
    assert (found.place, found.fact) == (spec, "is a directory, not a file")
    assert os.listdir(shelf) == ["nvidia.yaml"]


@pytest.mark.parametrize("path", ["", "/", "/tmp/", "/tmp/.", "/tmp/.."])
@pytest.mark.parametrize("operation", [lambda path: publish(path, NEW), withdraw, module.sweep])
def test_a_path_that_names_no_file_is_a_fault(operation, path):
    assert fault_of(operation, path).fact == "is not the path of a file"


@pytest.mark.parametrize("call", ["fchmod", "fsync", "rename", "write"])
@pytest.mark.parametrize(
    ("code", "fact", "hint"),
    [
        (errno.ENOSPC, "no space left on device", "free some space"),
        (errno.EROFS, "read-only file system", "writable"),
        (errno.EACCES, "permission denied", "run as root"),
        (errno.EPERM, "operation not permitted", "lsattr"),
        (errno.EDQUOT, "quota exceeded", "quota"),
        (errno.EIO, "input/output error", "kernel's log"),
        (errno.ENAMETOOLONG, "file name too long", ""),
    ],
)
def test_an_error_leaves_the_old_document_no_temporary_and_one_line_with_a_hint(
    shelf, spec, monkeypatch, call, code, fact, hint
):
    publish(spec, OLD)
    with monkeypatch.context() as patch:
        failing(patch, call, code)
        found = fault_of(publish, spec, NEW)
    assert found.place == spec
    assert fact in found.fact
    assert hint in found.hint
    assert (os.listdir(shelf), read(spec)) == (["nvidia.yaml"], OLD)


def test_an_interrupt_leaves_no_temporary(shelf, spec, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    before(monkeypatch, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        publish(spec, NEW)
    assert os.listdir(shelf) == []


def directory_syncs(monkeypatch, code):
    failing(monkeypatch, "fsync", code, lambda fd: os.path.isdir(f"/proc/self/fd/{fd}"))


def test_a_failed_directory_sync_is_a_fault_that_says_that_the_document_is_in_place(spec, monkeypatch):
    publish(spec, OLD)
    directory_syncs(monkeypatch, errno.EIO)
    assert fault_of(publish, spec, NEW).fact.startswith("is in place, but may not be after a power cut")
    assert read(spec) == NEW
    assert fault_of(withdraw, spec).fact.startswith("is removed, but may not be after a power cut")


@pytest.mark.parametrize("code", [errno.EINVAL, errno.ENOTSUP])
def test_a_filesystem_that_cannot_sync_directories_is_not_a_fault(spec, monkeypatch, code):
    directory_syncs(monkeypatch, code)
    assert publish(spec, NEW) is True
    assert withdraw(spec) is True


@pytest.mark.root
def test_a_user_without_write_permission_gets_the_hint_to_be_root(shelf, spec):
    publish(spec, OLD)

    def try_it():
        become_nobody()
        assert publish(spec, OLD) is False
        found = fault_of(publish, spec, NEW)
        assert (found.place, found.fact) == (spec, "cannot be written: permission denied")
        assert found.hint.startswith("run as root")
        assert fault_of(withdraw, spec).fact == "cannot be removed: permission denied"
        missing = fault_of(publish, os.path.join(shelf, "deeper", "nvidia.yaml"), NEW)
        assert missing.fact == "cannot be opened or made: permission denied"

    Child(try_it).wait()
    assert read(spec) == OLD


def test_withdrawing_deletes_the_file_and_returns_whether_there_was_one(shelf, spec):
    publish(spec, NEW)
    assert withdraw(spec) is True
    assert os.listdir(shelf) == []
    assert withdraw(spec) is False


def test_withdrawing_from_a_directory_that_is_not_there_makes_none(shelf):
    assert withdraw(os.path.join(shelf, "cdi", "nvidia.yaml")) is False
    assert os.listdir(shelf) == []


def test_withdrawing_a_link_deletes_the_link_and_not_its_target(shelf, spec):
    write(os.path.join(shelf, "elsewhere"), NEW)
    os.symlink("elsewhere", spec)
    assert withdraw(spec) is True
    assert os.listdir(shelf) == ["elsewhere"]


def test_no_descriptor_stays_open_whatever_happens(shelf, spec, monkeypatch):
    def opened():
        return sorted(os.listdir("/proc/self/fd"))

    stood = opened()
    publish(os.path.join(shelf, "deeper", "nvidia.yaml"), NEW)
    write(os.path.join(shelf, ".nvidia.yaml.012345.tmp"), b"")
    for content in (OLD, NEW, NEW):
        publish(spec, content)
    for call in ("fsync", "rename", "fchmod"):
        with monkeypatch.context() as patch:
            failing(patch, call, errno.EIO)
            fault_of(publish, spec, OLD)
    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", lambda *_: os.fstat(-1))
        fault_of(publish, spec, OLD)
    withdraw(spec)
    withdraw(spec)
    assert opened() == stood


def test_importing_the_publisher_imports_no_slow_module():
    code = "import sys, cdi_refreshd.host.atomic_file; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True, cwd=TOP)
    assert not {"tempfile", "random", "shutil", "pathlib", "secrets", "subprocess"} & set(done.stdout.split())
