"""The image as the DaemonSet runs it: what it publishes is the node's, and the node's podman starts containers."""

import json
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.behaviour.podman.test_podman import CASE, HOOK, Host
from tests.machine import booted

TOP = Path(__file__).resolve().parents[2]
DEPLOY = TOP / "deploy/base"
SPEC, STATE = "/var/run/cdi/nvidia.yaml", "/run/cdi-refreshd/state.json"
CONFIG = "/run/cdi-refreshd-pod.conf"
ENGINE = ["podman", "--root", "/run/pod-storage", "--runroot", "/run/pod", "--storage-driver", "vfs"]
ENGINE += ["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "crun"]
# A node's kernel is the pod's. A made-up one is files, and privileged containers have the real /sys and /proc.
KERNEL = ("/sys", "/proc/driver", "/proc/devices", "/run/fake-nvml")
LIMIT_S = 60
NAME = "cdi-refreshd"


def mounts():
    """The DaemonSet's, as podman's options."""
    pod = yaml.safe_load((DEPLOY / "daemonset.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}
    assert pod["hostNetwork"]
    places = {volume["name"]: volume["hostPath"]["path"] for volume in pod["volumes"] if "hostPath" in volume}
    places["configuration"] = CONFIG
    for mount in container["volumeMounts"]:
        options = ["ro" if mount.get("readOnly") else "rw"]
        options += ["rslave"] if mount.get("mountPropagation") == "HostToContainer" else []
        yield from ("--volume", f"{places[mount['name']]}:{mount['mountPath']}:{','.join(options)}")
    for path in KERNEL:
        yield from ("--volume", f"{path}:{path}")


def arguments():
    pod = yaml.safe_load((DEPLOY / "daemonset.yaml").read_text())["spec"]["template"]["spec"]
    return pod["containers"][0]["args"]


class Pod:
    """On a node: the daemon from the image."""

    def __init__(self, machine, image, root="/"):
        self.machine = machine
        text = (DEPLOY / "cdi-refreshd.conf").read_text()
        assert "driver-root = /\n" in text
        machine.path(CONFIG).write_text(text.replace("driver-root = /\n", f"driver-root = {root}\n"))
        machine.run(["mkdir", "-p", "/run/cdi", "/run/cdi-refreshd", "/run/udev"], check=True)
        machine.run(["touch", "/run/fake-nvml"], check=True)
        self.log = machine.path("/run/pod.log")
        self.image = image
        with self.log.open("wb") as log:
            options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = machine.popen(self._command(NAME, *arguments()), **options)

    def _command(self, name, *words):
        run = ["run", "--rm", "--name", name, "--network", "host", "--privileged", "--read-only"]
        run += ["--cgroups", "disabled", "--log-driver", "none", *mounts(), "--rootfs", self.image]
        return [*ENGINE, *run, "/usr/bin/cdi-refreshd", *words]

    def until(self, condition, what):
        ends_at = time.monotonic() + LIMIT_S
        while not condition():
            assert time.monotonic() < ends_at and self.process.poll() is None, f"{what}\n{self.log.read_text()}"
            time.sleep(0.05)

    def state(self):
        path = self.machine.path(STATE)
        return json.loads(path.read_text()) if path.exists() else {"state": ""}

    def until_state(self, state):
        self.until(lambda: self.state()["state"] == state, f"never was {state}, but {self.state()}")

    def names(self):
        path = self.machine.path(SPEC)
        return {one["name"] for one in yaml.safe_load(path.read_text())["devices"]} if path.exists() else set()

    def run(self, *words):
        """In a container of its own, with the same mounts: it does not know the daemon's pid."""
        return self.machine.run(self._command(f"{NAME}-2", *words))

    def close(self):
        self.machine.run([*ENGINE, "stop", "--time", "5", NAME])
        self.process.kill()
        self.process.wait()


@pytest.fixture
def node(image):
    """node(case, root) boots a node and starts the pod on it."""
    with_pods = []

    def begin(case=CASE, root="/"):
        context = booted(case)
        machine = context.__enter__()
        machine.run(["mount", "--make-rshared", "/"], check=True)  # as systemd has it
        with_pods.append((context, Pod(machine, image, root)))
        return with_pods[-1][1]

    yield begin
    for context, pod in reversed(with_pods):
        pod.close()
        context.__exit__(None, None, None)


def test_the_spec_is_the_one_that_the_node_itself_would_make_and_nothing_of_the_pod_is_in_it(node):
    pod = node()
    pod.until_state("ready")
    text = pod.machine.path(SPEC).read_text()
    assert "/host" not in text
    pod.machine.path(SPEC).rename(pod.machine.path("/run/of-the-pod"))
    pod.close()
    own = Host(pod.machine)  # it publishes
    assert own.machine.path(SPEC).read_text() == text


def test_the_nodes_podman_starts_a_container_with_it_hooks_included(node):
    pod = node()
    pod.until_state("ready")
    text = pod.machine.path(SPEC).read_bytes()
    own = Host.__new__(Host)  # as the podman tests have it, but that the pod publishes
    own.machine, own.publish = pod.machine, lambda: None
    Host.__init__(own, pod.machine)
    pod.machine.path(SPEC).write_bytes(text)
    seen, config = own.started("0", "sh", "-c", "ls /dev/nvidia0 /usr/bin/nvidia-smi")
    assert seen.split() == ["/dev/nvidia0", "/usr/bin/nvidia-smi"]
    assert {hook["path"] for hook in config["hooks"]["createContainer"]} == {HOOK}
    assert pod.machine.path("/run/hooks").read_text()


def test_a_gpu_that_goes_and_slices_that_come_reach_the_spec(node):
    pod = node()
    pod.until_state("ready")
    assert "1" in pod.names() and "2:0" in pod.names()
    pod.machine.become(CASE | {"gpus": CASE["gpus"][:1]})
    pod.until(lambda: "1" not in pod.names(), "the GPU that went is still there")
    pod.machine.become(CASE)
    pod.until(lambda: {"1", "2:0"} <= pod.names(), "what came back is not there")
    pod.machine.become(CASE | {"gpus": []})
    pod.until_state("no-gpu")
    assert not pod.machine.path(SPEC).exists()


def test_it_is_alive_whatever_the_state_and_the_node_knows_it_by_its_lock(node):
    pod = node()
    pod.until_state("ready")
    assert pod.run("status", "--alive").returncode == 0
    assert pod.run("status", "--check").stdout.startswith("Ready 2 GPUs")
    pod.machine.become(CASE | {"no_module": True})
    pod.until_state("waiting-driver")
    assert pod.run("status", "--alive").returncode == 0
    assert pod.run("status", "--check").returncode == 1
    health = pod.machine.run(["sh", TOP / "contrib/node-problem-detector/cdi-refreshd-health"])
    assert (health.returncode, health.stdout.split()[0]) == (1, "WaitingDriver")
    assert "<6>" not in pod.log.read_text()
    assert "info: " in pod.log.read_text()


def test_a_driver_container_that_comes_and_goes_as_a_mount_is_followed(node):
    root = "/run/nvidia/driver"
    pod = node(CASE | {"driver_root": "/opt/driver", "path_bins": [HOOK]}, root)
    shell = ["sh", "-ec"]
    pod.machine.run([*shell, f"mkdir -p {root}"], check=True)
    pod.until_state("waiting-userspace")
    pod.machine.run([*shell, f"mount --bind /opt/driver {root}"], check=True)
    pod.until_state("ready")
    mounts = yaml.safe_load(pod.machine.path(SPEC).read_text())["containerEdits"]["mounts"]
    assert all(one["hostPath"].startswith(f"{root}/") for one in mounts)
    pod.machine.run([*shell, f"umount {root}"], check=True)
    pod.until_state("waiting-userspace")
