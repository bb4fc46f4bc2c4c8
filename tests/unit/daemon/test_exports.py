"""Files for monitoring are written atomically, have a heartbeat, and are removed when the daemon ends."""

import os
import stat

import pytest

from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.report.health import Health
from cdi_refreshd.core.report.metrics import Measured
from cdi_refreshd.daemon import exports, health_file
from cdi_refreshd.daemon.exports import Exports
from cdi_refreshd.host import plain_file

READY = Measured("1", "ready", 0.0, since_s=5.0, module="580.1", spec_devices=(("gpu", 2), ("mig", 0)))
HEALTHY = Health(0, "Ready", "2 GPUs")


@pytest.fixture
def clock(monkeypatch):
    """Two clocks that a test advances, together."""
    now = [1000.0]
    monkeypatch.setattr(exports.time, "time", lambda: now[0] + 1e9)
    monkeypatch.setattr(exports.time, "monotonic", lambda: now[0])
    return now


@pytest.fixture
def made(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(health_file, "PATH", str(tmp_path / "health"))
    faults, notes = [], []
    found = Exports(lambda fault: faults.append(str(fault)), notes.append)
    found.faults, found.notes = faults, notes
    found.configure(Settings(textfile=str(tmp_path / "x.prom"), nfd_features=str(tmp_path / "labels")))
    return found


def heartbeat(tmp_path):
    line = next(
        line for line in (tmp_path / "x.prom").read_text().splitlines() if line.startswith("cdi_refreshd_heart")
    )
    return float(line.split()[1])


def test_exported_files_are_readable_by_all_and_no_temporary_is_left(made, tmp_path):
    umask = os.umask(0o077)
    try:
        made.write(READY, HEALTHY)
    finally:
        os.umask(umask)
    assert {path.name for path in tmp_path.iterdir()} == {"health", "x.prom", "labels"}
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o644}
    assert (tmp_path / "health").read_text() == "0 Ready 2 GPUs\n"
    assert 'cdi_refreshd_state{state="ready"} 1' in (tmp_path / "x.prom").read_text()
    assert "cdi-refreshd.state=ready\n" in (tmp_path / "labels").read_text()


def test_a_heartbeat_updates_the_times_of_metrics_and_health_file_and_no_label(made, tmp_path, clock):
    made.write(READY, HEALTHY)
    os.utime(tmp_path / "health", (1, 1))
    labels = (tmp_path / "labels").stat().st_ino
    assert made.beat_at_s == clock[0] + 60
    clock[0] += 60
    made.beat()
    assert heartbeat(tmp_path) == 1e9 + 1060
    assert made.beat_at_s == clock[0] + 60
    assert (tmp_path / "health").stat().st_mtime > 1
    assert (tmp_path / "labels").stat().st_ino == labels


@pytest.mark.parametrize("step_s", [3600, -3600])
def test_setting_the_clock_moves_no_heartbeat_and_the_next_one_has_the_new_time(
    made, tmp_path, clock, monkeypatch, step_s
):
    made.write(READY, HEALTHY)
    due_at_s = made.beat_at_s
    monkeypatch.setattr(exports.time, "time", lambda: clock[0] + 1e9 + step_s)
    assert made.beat_at_s == due_at_s == clock[0] + 60
    clock[0] += 60
    made.beat()
    assert heartbeat(tmp_path) == 1e9 + 1060 + step_s
    assert made.beat_at_s == clock[0] + 60


def test_a_heartbeat_restores_files_that_were_removed(made, tmp_path):
    made.write(READY, HEALTHY)
    (tmp_path / "health").unlink()
    (tmp_path / "x.prom").unlink()
    made.beat()
    assert (tmp_path / "health").read_text() == "0 Ready 2 GPUs\n"
    assert (tmp_path / "x.prom").exists()


def test_a_clean_stop_removes_every_exported_file(made, tmp_path):
    made.write(READY, HEALTHY)
    made.remove()
    assert list(tmp_path.iterdir()) == []
    assert made.beat_at_s == float("inf")
    made.remove()
    assert made.faults == []


def test_files_that_the_configuration_drops_are_removed_and_moved_ones_follow(made, tmp_path):
    made.write(READY, HEALTHY)
    made.configure(Settings(textfile=str(tmp_path / "y.prom")))
    assert {path.name for path in tmp_path.iterdir()} == {"health"}
    made.beat()
    assert {path.name for path in tmp_path.iterdir()} == {"health", "y.prom"}


def test_a_failed_export_is_reported_once_and_again_only_after_a_success(made, tmp_path):
    made.configure(Settings(textfile=str(tmp_path / "none/x.prom")))
    made.write(READY, HEALTHY)
    made.beat()
    assert len(made.faults) == 1 and "ReadWritePaths" in made.faults[0]
    (tmp_path / "none").mkdir()
    made.beat()
    made.beat()
    assert made.notes == [f"{tmp_path}/none/x.prom: is written again"]
    (tmp_path / "none/x.prom").unlink()
    (tmp_path / "none").rmdir()
    made.beat()
    assert len(made.faults) == 2


def test_a_planted_link_in_place_of_the_temporary_is_replaced_and_not_followed(tmp_path):
    victim = tmp_path / "victim"
    victim.write_text("precious")
    (tmp_path / ".x.prom.tmp").symlink_to(victim)
    plain_file.replace(str(tmp_path / "x.prom"), b"new")
    assert (victim.read_text(), (tmp_path / "x.prom").read_text()) == ("precious", "new")
    assert {path.name for path in tmp_path.iterdir()} == {"victim", "x.prom"}


def test_a_file_that_cannot_be_put_in_place_leaves_no_temporary(tmp_path):
    (tmp_path / "x.prom").mkdir()
    (tmp_path / "x.prom/inside").write_text("")
    with pytest.raises(OSError):
        plain_file.replace(str(tmp_path / "x.prom"), b"new")
    assert {path.name for path in tmp_path.iterdir()} == {"x.prom"}


def test_no_descriptor_is_synced(made, monkeypatch):
    made.write(READY, HEALTHY)
    monkeypatch.setattr(os, "fsync", lambda *_: pytest.fail("a heartbeat was synced"))
    monkeypatch.setattr(os, "fdatasync", lambda *_: pytest.fail("a heartbeat was synced"))
    made.beat()
