"""What any local user can put into /tmp does not come into everybody's containers."""

import pytest

from .hosts import case, lines, state_of

pytestmark = pytest.mark.root

MPS = "/tmp/nvidia-mps"
USER = "setpriv --reuid 12345 --regid 12345 --clear-groups"
SOCKET = "python3 -c 'import socket; socket.socket(socket.AF_UNIX).bind(\"/tmp/nvidia-mps\")'"


@pytest.fixture
def planted(host):
    def plant(command):
        host.shell(f"rm -rf {MPS}; {command}")

    host.become(case({}))
    yield plant
    host.shell(f"rm -rf {MPS} /tmp/elsewhere")


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (f"{USER} ln -s /etc/shadow {MPS}", "is reached through a symbolic link"),
        (f"{USER} ln -s /run/nothing {MPS}", "is reached through a symbolic link"),
        (f"{USER} touch {MPS}", "belongs to user 12345"),
        (f"{USER} mkfifo {MPS}", "belongs to user 12345"),
        (f"{USER} {SOCKET}", "belongs to user 12345"),
        (f"{SOCKET}; mv {MPS} /tmp/elsewhere; ln -s elsewhere {MPS}", "is reached through a symbolic link"),
        (f"touch {MPS}", "is no socket"),
        (f"mkfifo {MPS}", "is no socket"),
    ],
)
def test_a_link_a_file_or_another_users_socket_is_left_out_without_a_finding(host, planted, command, why):
    host.oneshot()
    before = host.identity()
    planted(command)
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done), len(lines(done))) == (0, "ready", 1)
    assert host.identity() == before
    assert f"{MPS}: {why}, so it is left out" in host.run("generate", "--debug").stderr
    assert host.run("check").returncode == 0


@pytest.mark.parametrize("command", ["true", f"mkdir {MPS}", f"{USER} mkdir {MPS} && chown root {MPS}"])
def test_nothing_is_reported_without_a_socket(host, planted, command):
    planted(command)
    assert MPS not in host.run("generate", "--debug").stderr
    assert MPS not in host.generate().mounts()


def test_a_socket_that_root_owns_is_mounted(host, planted):
    planted(SOCKET)
    assert state_of(host.oneshot()) == "ready"
    assert MPS in host.published().mounts()
    assert host.run("check").returncode == 0


def test_check_reports_a_mount_whose_source_now_belongs_to_another_user(host, planted):
    planted(SOCKET)
    host.oneshot()
    planted(f"{USER} ln -s /etc/shadow {MPS}")
    done = host.run("check")
    assert done.returncode == 1
    assert f"degraded  {MPS}: is a symbolic link of user 12345, in a world-writable directory" in done.stdout
