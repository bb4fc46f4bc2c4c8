"""The daemon does not get in the way, and systemd knows its state."""

import os
import select
import signal
import socket
import time
from pathlib import Path
from random import Random

import pytest
import yaml

from tests.behaviour.daemon.running import CASE, LIMIT_S, PROGRAM, SPEC

pytestmark = pytest.mark.root


def ready(start, **options):
    daemon = start(**options)
    daemon.until_notified("READY=1")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    return daemon


def descriptors(pid):
    found = []
    for name in os.listdir(f"/proc/{pid}/fd"):
        try:
            found.append(os.readlink(f"/proc/{pid}/fd/{name}"))
        except FileNotFoundError:
            continue
    return found


def test_the_daemon_holds_no_device_open_and_maps_no_library_of_the_driver(start):
    daemon = ready(start)
    assert not [path for path in descriptors(daemon.process.pid) if "/dev/nvidia" in path]
    assert "nvidia" not in Path(f"/proc/{daemon.process.pid}/maps").read_text()


def test_descriptors_and_children_do_not_pile_up(start):
    daemon = ready(start)
    before = sorted(descriptors(daemon.process.pid))
    for number in range(1, 21):
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda n=number: daemon.state()["counters"]["reloads"] >= n)
    daemon.until_quiet()
    assert len(descriptors(daemon.process.pid)) == len(before)
    assert daemon.children() == []


def test_a_reload_is_announced_with_its_time_and_ends_when_its_pass_ends(start):
    daemon = ready(start)
    heard = len(daemon.hear())
    daemon.configure("[generate]\nclass = accel\n")
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: "READY=1" in daemon.hear()[heard:])
    later = daemon.notified[heard:]
    assert later.index("RELOADING=1") < later.index("READY=1")
    assert any(line.startswith("MONOTONIC_USEC=") for line in later)
    assert "kind: nvidia.com/accel" in daemon.machine.path(SPEC).read_text()


def test_a_reload_during_a_probe_is_served_by_the_next_probe(machine, start):
    daemon = ready(start)
    machine.become({**CASE, "nvml": ["hang nvmlInit_v2 1"]})
    daemon.until_quiet()
    heard = len(daemon.hear())
    daemon.signal(signal.SIGHUP)
    first = daemon.until_probing()
    os.kill(first, signal.SIGSTOP)  # so that the pass is still running when the daemon is asked
    daemon.configure("[generate]\nclass = accel\n")
    daemon.signal(signal.SIGHUP)
    os.kill(first, signal.SIGCONT)
    daemon.until(lambda: "READY=1" in daemon.hear()[heard:])
    assert first not in daemon.children()
    assert "kind: nvidia.com/accel" in daemon.machine.path(SPEC).read_text()
    assert daemon.state()["counters"]["reloads"] == 1


def test_a_broken_configuration_on_reload_keeps_the_old_one_in_force(start):
    daemon = ready(start)
    heard = len(daemon.hear())
    daemon.configure("[generate]\nmode = nvmll\n")
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: "READY=1" in daemon.hear()[heard:])
    assert "cdi-refreshd.conf:2" in daemon.journal()
    assert daemon.state()["state"] == "ready"


def test_a_broken_configuration_at_start_is_exit_status_78_and_one_line(start):
    daemon = start(config="[daemon]\nsettle = often\n")
    assert daemon.process.wait(LIMIT_S) == 78
    assert len(daemon.journal().splitlines()) == 1
    assert "cdi-refreshd.conf:2" in daemon.journal()


def test_a_changed_configuration_file_is_taken_up_without_being_asked(start):
    daemon = ready(start)
    daemon.configure("[generate]\nvendor = example.com\n")
    daemon.until(lambda: "kind: example.com/gpu" in daemon.text())


def test_a_configuration_file_named_by_the_environment_is_watched_whatever_its_name(machine, start):
    named = machine.path("/etc/our settings.ini")
    named.write_text("[generate]\nvendor = example.com\n")
    daemon = start(env={"CDI_REFRESHD_CONFIG": "/etc/our settings.ini"})
    daemon.until(lambda: "kind: example.com/gpu" in daemon.text())
    daemon.until_quiet()
    named.write_text("[generate]\nvendor = example.org\n")
    daemon.until(lambda: "kind: example.org/gpu" in daemon.text())


