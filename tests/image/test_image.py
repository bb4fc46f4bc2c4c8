"""The image as the DaemonSet runs it: it publishes the node's spec, and the node's podman starts containers with it."""

import copy
import json
import os
import shutil
import subprocess
import time
from pathlib import Path

import pytest
import yaml

from tests.behaviour.podman import podman_run, rootfs
from tests.behaviour.podman.test_podman import CASE, HOOK, Host
from tests.contrib.test_kubernetes import base, of_kind, rendered
from tests.machine import booted

TOP = Path(__file__).resolve().parents[2]
SPEC, STATE, HEALTH = "/var/run/cdi/nvidia.yaml", "/run/cdi-refreshd/state.json", "/run/cdi-refreshd/health"
CONFIG = "/run/config-map"
PODMAN = ["podman", "--root", "/run/pod-storage", "--runroot", "/run/pod", "--storage-driver", "vfs"]
PODMAN += ["--cgroup-manager", "cgroupfs", "--events-backend", "none", "--runtime", "crun"]
# A pod uses the node's kernel. A made-up kernel is files, and privileged containers have the real /sys and /proc.
KERNEL = ("/sys", "/proc/driver", "/proc/devices", "/run/fake-nvml")
LIMIT_S = 60
NAME = "cdi-refreshd"
PROBES = ("startupProbe", "readinessProbe", "livenessProbe")
NO_TOOLKIT = {key: value for key, value in CASE.items() if key != "path_bins"}
METRICS = "/var/lib/node_exporter"


def kustomized(*changes):
    """The documents of the kustomize base, with changes in the configuration."""
    documents = copy.deepcopy(base())
    data = of_kind(documents, "ConfigMap")["data"]
    for before, after in changes:
        assert before in data["cdi-refreshd.conf"]
        data["cdi-refreshd.conf"] = data["cdi-refreshd.conf"].replace(before, after)
    return documents


class Pod:
    """The daemon from the image on a node, as in the manifests, and what the kubelet does for it."""

    def __init__(self, machine, image, documents):
        self.machine, self.image = machine, image
        self.pod = of_kind(documents, "DaemonSet")["spec"]["template"]["spec"]
        (self.container,) = self.pod["containers"]
        assert self.container["securityContext"] == {"privileged": True, "readOnlyRootFilesystem": True}
        assert self.pod["hostNetwork"]
        machine.path(CONFIG).mkdir()
        for name, text in of_kind(documents, "ConfigMap")["data"].items():
            machine.path(f"{CONFIG}/{name}").write_text(text)
        for volume in self.pod["volumes"]:
            if volume.get("hostPath", {}).get("type") == "DirectoryOrCreate":
                machine.run(["mkdir", "-p", volume["hostPath"]["path"]], check=True)
        machine.run(["touch", "/run/fake-nvml"], check=True)
        self.log = machine.path("/run/pod.log")
        with self.log.open("wb") as log:
            options = {"stdin": subprocess.DEVNULL, "stdout": log, "stderr": log}
            self.process = machine.popen(self._command(NAME, *self.container["args"]), **options)

    def _mounts(self):
        places = {volume["name"]: volume.get("hostPath", {}).get("path", CONFIG) for volume in self.pod["volumes"]}
        for mount in self.container["volumeMounts"]:
            options = ["ro" if mount.get("readOnly") else "rw"]
            options += ["rslave"] if mount.get("mountPropagation") == "HostToContainer" else []
            place = places[mount["name"]] + (f"/{mount['subPath']}" if "subPath" in mount else "")
            yield from ("--volume", f"{place}:{mount['mountPath']}:{','.join(options)}")
        for path in KERNEL:
            yield from ("--volume", f"{path}:{path}")

    def _command(self, name, *words):
        run = ["run", "--rm", "--name", name, "--network", "host", "--privileged", "--read-only"]
        run += ["--cgroups", "disabled", "--log-driver", "none", *self._mounts(), "--rootfs", self.image]
        return [*PODMAN, *run, "/usr/bin/cdi-refreshd", *words]

    def exec(self, *command):
        """In the pod's own container, as the kubelet runs probes and kubectl runs commands.

        Not by podman: in a made-up machine, which is a chroot, it would execute outside of the container.
        """
        enter = ["nsenter", f"--target={self.pid()}", "--mount", "--pid", "--uts", "--ipc", "--root", "--wd"]
        return self.machine.run([*enter, *command])

    def probes(self):
        """The exit statuses of the manifest's probes."""
        return [self.exec(*self.container[probe]["exec"]["command"]).returncode for probe in PROBES]

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

    def pid(self):
        """Its pid on the node, which has a namespace of its own."""
        done = self.machine.run([*PODMAN, "inspect", "--format", "{{.State.Pid}}", NAME], check=True)
        return int(done.stdout)

    def signal(self, name):
        self.machine.run(["kill", f"-{name}", str(self.pid())], check=True)

    def close(self):
        self.machine.run([*PODMAN, "stop", "--time", "5", NAME])
        self.process.kill()
        self.process.wait()


