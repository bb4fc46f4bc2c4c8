"""Nobody but root keeps a daemon from starting."""

import re
import subprocess

import pytest

from tests.behaviour.daemon.running import LIMIT_S, PROGRAM

pytestmark = pytest.mark.root

LOCK = "/run/cdi-refreshd/lock"
NOBODY = 65534
AS_NOBODY = ["setpriv", "--reuid", str(NOBODY), "--regid", str(NOBODY), "--clear-groups"]
IN_THE_WAY = 'ln -s /nowhere /run/cdi-refreshd; exec "$@"'


def test_no_other_user_can_lock_what_the_daemon_locks(start, machine):
    daemon = start()
    daemon.until_notified("READY=1")
    assert machine.path(LOCK).stat().st_mode & 0o777 == 0o600
    done = machine.run([*AS_NOBODY, "flock", "-n", LOCK, "true"])
    assert done.returncode != 0
    assert "Permission denied" in done.stderr


def test_a_world_readable_lock_of_an_earlier_release_is_replaced_though_another_user_holds_it(start, machine):
    place = machine.path(LOCK)
    place.parent.mkdir(parents=True)
    place.touch(0o644)
    place.chmod(0o644)
    with machine.popen([*AS_NOBODY, "flock", LOCK, "sh", "-c", "echo held; read line"],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as user:  # fmt: skip
        assert user.stdout.readline() == "held\n"
        daemon = start()
        daemon.until_notified("READY=1")
        assert place.stat().st_mode & 0o777 == 0o600
        user.communicate("\n")


def test_a_lock_that_is_a_link_is_not_followed(start, machine):
    place = machine.path(LOCK)
    place.parent.mkdir(parents=True)
    place.symlink_to("/etc/elsewhere")
    daemon = start()
    assert daemon.process.wait(LIMIT_S) == 1
    assert "cannot be locked" in daemon.journal()
    assert not machine.path("/etc/elsewhere").exists()


@pytest.mark.parametrize(
    ("run", "command"),
    [("run_as_nobody", [*PROGRAM, "run"]), ("run", ["sh", "-c", IN_THE_WAY, "sh", *PROGRAM, "run"])],
    ids=["not root", "a directory that cannot be made"],
)
def test_where_the_lock_cannot_be_made_the_daemon_ends_with_one_line(machine, run, command):
    done = getattr(machine, run)(command)
    assert done.returncode == 1
    assert re.fullmatch(rf"cdi-refreshd: {LOCK}: cannot be locked \(.*\); (run it as|make /run/cdi-r).*\n", done.stderr)
