"""Failures: the last good spec stays, the reason is reported, and the daemon recovers when the cause has gone."""

import os
import signal

import pytest

from tests.behaviour.daemon.running import CASE, SPEC, patched

pytestmark = pytest.mark.root
QUICK = "[daemon]\nready-wait = 0\nretry-first = 50ms\nretry-at-most = 1s\nprobe-timeout = 5s\n"
OTHER = {**CASE, "uvm_major": 509}


@pytest.fixture
def daemon(machine, start):
    running = start(config=QUICK)
    running.until_devices("0", "1")
    running.until_quiet()
    return running


def until_state(daemon, state):
    daemon.until(lambda: daemon.state()["state"] == state, f"was never {state}")


def test_a_file_in_place_of_the_spec_directory_is_reported_and_recovered_from(machine, daemon):
    directory = machine.path("/run/cdi")
    directory.rename(directory.with_name("cdi.old"))
    directory.write_text("")
    until_state(daemon, "failed")
    daemon.until(lambda: "not a directory" in daemon.journal())
    directory.unlink()
    daemon.until_devices("0", "1")
    until_state(daemon, "ready")


def test_a_read_only_directory_keeps_the_old_spec_until_it_is_writable_again(machine, daemon):
    before = machine.path(SPEC).read_bytes()
    machine.run(["mount", "--bind", "/run/cdi", "/run/cdi"], check=True)
    machine.run(["mount", "-o", "remount,ro,bind", "/run/cdi"], check=True)
    machine.become(OTHER)
    until_state(daemon, "failed")
    assert "read-only file system" in daemon.state()["reason"]
    assert machine.path(SPEC).read_bytes() == before
    machine.run(["umount", "/run/cdi"], check=True)
    daemon.until(lambda: "major: 509" in daemon.text())


def test_a_full_disk_keeps_the_old_spec_until_there_is_room(machine, daemon):
    machine.run(["mount", "-t", "tmpfs", "-o", "size=40k", "tiny", "/run/cdi"], check=True)
    daemon.until_devices("0", "1")  # a spec of 28 KB fits once
    before = machine.path(SPEC).read_bytes()
    machine.become(OTHER)
    until_state(daemon, "failed")
    assert "no space left" in daemon.state()["reason"]
    assert machine.path(SPEC).read_bytes() == before
    machine.run(["mount", "-o", "remount,size=1m", "/run/cdi"], check=True)
    daemon.until(lambda: "major: 509" in daemon.text())


def test_a_spec_is_published_through_a_directory_that_became_a_link(machine, daemon):
    directory = machine.path("/run/cdi")
    directory.rename(machine.path("/run/elsewhere"))
    directory.symlink_to("/run/elsewhere")
    machine.become(OTHER)
    daemon.until(lambda: "major: 509" in machine.path("/run/elsewhere/nvidia.yaml").read_text())
    assert directory.is_symlink()


def test_one_gpu_that_does_not_answer_is_left_out_and_named(machine, daemon):
    machine.become({**CASE, "nvml": ["fail nvmlDeviceGetUUID 15 1"], "nodes": ["ctl", "uvm", "uvm-tools", "caps"]})
    daemon.until_devices("0")
    until_state(daemon, "degraded")
    assert "GPU 1" in daemon.state()["reason"]


def test_libraries_upgraded_before_the_module_are_reported_with_both_versions(machine, daemon):
    machine.become({**CASE, "module_version": "580.95.05", "driver": "590.48.01"})
    until_state(daemon, "driver-mismatch")
    reason = daemon.state()["reason"]
    assert "580.95.05" in reason
    assert "590.48.01" in reason
    assert not machine.path(SPEC).exists(), "it named libraries that are gone"
    machine.become({**CASE, "driver": "590.48.01", "uvm_major": 509})
    daemon.until(lambda: "libcuda.so.590.48.01" in daemon.text())
    until_state(daemon, "ready")


def test_a_driver_that_is_unloaded_during_a_probe_withdraws_the_spec(machine, daemon):
    machine.become({**OTHER, "nvml": ["hang nvmlDeviceGetCount_v2 600"]})
    daemon.until(lambda: bool(daemon.children()))
    machine.become({**CASE, "no_module": True, "nodes": [], "gpus": [{"node": False}, {"node": False}]})
    daemon.until(lambda: not machine.path(SPEC).exists())
    until_state(daemon, "waiting-driver")
    machine.become(CASE)
    daemon.until_devices("0", "1")


@pytest.mark.parametrize("line", ["fail nvmlDeviceGetCount_v2 999", "fail nvmlDeviceGetHandleByIndex_v2 15"])
def test_a_failing_call_of_nvml_withdraws_nothing(machine, daemon, line):
    before = machine.path(SPEC).read_bytes()
    machine.become({**OTHER, "nvml": [line]})
    until_state(daemon, "failed")
    assert machine.path(SPEC).read_bytes() == before
    machine.become(OTHER)
    until_state(daemon, "ready")


def test_a_foreign_spec_is_replaced_though_ours_has_worse_findings(machine, daemon):
    """Without the hook program our spec cannot start a container; one without hooks could, but it is not ours."""
    daemon.configure(QUICK + "[generate]\nhooks = nvidia\n")
    machine.become({"gpus": [{}, {}]})
    until_state(daemon, "degraded")
    daemon.until_quiet()
    text = daemon.text()
    machine.path(SPEC).write_text(text[: text.index("    hooks:")] + text[text.index("    mounts:") :])
    daemon.until(lambda: daemon.text() == text)