def test_a_configuration_file_that_an_editor_replaces_in_two_steps_is_read_when_it_is_back(machine, start):
    # The settle time is what the daemon grants the editor, so it is long enough for a busy machine.
    elsewhere = "[daemon]\nsettle = 1s\nsettle-at-most = 10s\n[output]\nspec-dir = /run/mine\n"
    daemon = start(config=elsewhere)
    daemon.until(machine.path("/run/mine/nvidia.yaml").exists)
    daemon.until_quiet()
    machine.path("/run/cdi").mkdir(exist_ok=True)
    machine.path(SPEC).write_text("somebody else's")
    daemon.until_quiet()
    path = machine.path("/etc/cdi-refreshd/cdi-refreshd.conf")
    path.rename(path.with_name("cdi-refreshd.conf~"))
    time.sleep(0.01)
    daemon.configure(elsewhere + "[generate]\nclass = accel\n")
    daemon.until(lambda: "kind: nvidia.com/accel" in machine.path("/run/mine/nvidia.yaml").read_text())
    assert machine.path(SPEC).read_text() == "somebody else's", "for a moment, the default was in force"


def test_the_loop_pings_the_watchdog(start):
    daemon = ready(start, watchdog_s=0.2)
    heard = len(daemon.hear())
    daemon.until(lambda: daemon.hear()[heard:].count("WATCHDOG=1") >= 3)


def test_watchdog_pings_go_on_while_a_child_hangs_and_the_child_is_reported(machine, start):
    machine.become({**CASE, "nvml": ["hang nvmlInit_v2 600"]})
    daemon = start(watchdog_s=0.2, config="[daemon]\nprobe-timeout = 1s\nready-wait = 0\n")
    daemon.until_notified("STATUS=failed: probe: the child")
    assert daemon.hear().count("WATCHDOG=1") >= 2
    assert "did not answer within 1 s" in daemon.journal()
    machine.become(CASE)
    daemon.until_devices("0", "1")


@pytest.mark.parametrize("line", ["crash nvmlInit_v2", "fail nvmlInit_v2 999", "flood nvmlInit_v2"])
def test_a_failure_of_nvml_keeps_the_last_good_spec(machine, start, line):
    daemon = ready(start, config="[daemon]\nprobe-timeout = 5s\n")
    before = machine.path(SPEC).read_bytes()
    machine.become({**CASE, "nvml": [line]})
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["state"] == "failed")
    assert machine.path(SPEC).read_bytes() == before
    machine.become(CASE)
    daemon.until(lambda: daemon.state()["state"] == "ready")


def test_repeated_failures_are_counted_and_logged_once(machine, start):
    machine.become({**CASE, "nvml": ["fail nvmlInit_v2 999"]})
    daemon = start(config="[daemon]\nready-wait = 0\nretry-at-most = 1s\n")
    daemon.until_passes(4)
    assert daemon.state()["repeated"] >= 3
    assert daemon.journal().count("NVML failed") == 1


def test_readiness_waits_for_a_driver_where_there_is_hardware_but_not_forever(machine, start):
    machine.become({**CASE, "no_module": True})
    daemon = start(config="[daemon]\nready-wait = 1s\n")
    daemon.until_notified("STATUS=waiting-driver")
    assert "READY=1" not in daemon.hear()
    daemon.until_notified("READY=1")
    daemon.until(lambda: "<4>not ready after 1 s, and the boot goes on; waiting-driver: " in daemon.journal())


def test_readiness_waits_for_no_driver_where_every_gpu_has_another(machine, start):
    machine.become({"gpus": [], "unbound": [{"bdf": "0000:01:00.0", "driver": "vfio-pci"}]})
    daemon = start(config="[daemon]\nready-wait = 1h\n")
    daemon.until_notified("READY=1")
    assert "boot goes on" not in daemon.journal()


def test_a_long_ready_wait_extends_the_start_timeout_of_systemd(start):
    daemon = ready(start, config="[daemon]\nready-wait = 10min\n")
    assert "EXTEND_TIMEOUT_USEC=630000000" in daemon.notified


def test_the_state_file_shows_that_the_daemon_has_stopped(start):
    daemon = ready(start)
    assert daemon.state()["stopped"] == ""
    daemon.stop()
    assert daemon.state()["stopped"] >= daemon.state()["started"]
    assert daemon.state()["state"] == "ready"


def test_the_old_spec_is_removed_when_the_configuration_moves_the_output(start):
    daemon = ready(start)
    daemon.configure("[output]\nformat = json\n")
    daemon.until(lambda: daemon.machine.path("/var/run/cdi/nvidia.json").exists())
    daemon.until(lambda: not daemon.machine.path(SPEC).exists())


