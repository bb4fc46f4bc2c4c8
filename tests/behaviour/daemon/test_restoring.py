"""A spec that is overwritten or deleted is restored before the machine is probed."""

import os
import shutil
import signal
import time

import pytest

from tests.behaviour.daemon.running import CASE, HANGS, SPEC, hanging, patched

pytestmark = pytest.mark.root
FAILS = {**CASE, "nvml": ["fail nvmlInit_v2 999"]}


@pytest.fixture
def published(machine, start):
    """A daemon whose probes hang from now on, the spec's path and its bytes."""
    daemon = start()
    daemon.until_notified("READY=1")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    machine.become(HANGS)
    daemon.until_quiet()
    return daemon, machine.path(SPEC), machine.path(SPEC).read_bytes()


@pytest.mark.parametrize(
    ("damage", "event"),
    [
        (lambda spec: spec.write_text("cdiVersion: 0.5.0\nkind: nv"), "written"),
        (lambda spec: spec.write_text(spec.read_text().replace("/dev/nvidia1", "/dev/sda")), "written"),
        (lambda spec: os.truncate(spec, 0), "written"),
        (lambda spec: spec.unlink(), "deleted"),
        (lambda spec: spec.rename(spec.with_name("else")), "moved away"),
        (lambda spec: spec.chmod(0o600), "has other permissions or times"),
        (lambda spec: shutil.rmtree(spec.parent), "deleted"),
    ],
    ids=["cut", "tampered", "emptied", "deleted", "renamed", "closed", "wiped"],
)
def test_a_lost_spec_is_restored_though_no_probe_ends(published, damage, event):
    daemon, spec, before = published
    damage(spec)
    daemon.until(lambda: spec.exists() and spec.read_bytes() == before and spec.stat().st_mode & 0o777 == 0o644)
    daemon.until(lambda: f"{SPEC} {event}, not by us; restored as it was published" in daemon.journal())


def test_a_complete_foreign_document_stays_until_the_probe_has_decided(published):
    daemon, spec, before = published
    other = before.replace(b"/dev/nvidia1", b"/dev/null")
    spec.with_name("other").write_bytes(other)
    spec.with_name("other").rename(spec)
    daemon.until(daemon.children)
    assert spec.read_bytes() == other


def test_a_spec_that_goes_together_with_the_gpus_is_not_restored(published):
    daemon, spec, _ = published
    daemon.machine.become({**HANGS, "gpus": [{}]})
    spec.unlink()
    daemon.until(daemon.children)
    assert not spec.exists()


@pytest.mark.parametrize("damage", [lambda spec: spec.unlink(), lambda spec: spec.write_text("no spec")])
def test_a_spec_that_is_lost_while_a_probe_hangs_is_restored(published, damage):
    daemon, spec, before = published
    daemon.signal(signal.SIGHUP)
    daemon.until(daemon.children)
    for _ in range(2):
        damage(spec)
        daemon.until(lambda: spec.exists() and spec.read_bytes() == before)


LOST_AGAIN = """
import os
rename = os.rename
def rename_and_lose(old, new, **directories):
    rename(old, new, **directories)
    if new == "nvidia.yaml" and os.path.exists("/run/lose-it"):
        os.unlink(new, dir_fd=directories["dst_dir_fd"])
        os.unlink("/run/lose-it")  # last, so that the test knows that the spec was lost
os.rename = rename_and_lose
"""
"""The spec is deleted right after the daemon's rename."""


def test_a_spec_deleted_right_after_it_was_restored_is_restored_again_while_a_probe_hangs(machine, start):
    daemon, _ = hanging(machine, start, env=patched(machine, LOST_AGAIN))
    spec = machine.path(SPEC)
    before = spec.read_bytes()
    lose_it = machine.path("/run/lose-it")
    lose_it.touch()
    spec.unlink()
    daemon.until(lambda: not lose_it.exists() and spec.exists() and spec.read_bytes() == before)


def test_a_newer_spec_from_oneshot_is_not_overwritten_before_a_probe_has_decided(machine, start):
    """It comes by a rename, and the writer's descriptor is closed after that: this is no damage."""
    daemon, _ = hanging(machine, start)
    spec = machine.path(SPEC)
    newer = spec.read_bytes().replace(b"major: 510", b"major: 777")
    with spec.with_name("newer").open("wb") as file:
        file.write(newer)
        file.flush()
        spec.with_name("newer").chmod(0o644)
        spec.with_name("newer").rename(spec)
    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at:
        daemon.hear(0.05)
        assert spec.read_bytes() == newer