@pytest.fixture
def node(image):
    """node(case, documents) boots a node and starts the pod on it."""
    with_pods = []

    def begin(case=CASE, documents=None):
        context = booted(case)
        machine = context.__enter__()
        machine.run(["mount", "--make-rshared", "/"], check=True)  # as with systemd
        with_pods.append((context, Pod(machine, image, documents or kustomized())))
        return with_pods[-1][1]

    yield begin
    for context, pod in reversed(with_pods):
        pod.close()
        context.__exit__(None, None, None)


@pytest.fixture(scope="session")
def container_root(tmp_path_factory):
    """A container's root for the node's podman: a C library and a program that loads libraries by name."""
    place = tmp_path_factory.mktemp("containers") / "root"
    try:
        rootfs.make("debian", place)
    except rootfs.Unavailable as why:
        pytest.skip(f"Debian's packages cannot be had: {why}")
    return place


def test_the_pods_spec_equals_the_nodes_own_and_names_no_path_of_the_pod(node):
    pod = node()
    pod.until_state("ready")
    text = pod.machine.path(SPEC).read_text()
    assert "/host" not in text
    pod.machine.path(SPEC).rename(pod.machine.path("/run/of-the-pod"))
    pod.close()
    own = Host(pod.machine)  # it publishes
    assert own.machine.path(SPEC).read_text() == text


def test_the_nodes_podman_starts_a_container_with_the_pods_spec_and_its_hooks(node):
    pod = node()
    pod.until_state("ready")
    text = pod.machine.path(SPEC).read_bytes()
    own = Host.__new__(Host)  # as in the podman tests, but the pod publishes
    own.machine, own.publish = pod.machine, lambda: None
    Host.__init__(own, pod.machine)
    pod.machine.path(SPEC).write_bytes(text)
    seen, config = own.started("0", "sh", "-c", "ls /dev/nvidia0 /usr/bin/nvidia-smi")
    assert seen.split() == ["/dev/nvidia0", "/usr/bin/nvidia-smi"]
    assert {hook["path"] for hook in config["hooks"]["createContainer"]} == {HOOK}
    assert pod.machine.path("/run/hooks").read_text()


CHART = {"hooks": "none", "expectedGpus": 3, "metrics": {"textfileDirectory": METRICS}}


