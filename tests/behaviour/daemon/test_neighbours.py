"""Odd files that the daemon reads, and programs that do not end, block neither it nor oneshot."""

import contextlib
import os
import signal

import pytest

from tests.behaviour.daemon.running import CASE, PROGRAM, SPEC

pytestmark = pytest.mark.root

ASLEEP = {**CASE, "gpus": [{"drm": [1, 128], "runtime_status": "suspended"}]}
GROUPED = {**CASE, "gpus": [{"drm": [1, 128]}], "drm_mode": "0660", "drm_gid": 44}
FILES = ["/var/run/cdi/nvidia.yaml", "/run/cdi-refreshd/last-pass.json", "/run/cdi-refreshd/state.json"]
LONG_S = 50
"""Shorter than the time that a probe may take, and never reached."""


def oneshot(machine):
    done = machine.run([*PROGRAM, "oneshot"], timeout=LONG_S)
    assert "Traceback" not in done.stderr
    return done


def put(place, what):
    place.unlink(missing_ok=True)
    if what == "FIFO":
        os.mkfifo(place)
    elif what == "link":
        place.symlink_to("/dev/zero")
    else:
        place.write_text("[" * 60_000)


@pytest.mark.parametrize("what", ["FIFO", "link", "depth"])
@pytest.mark.parametrize("file", FILES)
def test_foreign_files_in_place_of_ours_block_no_command_while_a_gpu_sleeps(machine, start, file, what):
    machine.become(ASLEEP)
    assert oneshot(machine).returncode == 0
    put(machine.path(file), what)
    assert oneshot(machine).returncode == 0
    assert machine.path(SPEC).is_file()
    put(machine.path(file), what)
    for command in ("status", "check"):
        assert "Traceback" not in machine.run([*PROGRAM, command], timeout=LONG_S).stderr
    daemon = start()
    spec = machine.path(SPEC)
    daemon.until(lambda: spec.is_file() and not spec.is_symlink())  # or reading it here would block, too
    daemon.until_devices("0")


RUNTIMES = {
    "silent": "exec sleep 1000",
    "closes its output and lives on": "echo Docker version 25.0.3, build x; exec >&-; sleep 1000",
}


@pytest.mark.parametrize("how", RUNTIMES)
def test_no_pass_waits_for_a_container_runtime_that_hangs(machine, start, how):
    place = machine.path("/usr/local/bin/dockerd")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(f"#!/bin/sh\n{RUNTIMES[how]}\n")
    place.chmod(0o755)
    machine.become(GROUPED)
    daemon = start()
    daemon.until_notified("READY=1")
    daemon.until_devices("0")
    assert oneshot(machine).returncode == 0


def test_a_container_runtime_is_asked_once_and_again_after_it_was_replaced(machine, start):
    place = machine.path("/usr/local/bin/podman")
    place.parent.mkdir(parents=True, exist_ok=True)
    program = "#!/bin/sh\necho asked >> /run/asked\necho podman version 5.{}.0\n"
    place.write_text(program.format(4))
    place.chmod(0o755)
    machine.become(GROUPED)
    daemon = start()
    daemon.until_notified("READY=1")
    for number in range(1, 4):
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda n=number: daemon.state()["counters"]["reloads"] >= n)
    asked = machine.path("/run/asked")
    assert asked.read_text() == "asked\n"
    place.write_text(program.format(10))
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: asked.read_text() == "asked\nasked\n")


def test_a_process_that_nvml_leaves_behind_delays_no_probe_and_is_reported_once(machine, start):
    before = sleepers(machine)
    machine.become({**CASE, "nvml": ["worst /dev/nvml-worst"]})
    assert "left a process behind, which has been killed" in oneshot(machine).stderr
    daemon = start()
    daemon.until_notified("READY=1")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["counters"]["reloads"] == 1)
    assert "hangs" not in daemon.journal()
    assert daemon.journal().count("left a process behind, which has been killed") == 1
    daemon.until(lambda: daemon.children() == [])  # other specs are checked in one
    assert not [pid for pid in sleepers(machine) if pid not in before]


def sleepers(machine):
    """Processes of this machine alone that have the stand-in NVML mapped."""
    found = []
    for pid in machine.pids():
        with contextlib.suppress(OSError), open(f"/proc/{pid}/maps") as maps:
            found += [pid] if "libnvidia-ml.so" in maps.read() else []
    return found