def test_the_published_spec_is_restored_while_probes_fail_though_the_machine_changed_too(machine, start):
    daemon = start(config="[daemon]\nretry-first = 50ms\nretry-at-most = 1s\n")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    spec = machine.path(SPEC)
    before = spec.read_bytes()
    machine.become({**FAILS, "uvm_major": 444})
    for number, becomes_a_link in enumerate((False, True), 1):
        machine.path("/dev/nvidia-uvm").touch()
        spec.unlink()
        if becomes_a_link:
            spec.symlink_to("/etc/hostname")
        daemon.until(lambda: spec.is_file() and not spec.is_symlink() and spec.read_bytes() == before)
        # On a busy host the last restoration is noticed only now, as a write, and is reported as the reason.
        daemon.until(lambda wanted=number: daemon.journal().count("not by us; restored as it was") == wanted)
    daemon.until(lambda: daemon.state()["state"] == "failed" and daemon.state()["spec"]["stands"])


def test_a_foreign_document_is_kept_while_probes_fail_and_is_not_a_reason_to_probe(machine, start):
    daemon = start(config="[daemon]\nretry-first = 1min\n")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    spec = machine.path(SPEC)
    other = spec.read_bytes().replace(b"/dev/nvidia1", b"/dev/null")
    spec.with_name("other").write_bytes(other)
    machine.become({**FAILS, "uvm_major": 444})
    daemon.until(lambda: daemon.state()["state"] == "failed")
    daemon.until(lambda: not daemon.children())
    spec.with_name("other").rename(spec)
    reloads = daemon.state()["counters"]["reloads"]
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["counters"]["reloads"] > reloads)
    passes, ends_at = daemon.state()["counters"]["passes"], time.monotonic() + 1
    while time.monotonic() < ends_at:
        daemon.hear(0.05)
    assert daemon.state()["counters"]["passes"] <= passes + 1, "each probe asks for the next"
    assert spec.read_bytes() == other


def test_each_restore_is_counted_and_followed_by_a_probe(machine, start):
    daemon = start()
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    passes = daemon.state()["counters"]["passes"]
    for _ in range(3):
        machine.path(SPEC).unlink()
        daemon.until(lambda: machine.path(SPEC).exists())
        daemon.until_quiet()
    counters = daemon.state()["counters"]
    assert (counters["restored"], counters["passes"]) == (3, passes + 3)


def test_a_spec_that_is_damaged_again_and_again_is_probed_and_not_restored_each_time(machine, start):
    daemon = start()
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    spec = machine.path(SPEC)
    before, passes = spec.read_bytes(), daemon.state()["counters"]["passes"]
    for _ in range(50):
        spec.write_bytes(b"no spec")
        daemon.hear(0.02)
    daemon.until(lambda: spec.read_bytes() == before)
    daemon.until_quiet()
    counters = daemon.state()["counters"]
    assert spec.read_bytes() == before
    assert counters["passes"] > passes
    assert counters["restored"] < 25


def test_a_write_during_a_restore_is_noticed(machine, start):
    """Right after the rename: the file there then must not be taken for what was published."""
    daemon = start()
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    spec = machine.path(SPEC)
    before = spec.read_bytes()
    for _ in range(20):
        inode = spec.stat().st_ino
        spec.write_bytes(b"no spec")
        while spec.stat().st_ino == inode:
            pass
        os.truncate(spec, 10)
        daemon.until(lambda: spec.read_bytes() == before, "it stays damaged")
        daemon.until_quiet()


NEVER_AS_WRITTEN = "from cdi_refreshd.host import atomic_file\natomic_file.holds = lambda *_: False\n"
"""As on a file system without modes."""


def test_a_spec_that_never_reads_back_as_it_was_written_causes_no_further_probe(machine, start):
    daemon = start(env=patched(machine, NEVER_AS_WRITTEN))
    daemon.until_devices("0", "1")
    ends_at = time.monotonic() + 1
    while time.monotonic() < ends_at:
        daemon.hear(0.05)
    assert daemon.state()["counters"]["passes"] == 1
