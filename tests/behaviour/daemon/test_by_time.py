"""What happens without an event: by time alone, from what is remembered, and while a probe hangs."""

import os
import signal
import subprocess

import pytest

from tests.behaviour.daemon.running import CASE, HANGS, LIMIT_S, PROGRAM, SPEC, STATE, hanging, patched
from tests.machine.driver_files import MULTIARCH as LIB

pytestmark = pytest.mark.root

FAILS = {**CASE, "nvml": ["fail nvmlInit_v2 999"]}
NODES = {"nvidia0": [195, 0], "nvidia1": [195, 1]}
MISMATCH = {**CASE, "nvml": ["fail nvmlInit_v2 18"]}
ASLEEP = {**CASE, "gpus": [{"runtime_status": "suspended"}]}


def triggers(daemon):
    return daemon.state()["last_pass"]["triggers"]


@pytest.mark.parametrize(
    ("case", "state"),
    [({**CASE, "nodes": ["ctl", "caps"]}, "degraded"), ({**CASE, "no_module": True}, "waiting-driver")],
    ids=["degraded", "waiting"],
)
def test_a_state_that_waits_for_an_event_is_also_probed_again_after_a_time(machine, start, case, state):
    machine.become(case)
    daemon = start(config="[daemon]\nready-wait = 0\nsweep = 1s\n[host]\ndevice-nodes = no\n")
    daemon.until(lambda: machine.path(STATE).exists() and f"sweep: still {state}" in triggers(daemon))


@pytest.mark.parametrize(("policy", "stands"), [("keep", True), ("withdraw", False)])
def test_the_spec_is_kept_or_withdrawn_on_a_mismatch_as_configured(machine, start, policy, stands):
    daemon = start(config=f"[output]\non-mismatch = {policy}\n")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    machine.become({**MISMATCH, "remove": [f"{LIB}/libcuda.so*"]} if stands else MISMATCH)
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["state"] == "driver-mismatch")
    assert (machine.path(SPEC).exists(), daemon.state()["spec"]["stands"]) == (stands, stands)


@pytest.mark.parametrize(("policy", "stands"), [("keep", True), ("withdraw", False)])
def test_oneshot_does_as_configured_on_a_mismatch_too(machine, policy, stands):
    assert machine.run([*PROGRAM, "oneshot"]).returncode == 0
    machine.become({**MISMATCH, "remove": [f"{LIB}/libcuda.so*"]} if stands else MISMATCH)
    conf = machine.path("/etc/cdi-refreshd")
    conf.mkdir(exist_ok=True)
    (conf / "cdi-refreshd.conf").write_text(f"[output]\non-mismatch = {policy}\n")
    assert machine.run([*PROGRAM, "oneshot"]).returncode == 4
    assert machine.path(SPEC).exists() == stands


def test_a_gpu_that_sleeps_is_not_woken_by_a_daemon_that_starts_again(machine, start):
    machine.become(ASLEEP)
    first = start()
    first.until_devices("0")
    first.until_quiet()
    first.stop()
    opens = machine.nvml_opens()
    second = start()
    second.until(lambda: "nothing changed, and 0000:01:00.0 sleeps" in second.state()["reason"])
    assert machine.nvml_opens() == opens
    assert second.state()["state"] == "ready"


def test_a_fifo_renamed_over_the_spec_of_a_sleeping_gpu_does_not_block(machine, start):
    machine.become(ASLEEP)
    daemon = start()
    daemon.until_devices("0")
    daemon.until_quiet()
    spec = machine.path(SPEC)
    before = spec.read_bytes()
    os.mkfifo(spec.with_name("fifo"))
    spec.with_name("fifo").rename(spec)
    daemon.until(lambda: spec.is_file() and spec.read_bytes() == before)
    daemon.stop()
    os.mkfifo(spec.with_name("fifo"))
    spec.with_name("fifo").rename(spec)
    again = start()
    again.until(lambda: spec.is_file() and spec.read_bytes() == before)


RECHECK_SOON = "from cdi_refreshd.daemon import passes\npasses.WITHDRAWN_RECHECK_S = 0.2\n"