@pytest.mark.parametrize(
    ("case", "documents"),
    [
        (CASE, lambda _: kustomized(("[generate]\n", "[generate]\nhooks = none\n"))),
        (CASE, lambda folder: rendered(folder, **CHART)),
        (NO_TOOLKIT, lambda _: kustomized()),
    ],
    ids=["hooks = none", "the chart's hooks: none", "auto on a node without toolkit"],
)
def test_without_hooks_a_container_of_the_nodes_podman_finds_cuda(node, container_root, tmp_path, case, documents):
    pod = node(case, documents(tmp_path))
    pod.until_state("ready")
    text = pod.machine.path(SPEC).read_text()
    assert "hooks" not in text and "/host" not in text
    podman_run.prepare(pod.machine)
    shutil.copytree(container_root, pod.machine.path("/run/rootfs"), symlinks=True)
    command = [rootfs.PROGRAM, "libcuda.so.1", "libnvidia-ml.so.1", "/dev/nvidia0"]
    done = podman_run.podman(pod.machine, "crun", "nvidia.com/gpu=0", "/run/rootfs", command)
    said = [line.split()[:2] for line in done.stdout.splitlines()[-3:]]
    assert said == [["loaded", "libcuda.so.1"], ["loaded", "libnvidia-ml.so.1"], ["there", "/dev/nvidia0"]]


def test_the_charts_values_reach_the_node(node, tmp_path):
    pod = node(documents=rendered(tmp_path, **CHART | {"expectedGpus": 4}))
    pod.until_state("degraded")
    assert "has 3 NVIDIA GPUs, and 4 are expected" in pod.state()["reason"]
    assert "cdi_refreshd_expected_gpus 4\n" in pod.machine.path(f"{METRICS}/cdi-refreshd.prom").read_text()
    pod.close()
    assert list(pod.machine.path(METRICS).iterdir()) == []


def test_a_removed_gpu_and_added_mig_devices_change_the_spec(node):
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


def test_the_pods_probes_check_that_the_daemon_lives_and_not_its_state(node):
    pod = node()
    pod.until_state("ready")
    assert pod.probes() == [0, 0, 0]
    pod.machine.become(CASE | {"no_module": True})
    pod.until_state("waiting-driver")
    assert pod.probes() == [0, 0, 0]
    assert pod.exec("/usr/bin/cdi-refreshd", "status", "--check").returncode == 1
    pod.signal("STOP")
    long_ago = time.time() - 360
    os.utime(pod.machine.path(HEALTH), (long_ago, long_ago))
    assert pod.probes() == [1, 1, 1]
    pod.signal("CONT")


def test_commands_in_the_pod_hold_and_refresh_the_daemon_as_mig_parted_calls_them(node):
    pod = node()
    pod.until_state("ready")
    assert pod.exec("cdi-refreshd", "hold", "300").returncode == 0
    assert pod.state()["held"]
    assert pod.exec("cdi-refreshd", "refresh").returncode == 0
    assert (pod.state()["held"], pod.state()["counters"]["reloads"]) == ("", 1)


def test_on_the_node_status_sees_the_pods_daemon_and_the_plugin_needs_no_python(node):
    pod = node()
    pod.until_state("ready")
    assert pod.run("status", "--check").stdout.startswith("Ready 2 GPUs")
    pod.machine.become(CASE | {"no_module": True})
    pod.until_state("waiting-driver")
    health = pod.machine.run(["sh", TOP / "contrib/node-problem-detector/cdi-refreshd-health"])
    assert (health.returncode, health.stdout.split()[0]) == (1, "WaitingDriver")
    assert "<6>" not in pod.log.read_text()
    assert "info: " in pod.log.read_text()


def test_a_driver_container_that_is_mounted_and_unmounted_is_noticed(node):
    root = "/run/nvidia/driver"
    documents = kustomized(("driver-root = /\n", f"driver-root = {root}\n"))
    pod = node(CASE | {"driver_root": "/opt/driver", "path_bins": [HOOK]}, documents)
    shell = ["sh", "-ec"]
    pod.machine.run([*shell, f"mkdir -p {root}"], check=True)
    pod.until_state("waiting-userspace")
    pod.machine.run([*shell, f"mount --bind /opt/driver {root}"], check=True)
    pod.until_state("ready")
    mounts = yaml.safe_load(pod.machine.path(SPEC).read_text())["containerEdits"]["mounts"]
    assert all(one["hostPath"].startswith(f"{root}/") for one in mounts)
    pod.machine.run([*shell, f"umount {root}"], check=True)
    pod.until_state("waiting-userspace")
