"""Whatever is at a path: opening it never waits, follows no link and opens no device, and a bounded part is read."""

import os
import socket
import stat

import pytest

from cdi_refreshd.host import regular_file
from cdi_refreshd.host.regular_file import NotRegular, TooLarge


@pytest.fixture
def path(tmp_path):
    return str(tmp_path / "file")


def bound_socket(path):
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)


MADE = {
    "a directory": os.mkdir,
    "a FIFO": os.mkfifo,
    "a symbolic link": lambda path: os.symlink("/etc/passwd", path),
    "a socket": bound_socket,
}


@pytest.mark.parametrize("kind", MADE)
def test_a_file_that_is_not_regular_is_refused_with_its_kind_and_not_waited_for(path, kind):
    MADE[kind](path)
    with pytest.raises(NotRegular, match=f"is {kind}, not a regular file"):
        regular_file.read(path, 10)


def test_a_device_is_not_even_opened(monkeypatch):
    monkeypatch.setattr(os, "open", lambda *_args, **_more: pytest.fail("opened"))
    with pytest.raises(NotRegular, match="is a device node") as fault:
        regular_file.read("/dev/null", 10)
    assert os.major(fault.value.status.st_rdev) == 1


def test_a_fifo_that_appears_between_lstat_and_open_is_refused(path, monkeypatch):
    with open(path, "w"):
        pass
    before = os.stat(path)
    os.unlink(path)
    os.mkfifo(path)
    monkeypatch.setattr(os, "stat", lambda *_args, **_more: before)
    with pytest.raises(NotRegular, match="is a FIFO"):
        regular_file.read(path, 10)


def test_a_link_is_followed_only_on_request_and_its_target_is_checked(path, tmp_path):
    os.symlink(tmp_path / "other", path)
    (tmp_path / "other").write_text("there")
    assert regular_file.read(path, 10, follow_links=True) == b"there"
    (tmp_path / "other").unlink()
    os.mkfifo(tmp_path / "other")
    with pytest.raises(NotRegular, match="is a FIFO"):
        regular_file.read(path, 10, follow_links=True)


def test_a_file_larger_than_the_readers_limit_is_refused(path):
    with open(path, "wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(TooLarge, match="is larger than 1000 bytes"):
        regular_file.read(path, 1000)
    assert regular_file.start(path, 1000) == bytes(1000)
    with open(path, "wb") as file:
        file.truncate(1000)
    assert regular_file.read(path, 1000) == bytes(1000)


def test_a_name_is_opened_relative_to_a_directory_descriptor(path, tmp_path):
    (tmp_path / "file").write_text("there")
    directory = os.open(tmp_path, os.O_PATH)
    try:
        with regular_file.opened("file", dir_fd=directory) as descriptor:
            assert stat.S_ISREG(os.fstat(descriptor).st_mode)
            assert not os.get_inheritable(descriptor)
            assert not os.get_blocking(descriptor)
    finally:
        os.close(directory)
