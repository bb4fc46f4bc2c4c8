"""The published spec with podman: its own CDI resolver, a real container, and the OCI config between them."""

import json
import shutil
import sys

import pytest
import yaml

from tests.machine import booted

pytestmark = pytest.mark.root

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
HOOK = "/usr/bin/nvidia-cdi-hook"
PUBLISHED = "/var/run/cdi/nvidia.yaml"
CASE = {
    "gpus": [{"drm": [1, 128]}, {"drm": [2, 129]}, {"mig": [[1, 0]]}],
    "sockets": ["/run/nvidia-persistenced/socket"],
    "path_bins": [HOOK],
    "host_runtimes": ["podman", "crun"],
}
UUID = "GPU-00000000-0000-4000-8000-000000000001"
CONTROL = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"}
FIRST = {"/dev/nvidia0", "/dev/dri/card1", "/dev/dri/renderD128"}
SECOND = {"/dev/nvidia1", "/dev/dri/card2", "/dev/dri/renderD129"}
SLICE = {"/dev/nvidia2", "/dev/nvidia-caps/nvidia-cap282", "/dev/nvidia-caps/nvidia-cap283"}

# podman allows a runtime without cgroups only if its file is called crun.
RUNTIME = "/run/recorder/crun"
RECORDER = """#!/bin/sh
before=
for word; do
    [ "$before" = --bundle ] && cp "$word/config.json" /run/recorded.json
    before=$word
done
exec {crun} "$@"
"""
# The host's /usr in an otherwise empty root: no image, no network, and no overlay on the machine's own.
ROOTFS = """
mkdir -p /run/rootfs/usr
cd /run/rootfs
mkdir dev proc sys run etc tmp
ln -s usr/bin usr/lib usr/lib64 .
"""
# A hook must read the container's state from its input: crun fails if the pipe breaks.
LOGGING_HOOK = '#!/bin/sh\ncat >/dev/null\necho "$*" >> /run/hooks\n'


class Host:
    """A made-up machine that publishes, and podman in it."""

    def __init__(self, machine):
        self.machine = machine
        recorder = machine.path(RUNTIME)
        recorder.parent.mkdir()
        recorder.write_text(RECORDER.format(crun=shutil.which("crun")))
        recorder.chmod(0o755)
        machine.path(HOOK).write_text(LOGGING_HOOK)
        machine.run(["sh", "-ec", ROOTFS], check=True)
        self.publish()

    def publish(self):
        done = self.machine.run([*PROGRAM, "oneshot"])
        assert done.returncode == 0, done.stderr

    def spec(self):
        return yaml.safe_load(self.machine.path(PUBLISHED).read_text())

    def podman(self, device, *command):
        """Run a command in a container that has the host's own programs and that device."""
        storage = ["--root", "/run/storage", "--runroot", "/run/podman", "--storage-driver", "vfs"]
        options = ["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", RUNTIME]
        run = ["run", "--rm", "--network", "none", "--cgroups", "disabled", "--log-driver", "none"]
        container = ["--device", f"nvidia.com/gpu={device}", "--volume", "/usr:/usr:ro", "--rootfs", "/run/rootfs"]
        return self.machine.run(["podman", *storage, *options, *run, *container, *command])

    def started(self, device, *command):
        """The container's output, and the OCI config that the runtime was given for it."""
        done = self.podman(device, *command)
        assert done.returncode == 0, done.stderr
        return done.stdout, json.loads(self.machine.path("/run/recorded.json").read_text())

    def unknown(self, device):
        """Podman refuses it by its name."""
        done = self.podman(device, "true")
        return done.returncode != 0 and f"nvidia.com/gpu={device}" in done.stderr


@pytest.fixture(scope="module")
def host():
    with booted(CASE) as machine:
        yield Host(machine)


def nodes(config):
    return {device["path"] for device in config["linux"]["devices"]}


@pytest.mark.parametrize(
    ("device", "its"),
    [("all", FIRST | SECOND | SLICE), ("0", FIRST), (UUID, SECOND), ("2:0", SLICE)],
    ids=["all", "index", "UUID", "MIG"],
)
def test_podman_gives_a_container_the_nodes_of_the_device_and_no_others(host, device, its):
    _, config = host.started(device, "true")
    assert nodes(config) == its | CONTROL


def test_the_container_sees_the_nodes_with_the_hosts_numbers_and_may_open_them(host):
    seen, config = host.started("1", "stat", "-c", "%n %t:%T", "/dev/nvidia1", "/dev/nvidiactl", "/dev/dri/card2")
    assert seen.splitlines() == ["/dev/nvidia1 c3:1", "/dev/nvidiactl c3:ff", "/dev/dri/card2 e2:2"]
    allowed = {(d.get("major"), d.get("minor")) for d in config["linux"]["resources"]["devices"] if d["allow"]}
    assert {(195, 1), (195, 255), (226, 2), (510, 0)} <= allowed
    assert (195, 0) not in allowed


def test_the_container_gets_libraries_programs_sockets_and_environment(host):
    seen, config = host.started("0", "sh", "-c", 'echo "$NVIDIA_VISIBLE_DEVICES"; cut -d " " -f 5 /proc/self/mountinfo')
    value, *mounts = seen.splitlines()
    assert value == "void"
    assert {"/usr/bin/nvidia-smi", "/run/nvidia-persistenced/socket"} <= set(mounts)
    assert {"libcuda.so.580.95.05", "libnvidia-ml.so.580.95.05"} <= {path.rsplit("/", 1)[1] for path in mounts}
    wanted = host.spec()["containerEdits"]["env"]
    assert wanted
    assert set(wanted) <= set(config["process"]["env"])


def test_the_runtime_runs_every_hook_of_the_spec_in_its_order(host):
    log = host.machine.path("/run/hooks")
    log.unlink(missing_ok=True)
    _, config = host.started("0", "true")
    spec = host.spec()
    device = next(d for d in spec["devices"] if d["name"] == "0")["containerEdits"]
    wanted = spec["containerEdits"]["hooks"] + device.get("hooks", [])
    given = config["hooks"]["createContainer"]
    assert sorted(hook["args"] for hook in given) == sorted(hook["args"] for hook in wanted)
    assert {hook["path"] for hook in given} == {HOOK}
    assert log.read_text().splitlines() == [" ".join(hook["args"][1:]) for hook in given]


def test_podman_names_a_device_that_is_not_defined(host):
    assert host.unknown("7")


def test_podman_does_not_know_a_removed_gpu_after_the_next_pass():
    with booted(CASE) as machine:
        host = Host(machine)
        host.started("1", "true")
        machine.become(CASE | {"gpus": CASE["gpus"][:1]})
        host.publish()
        assert host.unknown("1")
        _, config = host.started("all", "true")
        assert nodes(config) == FIRST | CONTROL
        machine.become(CASE | {"gpus": []})
        host.publish()
        assert not machine.path(PUBLISHED).exists()
        assert host.unknown("all")
