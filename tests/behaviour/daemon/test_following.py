"""The spec follows the machine."""

import os
import shutil

import pytest

from tests.behaviour.daemon.running import CASE, SPEC
from tests.machine.driver_files import MULTIARCH as LIB
from tests.machine.hook_programs import CDI_HOOK, install, script

pytestmark = pytest.mark.root
LINK = f"containerPath: {LIB}/libcuda.so.1\n"
UP = {"path_bins": CASE["path_bins"]}


def ready(start, **options):
    daemon = start(**options)
    daemon.until_notified("READY=1")
    daemon.until_devices("0", "1")
    return daemon


def test_the_daemon_is_ready_once_the_spec_stands(start):
    daemon = start()
    daemon.until_notified("READY=1")
    assert daemon.devices() == {"0", "1"}
    assert any(line.startswith("STATUS=ready: 2 GPUs") for line in daemon.hear())


def test_a_gpu_that_loses_its_node_leaves_the_spec_and_comes_back_with_it(machine, start):
    daemon = ready(start)
    machine.become({**CASE, "gpus": [{}, {"node": False}]})
    daemon.until_devices("0")
    machine.become(CASE)
    daemon.until_devices("0", "1")
    daemon.until(lambda: "devices: + 1 (GPU-" in daemon.journal())
    assert "devices: - 1 (GPU-" in daemon.journal()


def test_a_hook_program_that_is_removed_installed_or_replaced_is_noticed(machine, start):
    daemon = ready(start)
    machine.become({**CASE, "path_bins": []})
    daemon.until(lambda: LINK in daemon.text() and "hookName" not in daemon.text())
    install(machine, "1.17.8")
    daemon.until(lambda: "hookName" in daemon.text() and "update-application-profile" not in daemon.text())
    assert LINK not in daemon.text()
    install(machine, "1.20.0")
    daemon.until(lambda: "update-application-profile" in daemon.text())
    daemon.until(lambda: daemon.state()["state"] == "ready")
    machine.path(CDI_HOOK).chmod(0o644)
    daemon.until(lambda: "hookName" not in daemon.text())


def test_a_hook_program_that_is_replaced_behind_a_symbolic_link_is_noticed(machine, start):
    """As the toolkit of a GPU operator is installed, or that of Debian's alternatives."""
    real = "/usr/local/nvidia/toolkit/nvidia-cdi-hook"
    machine.become(
        {**CASE, "path_bins": [], "links": {CDI_HOOK: "/etc/alternatives/hook", "/etc/alternatives/hook": real}}
    )
    daemon = ready(start)
    assert LINK in daemon.text()
    place = machine.path(real)
    place.parent.mkdir(parents=True)
    place.write_text(script("1.17.8"))
    place.chmod(0o755)
    daemon.until(lambda: "hookName" in daemon.text() and "update-application-profile" not in daemon.text())
    place.write_text(script("1.20.0"))
    daemon.until(lambda: "update-application-profile" in daemon.text())
    place.chmod(0o644)
    daemon.until(lambda: LINK in daemon.text() and "hookName" not in daemon.text())
    place.chmod(0o755)
    daemon.until(lambda: "hookName" in daemon.text())
    place.unlink()
    daemon.until(lambda: LINK in daemon.text() and "hookName" not in daemon.text())


def test_mig_devices_that_are_added_changed_or_removed_change_the_spec(machine, start):
    daemon = ready(start, config="[daemon]\nmig-poll = 100ms\n")
    machine.become({**CASE, "gpus": [{"mig": [[1, 0], [2, 0]]}, {}]})
    daemon.until_devices("0:0", "0:1", "1")
    machine.become({**CASE, "gpus": [{"mig": [[1, 0]]}, {}]})
    daemon.until_devices("0:0", "1")
    machine.become(CASE)
    daemon.until_devices("0", "1")