def test_a_leftover_spec_in_etc_cdi_is_reported_at_start_with_a_hint(machine, start):
    machine.path("/etc/cdi").mkdir(exist_ok=True)
    old = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: '0'\n  containerEdits: {env: [A=b]}\n"
    machine.path("/etc/cdi/nvidia.yaml").write_text(old)
    daemon = start()
    daemon.until(lambda: "/etc/cdi/nvidia.yaml" in daemon.journal())
    line = next(line for line in daemon.journal().splitlines() if "/etc/cdi/nvidia.yaml" in line)
    assert line.startswith("<4>")
    assert "cdi-refreshd adopt" in line


def test_the_state_is_degraded_as_long_as_another_spec_conflicts_with_ours(machine, start):
    daemon = ready(start)
    other = machine.path("/var/run/cdi/nvidia-container-toolkit.yaml")
    other.write_text(machine.path(SPEC).read_text())
    daemon.until(lambda: daemon.state()["state"] == "degraded")
    assert "so no container gets" in daemon.state()["reason"]
    assert "adopt" in daemon.state()["reason"]
    daemon.until_quiet()
    assert daemon.journal().count("so no container gets") == 1
    passes = daemon.state()["counters"]["passes"]
    daemon.until_quiet()
    assert daemon.state()["counters"]["passes"] == passes
    other.unlink()
    daemon.until(lambda: daemon.state()["state"] == "ready")


def test_conflicts_of_other_vendors_do_not_change_our_state(machine, start):
    directory = machine.path("/run/cdi")
    directory.mkdir(exist_ok=True)
    theirs = "cdiVersion: 0.5.0\nkind: intel.com/gpu\ndevices:\n- name: card0\n  containerEdits: {env: [A=b]}\n"
    for name in ("intel.yaml", "nvidia-no.yaml"):
        (directory / name).write_text(theirs)
    daemon = ready(start)
    assert machine.run([*PROGRAM, "refresh"]).returncode == 0
    daemon.until_quiet()
    assert daemon.state()["state"] == "ready"
    assert "no container gets" not in daemon.journal()


def test_a_second_daemon_refuses_to_run(machine, start):
    ready(start)
    second = machine.run([*PROGRAM, "run"])
    assert second.returncode == 1
    assert "another daemon runs" in second.stderr


def test_status_and_refresh_report_the_daemons_state(machine, start):
    assert machine.run([*PROGRAM, "refresh"]).returncode == 1
    daemon = ready(start)
    reported = machine.run([*PROGRAM, "status"])
    assert reported.returncode == 0
    assert reported.stdout.startswith("ready: 2 GPUs")
    asked = machine.run([*PROGRAM, "refresh"])
    assert (asked.returncode, "ready: 2 GPUs" in asked.stderr) == (0, True)
    assert daemon.state()["counters"]["reloads"] == 1
    daemon.stop()
    assert machine.run([*PROGRAM, "status"]).returncode == 1


def test_no_probe_begins_while_the_daemon_is_held(machine, start):
    daemon = ready(start)
    before = machine.path(SPEC).read_bytes()
    asked = machine.run([*PROGRAM, "hold", "600"])
    assert (asked.returncode, "no probe until " in asked.stderr) == (0, True)
    opens, passes = machine.nvml_opens(), daemon.state()["counters"]["passes"]
    machine.become({**CASE, "gpus": [{}]})
    daemon.until_quiet()
    assert machine.path(SPEC).read_bytes() == before
    machine.path(SPEC).write_text("no spec")
    daemon.until(lambda: machine.path(SPEC).read_bytes() == before, "what is published is not restored")
    assert (machine.nvml_opens(), daemon.state()["counters"]["passes"]) == (opens, passes)
    assert machine.run([*PROGRAM, "status"]).stdout.count("no probe until ") == 1
    assert "no probe until" in [line for line in daemon.hear() if line.startswith("STATUS=")][-1]
    assert machine.run([*PROGRAM, "refresh"]).returncode == 0
    assert daemon.devices() == {"0"}
    assert "held " not in machine.run([*PROGRAM, "status"]).stdout
    assert "no probe begins until" in daemon.journal() and "probes may begin again" in daemon.journal()


def test_a_hold_ends_by_itself_and_a_probe_follows(machine, start):
    daemon = ready(start)
    passes = daemon.state()["counters"]["passes"]
    assert machine.run([*PROGRAM, "hold", "2"]).returncode == 0
    daemon.until_passes(passes + 1)
    assert daemon.state()["last_pass"]["triggers"] == ["signal: the hold is over"]
    assert not machine.path("/run/cdi-refreshd/hold").exists()


def test_a_hold_waits_for_the_probe_that_is_under_way(machine, start):
    daemon = ready(start)
    machine.become({**CASE, "nvml": ["hang nvmlInit_v2 1"]})
    daemon.until_quiet()
    daemon.signal(signal.SIGHUP)
    child = daemon.until_probing()
    assert machine.run([*PROGRAM, "hold"]).returncode == 0
    assert child not in daemon.children()


