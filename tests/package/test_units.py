"""The units as systemd reads them, and its rating of their security."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

SYSTEMD = Path(__file__).parents[2] / "systemd"
UNITS = sorted(SYSTEMD.glob("*.service"))
ALLOWED_EXPOSURE = {"cdi-refreshd-oneshot.service": 1.0}
ALLOWED_EXPOSURE_OF_DAEMONS = 1.5
RIVAL = "nvidia-cdi-refresh.service"

needs_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="NOT CHECKED: systemd-analyze is missing; install systemd"
)


def names(paths):
    return [path.name for path in paths]


def instance(unit):
    return unit.replace("@.", "@more.")


def settings(text, section="Service"):
    """Assignments of a section in their order, comments left out."""
    inside, found = "", []
    for line in text.splitlines():
        if line.startswith("["):
            inside = line.strip("[]")
        elif inside == section and line and not line.startswith("#"):
            found.append(line)
    return found


def sandbox(unit):
    """The settings below the comment that begins with Sandbox."""
    return settings("[Service]\n#" + unit.read_text().partition("\n# Sandbox")[2])


def values(unit, section, key):
    lines = settings(unit.read_text(), section)
    return [word for line in lines if line.startswith(f"{key}=") for word in line.partition("=")[2].split()]


@pytest.fixture
def root(tmp_path):
    """A system with the units, the program, and the services that units are ordered with."""
    folder = tmp_path / "usr/lib/systemd/system"
    folder.mkdir(parents=True)
    for unit in UNITS:
        shutil.copy(unit, folder)
    for entry in ("usr/bin/cdi-refreshd", "bin/sh", "sbin/init"):
        program = tmp_path / entry
        program.parent.mkdir(parents=True, exist_ok=True)
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
    late = "[Unit]\nAfter=network-online.target\n[Service]\nExecStart=/bin/sh\n[Install]\nWantedBy=multi-user.target\n"
    services = ("docker", "containerd", "crio", "kubelet", "podman", "podman-restart", "k3s", "nvidia-persistenced")
    for name in services:
        (folder / f"{name}.service").write_text(late)
    (folder / "docker.socket").write_text("[Socket]\nListenStream=/run/docker.sock\n")
    quadlet = late.replace("After=", "After=cdi-refreshd.service ")
    (folder / "quadlet.service").write_text(quadlet)
    for name in ("sysinit", "basic", "multi-user", "network-online", "sockets", "shutdown", "local-fs"):
        (folder / f"{name}.target").write_text("[Unit]\nDescription=x\n")
    wants = folder / "multi-user.target.wants"
    wants.mkdir()
    for name in [*(f"{name}.service" for name in services), "quadlet.service", *map(instance, names(UNITS))]:
        (wants / name).symlink_to(f"../{name}")
    return tmp_path


@needs_systemd
def test_systemd_finds_no_mistake_and_no_cycle_with_any_runtime(root):
    units = [instance(name) for name in names(UNITS)]
    command = ["systemd-analyze", "verify", "--man=no", f"--root={root}", *units, "multi-user.target"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    ours = [line for line in done.stderr.splitlines() if "cdi-refreshd" in line or "cycle" in line]
    assert ours == []
    assert "quadlet" not in done.stderr


@needs_systemd
@pytest.mark.parametrize("unit", UNITS, ids=names(UNITS))
def test_the_sandbox_leaves_little_exposed(unit):
    allowed = ALLOWED_EXPOSURE.get(unit.name, ALLOWED_EXPOSURE_OF_DAEMONS)
    threshold = round(allowed * 10)
    command = ["systemd-analyze", "security", "--no-pager", "--offline=true", f"--threshold={threshold}", str(unit)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-300:]
    level = re.search(r"exposure level for \S+ ([\d.]+)", done.stdout)
    assert level
    assert float(level[1]) <= allowed


def test_the_sandbox_bounds_memory_and_tasks_and_survives_a_child_that_goes_too_far():
    daemon = sandbox(SYSTEMD / "cdi-refreshd.service")
    assert {"MemoryMax=512M", "TasksMax=256", "OOMPolicy=continue"} <= set(daemon)


def test_the_sandbox_hides_privileged_sockets_and_protects_run_systemd_and_run_udev():
    unit = SYSTEMD / "cdi-refreshd.service"
    hidden = {path.lstrip("-") for path in values(unit, "Service", "InaccessiblePaths")}
    assert {"/run/systemd/private", "/run/dbus", "/run/docker.sock", "/run/containerd"} <= hidden
    assert {"/run/systemd", "/run/udev"} <= {path.lstrip("-") for path in values(unit, "Service", "ReadOnlyPaths")}


def test_all_units_have_the_sandbox_of_the_daemon():
    daemon = sandbox(SYSTEMD / "cdi-refreshd.service")
    assert "CapabilityBoundingSet=CAP_MKNOD" in daemon
    assert sandbox(SYSTEMD / "cdi-refreshd@.service") == daemon
    without_network = [line for line in daemon if not line.startswith("RestrictAddressFamilies")]
    oneshot = sandbox(SYSTEMD / "cdi-refreshd-oneshot.service")
    assert sorted(oneshot) == sorted([*without_network, "RestrictAddressFamilies=AF_UNIX", "PrivateNetwork=yes"])


@pytest.mark.parametrize("unit", UNITS, ids=names(UNITS))
def test_container_runtimes_wait_for_the_spec_and_the_daemon_waits_for_no_late_unit(unit):
    before, after = values(unit, "Unit", "Before"), values(unit, "Unit", "After")
    runtimes = {"docker.service", "containerd.service", "crio.service", "podman.service", "kubelet.service"}
    assert runtimes <= set(before)
    assert set(after) <= {"systemd-tmpfiles-setup.service", "systemd-udevd.service", "cdi-refreshd.service"}
    assert values(unit, "Install", "WantedBy") == ["multi-user.target"]


def test_instances_of_podmans_template_wait_for_the_spec():
    ordered = values(SYSTEMD / "podman-kube@.service.d/cdi-refreshd.conf", "Unit", "After")
    assert ordered == ["cdi-refreshd.service", "cdi-refreshd-oneshot.service"]


@pytest.mark.parametrize("unit", UNITS, ids=names(UNITS))
def test_no_unit_removes_the_spec_directory_of_all_vendors(unit):
    for name in values(unit, "Service", "RuntimeDirectory"):
        assert name.startswith("cdi-refreshd")
    assert values(unit, "Service", "RuntimeDirectoryPreserve") == ["yes"]


def test_starting_another_unit_never_stops_the_daemon():
    for unit in UNITS:
        assert values(unit, "Unit", "Conflicts") == []
    stands_back = (SYSTEMD / f"{RIVAL}.d/cdi-refreshd.conf").read_text()
    condition = "ExecCondition=/bin/sh -c '! systemctl --quiet is-active cdi-refreshd.service'"
    assert condition in settings(stands_back)
    ours = settings((SYSTEMD / "cdi-refreshd-oneshot.service").read_text())
    assert condition.replace("=", "=+", 1) in ours  # the sandbox hides systemd's socket


def test_the_preset_enables_only_the_daemon():
    lines = (SYSTEMD / "cdi-refreshd.preset").read_text().splitlines()
    presets = {name: change for change, _, name in (line.partition(" ") for line in lines if line[0] != "#")}
    assert presets == {unit.name: "enable" if unit.stem == "cdi-refreshd" else "disable" for unit in UNITS}