@pytest.mark.parametrize(
    "damage",
    [
        lambda spec: spec.unlink(),
        lambda spec: spec.write_text("cdiVersion: 0.5.0\nkind: nv"),
        lambda spec: spec.write_text(spec.read_text().replace("/dev/nvidia1", "/dev/sda")),
        lambda spec: (spec.unlink(), spec.symlink_to("/dev/null")),
        lambda spec: spec.rename(spec.with_name("else")),
        lambda spec: os.truncate(spec, 0),
        lambda spec: spec.chmod(0o600),
        lambda spec: shutil.rmtree(spec.parent),
        lambda spec: spec.parent.rename(spec.parent.with_name("cdi.away")),
    ],
    ids=["deleted", "cut", "tampered", "linked", "renamed", "emptied", "closed", "wiped", "moved"],
)
def test_a_damaged_spec_is_restored(machine, start, damage):
    daemon = ready(start)
    before = machine.path(SPEC).read_bytes()
    daemon.until_quiet()
    damage(machine.path(SPEC))
    path = machine.path(SPEC)
    daemon.until(
        lambda: (
            path.exists()
            and not path.is_symlink()
            and path.read_bytes() == before
            and path.stat().st_mode & 0o777 == 0o644
        )
    )


def test_a_socket_that_comes_late_enters_the_spec_and_leaves_with_its_daemon(machine, start):
    daemon = ready(start)
    with_socket = {**CASE, "sockets": ["/run/nvidia-persistenced/socket"]}
    machine.become(with_socket)
    daemon.until(lambda: "/run/nvidia-persistenced/socket" in daemon.text())
    machine.become(CASE)
    daemon.until(lambda: "/run/nvidia-persistenced/socket" not in daemon.text())


def test_a_control_node_that_comes_late_enters_the_spec(machine, start):
    machine.become({**CASE, "nodes": ["ctl", "caps"]})
    daemon = ready(start, config="[host]\ndevice-nodes = no\n")
    assert daemon.state()["state"] == "degraded"
    machine.become(CASE)
    daemon.until(lambda: "/dev/nvidia-uvm-tools" in daemon.text())
    daemon.until(lambda: daemon.state()["state"] == "ready")


def test_a_node_whose_major_changes_is_updated_in_the_spec(machine, start):
    daemon = ready(start)
    machine.become({**CASE, "uvm_major": 509})
    daemon.until(lambda: "major: 509" in daemon.text())
    assert "major: 510" not in machine.path(SPEC).read_text()


def test_libraries_installed_after_the_module_make_a_spec_without_a_request(machine, start):
    machine.become({**CASE, "files": False})
    daemon = start(config="[daemon]\nready-wait = 0\n")
    daemon.until_notified("STATUS=waiting-userspace")
    machine.become(CASE)
    daemon.until_devices("0", "1")


def test_without_a_change_nothing_is_probed(machine, start):
    daemon = ready(start)
    daemon.until_quiet()
    opens, passes = machine.nvml_opens(), daemon.state()["counters"]["passes"]
    for name in ("/dev/other", "/run/other", "/etc/other", "/usr/lib/x86_64-linux-gnu/libother.so.1"):
        machine.path(name).write_text("x")
        machine.path(name).unlink()
    daemon.until_quiet()
    assert (machine.nvml_opens(), daemon.state()["counters"]["passes"]) == (opens, passes)


def test_our_own_publishing_is_not_a_reason_to_probe_again(machine, start):
    daemon = ready(start)
    daemon.until_quiet()
    assert machine.nvml_opens() == 1, daemon.journal()


def test_the_spec_stays_when_the_daemon_stops_and_when_it_starts_again(machine, start):
    daemon = ready(start)
    before = machine.path(SPEC).stat()
    assert daemon.stop() == 0
    assert "STOPPING=1" in daemon.notified
    again = ready(start)
    again.until_quiet()
    after = machine.path(SPEC).stat()
    assert (after.st_ino, after.st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_the_spec_is_withdrawn_with_the_last_gpu(machine, start):
    daemon = ready(start)
    machine.become({**UP, "gpus": []})
    daemon.until(lambda: not machine.path(SPEC).exists())
    daemon.until(lambda: daemon.state()["state"] == "no-gpu")


def test_without_hardware_the_daemon_is_ready_at_once_and_logs_one_line(start, machine):
    machine.become({"gpus": [], "files": False})
    daemon = start(config="[daemon]\nready-wait = 1h\n")
    daemon.until_notified("READY=1")
    daemon.until_quiet()
    lines = [line for line in daemon.journal().splitlines() if "no-gpu" in line]
    assert len(lines) == 1
    assert machine.nvml_opens() == 0