def test_a_hold_does_not_outlive_the_daemon(machine, start):
    daemon = ready(start)
    assert machine.run([*PROGRAM, "hold"]).returncode == 0
    daemon.stop()
    asked = machine.run([*PROGRAM, "hold"])
    assert (asked.returncode, asked.stderr) == (
        1,
        "cdi-refreshd: daemon: is not running; it does not have the driver open; go ahead\n",
    )
    machine.become({**CASE, "gpus": [{}]})
    ready_again = start()
    ready_again.until_devices("0")


@pytest.mark.parametrize(
    ("word", "fact"),
    [
        ("0", "0 is not in range: more than 0, and at most 3600"),
        ("3601", "3601 is not in range"),
        ("-1", "'-1' is not a number of seconds"),
        ("long", "'long' is not a number of seconds"),
    ],
)
def test_a_hold_with_an_invalid_duration_is_refused(machine, start, word, fact):
    ready(start)
    asked = machine.run([*PROGRAM, "hold", word])
    assert (asked.returncode, asked.stderr.count("\n")) == (2, 1)
    assert f"SECONDS: {fact}" in asked.stderr
    assert not machine.path("/run/cdi-refreshd/hold").exists()


def test_a_failed_probe_is_not_a_failed_reload(machine, start):
    daemon = ready(start)
    machine.become(CASE | {"nvml": ["fail nvmlInit_v2 999"]})
    asked = machine.run([*PROGRAM, "refresh", "--quiet"])
    assert (asked.returncode, asked.stderr) == (0, "")
    assert daemon.state()["state"] == "failed"
    assert machine.run([*PROGRAM, "refresh"]).returncode == 1


def test_fields_reach_the_journal_where_there_is_one(machine, start):
    where = machine.path("/run/systemd/journal")
    where.mkdir(parents=True)
    journal = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    here = os.open(where, os.O_PATH)
    try:
        journal.bind(f"/proc/self/fd/{here}/socket")
        error = machine.path("/run/daemon.err")
        error.touch()
        seen = error.stat()
        daemon = start(env={"JOURNAL_STREAM": f"{seen.st_dev}:{seen.st_ino}"})
        daemon.until_notified("READY=1")
        journal.settimeout(LIMIT_S)
        lines = []
        while not any(b"CDI_STATE=ready" in line for line in lines):
            lines.append(journal.recv(65536))
    finally:
        os.close(here)
        journal.close()
    fields = lines[-1].decode().splitlines()
    assert "MESSAGE_ID=21f4aa7f6a9a4136b946534ed56753a0" in fields
    assert any(line.startswith("GPU_UUID=GPU-") for line in fields)
    assert any(line.startswith("CDI_TRIGGER=start: ") for line in fields)
    assert any(line.startswith("CDI_SPEC_SHA256=") for line in fields)


def test_sigkill_at_any_of_80_moments_leaves_a_correct_spec_and_no_child(machine, start):
    """From before the first probe to after several, while the machine changes under it."""
    random, major, children = Random(7), 0, set()
    ready(start).stop()
    for turn in range(80):
        if turn % 10 == 0:
            pass_s = first_pass_s(start)  # with this host as busy as it is now
        daemon = start()
        ends_at = time.monotonic() + random.random() * 2 * pass_s
        while time.monotonic() < ends_at:
            major = 400 + (major + 1) % 100
            machine.become({**CASE, "uvm_major": major})
            for _ in range(10):
                select.select([], [], [], 0.005)
                children.update(daemon.children())
        daemon.signal(signal.SIGKILL)
        daemon.process.wait()
        whole(machine.path(SPEC))
    daemon = ready(start)
    daemon.until(lambda: f"major: {major}\n" in daemon.text())
    assert [name for name in os.listdir(machine.path(SPEC).parent) if name.endswith(".tmp")] == []
    assert len(children) > 20, f"it was hardly ever killed while a child probed: {len(children)}"
    daemon.until(lambda: not any(os.path.exists(f"/proc/{pid}/exe") for pid in children))


def first_pass_s(start):
    begun, daemon = time.monotonic(), start()
    daemon.until_notified("READY=1")
    lasted_s = time.monotonic() - begun
    daemon.stop()
    return lasted_s


def whole(path):
    names = [device["name"] for device in yaml.load(path.read_bytes(), yaml.CSafeLoader)["devices"]]
    assert {"0", "1", "all"} <= set(names)
    assert path.stat().st_mode & 0o777 == 0o644
