"""Container runtimes: how each starts a container with a GPU from one image."""

from pathlib import Path
from typing import NamedTuple

from . import cri, owner
from .daemon import systemctl

ARCHIVE, IMAGE = "/srv/image.tar", "localhost/loads:latest"
DOCKER = '{"features": {"cdi": true}}\n'
CONTAINERD = f"""
version = 2

[plugins."io.containerd.grpc.v1.cri"]
enable_cdi = true
sandbox_image = "{IMAGE}"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
runtime_type = "io.containerd.runc.v2"

[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
SystemdCgroup = true
"""
SLOWLY_S = 180
SANDBOXES = {}
"""Of containerd's pods, by the container's name."""


class Podman(NamedTuple):
    runtime: str
    debian: tuple = (12, 13)

    @property
    def name(self):
        return f"podman_with_{self.runtime}"

    def ready(self):
        owner.do("podman", "load", "--input", ARCHIVE, limit_s=SLOWLY_S)

    def start(self, name, device, folder, words):
        """Nobody waits for its end; `folder` is its /diary."""
        run = ("run", "--detach", f"--name={name}", "--pull=never", "--network=none", f"--volume={folder}:/diary")
        self.do(*run, *wanted(device), IMAGE, *words)

    def remove(self, name):
        self.do("rm", "--force", "--time=0", name)

    def do(self, *words):
        owner.do("podman", "--runtime", self.runtime, "--cgroup-manager=systemd", *words, limit_s=SLOWLY_S)


class Docker(NamedTuple):
    debian: tuple = (13,)
    """That of Debian 12 knows no CDI."""
    name: str = "docker"

    def ready(self):
        write("/etc/docker/daemon.json", DOCKER)
        systemctl("unmask", "docker.socket", "docker.service")
        systemctl("start", "docker.service", limit_s=SLOWLY_S)
        owner.do("docker", "load", "--input", ARCHIVE, limit_s=SLOWLY_S)

    def start(self, name, device, folder, words):
        run = ("run", "--detach", f"--name={name}", "--pull=never", "--network=none", f"--volume={folder}:/diary")
        owner.do("docker", *run, *wanted(device), IMAGE, *words, limit_s=SLOWLY_S)

    def remove(self, name):
        owner.do("docker", "rm", "--force", name, limit_s=SLOWLY_S)


class Containerd(NamedTuple):
    """As a kubelet uses it: `ctr` of 1.7 knows no CDI."""

    debian: tuple = (13,)
    name: str = "containerd"

    def ready(self):
        write("/etc/containerd/config.toml", CONTAINERD)
        systemctl("unmask", "containerd.service")
        systemctl("restart", "containerd.service", limit_s=SLOWLY_S)
        owner.do("ctr", "--namespace", "k8s.io", "images", "import", ARCHIVE, limit_s=SLOWLY_S)
        cri.wait_until_it_knows(IMAGE)

    def start(self, name, device, folder, words):
        SANDBOXES[name] = cri.start(name, IMAGE, device, folder, words)

    def remove(self, name):
        cri.remove(SANDBOXES.pop(name))


def wanted(device):
    return (f"--device={device}",) if device else ()


def write(path, text):
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text)


# containerd before Docker, whose dockerd uses it, too.
EVERY = (Podman("crun"), Podman("runc"), Containerd(), Docker())


def stop():
    systemctl("stop", "docker.socket", "docker.service", "containerd.service", check=False, limit_s=SLOWLY_S)
