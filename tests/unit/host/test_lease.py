import os
import signal
import subprocess
import sys

import pytest

from cdi_refreshd.host import lease
from cdi_refreshd.host.lease import Leases

WRITE = "import sys; open(sys.argv[1], 'w').write('written')"


@pytest.fixture
def leases():
    """With SIGIO held back, as who polls does."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGIO])
    made = Leases()
    yield made
    made.release()
    while signal.sigtimedwait([signal.SIGIO], 0):
        pass
    signal.pthread_sigmask(signal.SIG_SETMASK, before)


@pytest.fixture
def file(tmp_path, monkeypatch):
    monkeypatch.setattr(lease, "STAYS_MOUNTED", (str(tmp_path), "/not there"))
    path = tmp_path / "spec"
    path.write_text("whole")
    return path


def test_a_writer_waits_until_we_let_go_and_writes_what_has_lost_its_name(leases, file, tmp_path):
    leases.hold([str(file)])
    with subprocess.Popen([sys.executable, "-c", WRITE, str(file)]) as writer:
        assert signal.sigtimedwait([signal.SIGIO], 30)
        assert leases.wanted() == [str(file)]
        assert file.read_text() == "whole"
        (tmp_path / "new").write_text("new")
        (tmp_path / "new").rename(file)
        leases.release()
        assert writer.wait(30) == 0
    assert file.read_text() == "new"


def test_who_waits_is_not_let_through_because_nothing_has_changed(leases, file, tmp_path):
    leases.hold([str(file)])
    with subprocess.Popen([sys.executable, "-c", WRITE, str(file)]) as writer:
        assert signal.sigtimedwait([signal.SIGIO], 30)
        leases.hold([str(file)])
        assert leases.wanted() == [str(file)]
        (tmp_path / "new").write_text("new")
        (tmp_path / "new").rename(file)
        leases.hold([str(file)])
        assert writer.wait(30) == 0
    assert file.read_text() == "new"


def test_readers_and_those_who_rename_or_delete_wait_for_nobody(leases, file, tmp_path):
    leases.hold([str(file)])
    assert file.read_text() == "whole"
    (tmp_path / "new").write_text("new")
    (tmp_path / "new").rename(file)
    file.unlink()
    assert leases.wanted() == []


def test_what_cannot_be_held_is_passed_over(leases, file, tmp_path):
    with file.open("a"):  # somebody writes it already
        leases.hold([str(tmp_path / "nowhere"), str(tmp_path), str(file)])
    assert leases.wanted() == []
    file.write_text("nobody waits")


def test_no_descriptor_stays(leases, file):
    before = os.listdir("/proc/self/fd")
    for _ in range(3):
        leases.hold([str(file)])
    leases.release()
    assert os.listdir("/proc/self/fd") == before


@pytest.mark.root
def test_no_filesystem_is_kept_from_being_unmounted(leases, tmp_path):
    script = """
        mkdir -p "$1" && mount --bind "$1" "$1" && echo whole >"$1/spec" && exec "$2" -c '
import subprocess, sys
from cdi_refreshd.host.lease import Leases
leases = Leases()
leases.hold([sys.argv[1] + "/spec"])
sys.exit(subprocess.run(["umount", sys.argv[1]]).returncode)' "$1"
    """
    unshared = ["unshare", "--mount", "sh", "-ec", script, "sh", str(tmp_path), sys.executable]
    assert subprocess.run(unshared, check=False).returncode == 0