@pytest.mark.parametrize("mistaken", [{"gpus": []}, {"no_module": True}], ids=["no-gpu", "waiting-driver"])
def test_a_spec_that_was_withdrawn_by_mistake_is_published_again_without_an_event(machine, start, mistaken):
    """The hardware may have seemed gone for a moment only, and no event reports that it is back."""
    everything = {**CASE, "extra_nodes": NODES}
    machine.become(everything)
    daemon = start(env=patched(machine, RECHECK_SOON), config="[daemon]\nready-wait = 0\nsweep = 1h\nmig-poll = 1h\n")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    machine.become({**everything, "nodes": ["ctl", "modeset", "uvm", "uvm-tools", "caps"], **mistaken})
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: not machine.path(SPEC).exists())
    machine.become(everything)
    daemon.until_devices("0", "1")


def stopped(machine, start):
    """A daemon whose probe hangs, and its only child."""
    daemon, child = hanging(machine, start)
    os.kill(child, signal.SIGSTOP)  # so that it stays, whatever happens to the machine
    return daemon, [child]


@pytest.mark.parametrize(
    ("gone", "state"),
    [({"gpus": []}, "no-gpu"), ({"no_module": True, "nodes": []}, "waiting-driver")],
    ids=["the last GPU", "the module"],
)
def test_removed_hardware_withdraws_the_spec_while_a_probe_hangs(machine, start, gone, state):
    daemon, children = stopped(machine, start)
    machine.become({**HANGS, **gone})
    daemon.until(lambda: not machine.path(SPEC).exists())
    daemon.until(lambda: daemon.state()["state"] == state)
    assert daemon.children() == children


def test_a_removed_gpu_leaves_the_spec_while_a_probe_hangs(machine, start):
    daemon, children = stopped(machine, start)
    machine.become({**HANGS, "gpus": [{}]})
    daemon.until_devices("0")
    daemon.until(lambda: daemon.state()["state"] == "degraded")
    assert "has left the bus or its driver" in daemon.state()["reason"]
    assert daemon.children() == children


def test_a_directory_in_the_specs_place_is_reported_while_probes_fail(machine, start):
    daemon = start(config="[daemon]\nretry-first = 50ms\nretry-at-most = 1s\n")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    machine.become(FAILS)
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["state"] == "failed")
    machine.path(SPEC).unlink()
    machine.path(SPEC).mkdir()
    daemon.until(lambda: not daemon.state()["spec"]["stands"])
    daemon.until(lambda: f"{SPEC}: is a directory, so there is no spec; move it away" in daemon.journal())
    machine.path(SPEC).rmdir()
    daemon.until(lambda: machine.path(SPEC).is_file() and daemon.state()["spec"]["stands"])


def test_a_hold_reaches_a_daemon_whose_first_probe_is_under_way(machine, start):
    machine.become({**CASE, "nvml": ["hang nvmlInit_v2 1"]})
    daemon = start(config="[daemon]\nready-wait = 0\n")
    child = daemon.until_probing()
    os.kill(child, signal.SIGSTOP)  # so that the pass is still running when the daemon is asked
    daemon.until(machine.path(STATE).exists)
    reported = machine.run([*PROGRAM, "status"])
    assert (reported.returncode, "the first probe has not ended" in reported.stdout) == (1, True)
    with machine.popen([*PROGRAM, "hold", "600"], stderr=subprocess.PIPE, text=True) as asking:
        daemon.until(machine.path("/run/cdi-refreshd/hold").exists)
        os.kill(child, signal.SIGCONT)
        _, said = asking.communicate(timeout=LIMIT_S)
    assert (asking.returncode, "no probe until " in said) == (0, True)
    assert child not in daemon.children()
    machine.become(CASE)
    assert machine.run([*PROGRAM, "refresh"]).returncode == 0


def test_a_hold_from_before_the_start_has_no_effect(machine, start):
    folder = machine.path("/run/cdi-refreshd")
    folder.mkdir(exist_ok=True)
    (folder / "hold").write_text("9e9 2026-01-01T00:00:00Z\n")
    daemon = start()
    daemon.until_devices("0", "1")
    assert daemon.state()["held"] == ""