def test_a_spec_that_is_to_move_stays_until_there_is_one_in_the_new_place(machine, daemon):
    before = machine.path(SPEC).read_bytes()
    machine.become({**CASE, "nvml": ["fail nvmlInit_v2 999"]})
    daemon.configure(QUICK + "[output]\nformat = json\n")
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["counters"]["reloads"] == 1)
    daemon.until(lambda: daemon.state()["repeated"] >= 1)
    assert machine.path(SPEC).read_bytes() == before
    assert "withdrawn" not in daemon.journal()
    machine.become(CASE)
    daemon.until(lambda: machine.path("/var/run/cdi/nvidia.json").exists() and not machine.path(SPEC).exists())
    assert f"{SPEC} withdrawn: the spec is /var/run/cdi/nvidia.json now" in daemon.journal()


NO_FORK = """
import errno, os
fork = os.fork
def refuse():
    if os.path.exists("/run/no-fork"):
        raise BlockingIOError(errno.EAGAIN, os.strerror(errno.EAGAIN))
    return fork()
os.fork = refuse
"""


def test_a_child_that_cannot_be_forked_is_reported_once_and_the_spec_stays(machine, start):
    daemon = start(config=QUICK, env=patched(machine, NO_FORK))
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    before, open_files = machine.path(SPEC).read_bytes(), len(os.listdir(f"/proc/{daemon.process.pid}/fd"))
    machine.path("/run/no-fork").touch()
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["repeated"] >= 3)
    assert daemon.state()["state"] == "failed"
    assert daemon.journal().count("no child can be started: Resource temporarily unavailable") == 1
    assert machine.path(SPEC).read_bytes() == before
    assert len(os.listdir(f"/proc/{daemon.process.pid}/fd")) == open_files
    machine.path("/run/no-fork").unlink()
    until_state(daemon, "ready")


LINGERS = """
import os, time
from cdi_refreshd.host import child
child.GRACE_S = 0.2
end = os._exit
def linger(status):
    if os.path.exists("/run/linger"):
        time.sleep(600)
    end(status)
os._exit = linger
"""


def test_a_child_that_answers_and_does_not_end_is_killed_before_the_limit_of_a_probe(machine, start):
    daemon = start(config=QUICK.replace("5s", "10min"), env=patched(machine, LINGERS))
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    before = machine.path(SPEC).read_bytes()
    machine.path("/run/linger").touch()
    daemon.signal(signal.SIGHUP)
    until_state(daemon, "failed")
    assert ") did not end within 0.2 s of its answer; see dmesg for NVRM lines" in daemon.journal()
    assert machine.path(SPEC).read_bytes() == before
    machine.path("/run/linger").unlink()
    until_state(daemon, "ready")


UNKILLABLE = """
import os
from cdi_refreshd.host.child import Child
kill = Child.kill
def spare(self, why):
    if not os.path.exists("/run/unkillable"):
        kill(self, why)
Child.kill = spare
"""


def test_a_child_that_cannot_be_killed_delays_no_reload_and_the_spec_stays(machine, start):
    daemon = start(config=QUICK.replace("5s", "1s"), env=patched(machine, UNKILLABLE))
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    before = machine.path(SPEC).read_bytes()
    machine.path("/run/unkillable").touch()
    machine.become({**CASE, "nvml": ["hang nvmlInit_v2 600"]})
    daemon.until_quiet()
    heard = len(daemon.hear())
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: "READY=1" in daemon.hear()[heard:], "the reload never ended")
    (child,) = daemon.children()
    assert ") hangs in the driver and cannot be killed; the spec stays; no other is started" in daemon.journal()
    assert daemon.state()["counters"]["reloads"] == 1
    machine.path(SPEC).unlink()
    daemon.until(lambda: machine.path(SPEC).exists())
    assert machine.path(SPEC).read_bytes() == before
    heard = len(daemon.hear())
    daemon.signal(signal.SIGHUP)
    daemon.until(lambda: "READY=1" in daemon.hear()[heard:], "the reload never ended")
    assert daemon.state()["counters"]["reloads"] == 2
    assert daemon.children() == [child]
    machine.become(CASE)
    os.kill(child, signal.SIGKILL)
    until_state(daemon, "ready")


NO_UDEV = """
import os, pyudev
from cdi_refreshd.events import udev
udev.AGAIN_S = 0.1
context = pyudev.Context
def refuse():
    if os.path.exists("/run/no-udev"):
        raise ImportError("no libudev")
    return context()
pyudev.Context = refuse
"""


def test_a_failed_subscription_to_uevents_is_tried_again(machine, start):
    machine.path("/run/no-udev").touch()
    daemon = start(env=patched(machine, NO_UDEV))
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    assert (daemon.state()["events"], "no libudev" in daemon.state()["note"]) == ("none", True)
    machine.path("/run/no-udev").unlink()
    daemon.until(lambda: daemon.state()["events"] == "kernel")
    assert "no libudev" not in daemon.state()["note"]
