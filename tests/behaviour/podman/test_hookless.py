"""Containers of a host without NVIDIA's toolkit: they find CUDA although no program is executed at their start.

Each row of the table at the end is a container of its own, and each is seen to fail without the mounts of links.
"""

import json
import platform
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.behaviour.podman import rootfs
from tests.behaviour.podman.podman_run import RUNTIMES, podman, prepare, rootless
from tests.machine import booted
from tests.machine.driver_files import MULTIARCH

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the packages of the root file systems are for x86_64"),
]

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
SPEC = "/var/run/cdi/nvidia.yaml"
OURS, WITHOUT_LINKS = "nvidia.com/gpu", "without-links.example/gpu"
BY_NAME = ["libcuda.so.1", "libnvidia-ml.so.1", "libGLX_nvidia.so.0"]
GLIBC = ("debian", "fedora")
GBM = {"debian": MULTIARCH, "fedora": "/usr/lib64", "musl": "/usr/lib64"}
"""The path by which a container of that kind finds the backend."""
WHO = {"root": [], "uid 1000": ["--user", "1000"], "read-only": ["--read-only"], "rootless": []}
FIRST = ["/dev/nvidia0", "/dev/dri/card1", "/dev/dri/by-path/pci-0000:01:00.0-card"]
SECOND = ["/dev/nvidia1", "/dev/dri/card2", "/dev/dri/by-path/pci-0000:02:00.0-card"]


@pytest.fixture(scope="module")
def families(tmp_path_factory):
    """The root file systems, made once."""
    place = tmp_path_factory.mktemp("rootfs")
    try:
        for family in rootfs.PACKAGES:
            rootfs.make(family, place / family)
        rootfs.old_library(place / "old")
    except rootfs.Unavailable as why:
        pytest.skip(f"Debian's packages cannot be had: {why}")
    return place


class Host:
    def __init__(self, machine, families):
        self.machine, self.families = machine, families

    def rootfs(self, family, owner=0):
        """A new copy, because a runtime leaves its mount points behind."""
        place = self.machine.path("/run/rootfs")
        shutil.rmtree(place, ignore_errors=True)
        shutil.copytree(self.families / family, place, symlinks=True)
        self.machine.run(["chown", "-R", f"{owner}:{owner}", "/run/rootfs"], check=True)
        return place

    def run(self, kind, runtime, who, words, gpu=0):
        """Exit status and lines of the program in a container."""
        run = rootless if who == "rootless" else podman
        command = [rootfs.PROGRAM, *words]
        done = run(self.machine, runtime, f"{kind}={gpu}", "/run/rootfs", command, WHO[who])
        said = done.stdout.splitlines()
        assert "started" in said, done.stdout
        return [line for line in said if line.startswith(("loaded", "failed", "there", "no "))]


@pytest.fixture(scope="module")
def host(families):
    gpus = [{"drm": [1, 128]}, {"drm": [2, 129]}]
    with booted({"gpus": gpus, "host_runtimes": ["podman", *RUNTIMES]}) as machine:
        prepare(machine)
        done = machine.run([*PROGRAM, "oneshot", "--strict"])
        assert done.returncode == 0, done.stderr
        publish_without_links(machine)
        yield Host(machine, families)


def publish_without_links(machine):
    """The same devices by another kind, without the mounts that replace links."""
    spec = yaml.safe_load(machine.path(SPEC).read_text())
    spec["kind"] = WITHOUT_LINKS
    mounts = spec["containerEdits"]["mounts"]
    spec["containerEdits"]["mounts"] = [mount for mount in mounts if not is_link(mount)]
    assert len(mounts) - len(spec["containerEdits"]["mounts"]) > 50
    place = machine.path("/etc/cdi/without-links.json")
    place.parent.mkdir(exist_ok=True)
    place.write_text(json.dumps(spec))


def is_link(mount):
    return mount["hostPath"].rpartition("/")[2] != mount["containerPath"].rpartition("/")[2]


@pytest.fixture(scope="module")
def table(request):
    """Printed when all rows are done, whether output is captured or not."""
    rows = {}
    yield rows
    capture = request.config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled():
        print("\n\nContainers without hooks, and the same without the mounts of links:")
        for (family, runtime, who), (said, without) in sorted(rows.items()):
            print(f"  {family:<7} {runtime:<5} {who:<10} {said:<40} {without}")


def counted(said):
    loaded = sum(line.startswith("loaded") for line in said)
    return f"{loaded} loaded, {sum(line.startswith('failed') for line in said)} not"


@pytest.mark.parametrize("who", WHO)
@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("family", rootfs.PACKAGES)
def test_a_container_finds_cuda_and_only_because_links_are_mounted(host, table, family, runtime, who):
    backend = f"{GBM[family]}/gbm/nvidia-drm_gbm.so"
    # NVIDIA's libraries need glibc: a container with musl only has to start, and to have the files.
    words = [*([] if family == "musl" else BY_NAME), backend]
    owner = 1000 if who == "rootless" else 0
    host.rootfs(family, owner)
    said = host.run(OURS, runtime, who, [*words, *FIRST])
    host.rootfs(family, owner)
    without = host.run(WITHOUT_LINKS, runtime, who, words)
    table[family, runtime, who] = counted(said), counted(without)
    assert [line.split()[:2] for line in said] == [
        *(["loaded", word] for word in words),
        *(["there", path] for path in FIRST),
    ]
    assert [line.split()[0] for line in without] == ["failed"] * len(words)


def test_two_containers_each_have_their_gpu_and_its_names(host):
    for gpu, own, others in ((0, FIRST, SECOND), (1, SECOND, FIRST)):
        host.rootfs("debian")
        said = host.run(OURS, "crun", "root", [*own, *others], gpu)
        assert said == [*(f"there {path}" for path in own), *(f"no {path}" for path in others)]


IMAGES = {
    "a file": lambda folder, old: shutil.copy(old, folder / "libcuda.so.1"),
    "links": lambda folder, old: (
        shutil.copy(old, folder / "libcuda.so.550.54.14"),
        (folder / "libcuda.so.1").symlink_to("libcuda.so.550.54.14"),
        (folder / "libcuda.so").symlink_to("libcuda.so.1"),
    ),
    # crun refuses to mount on a dangling relative link; the manual says so.
    "a dangling link": lambda folder, _: (folder / "libcuda.so.1").symlink_to(f"{MULTIARCH}/libcuda.so.550.54.14"),
}


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("image", IMAGES)
def test_an_images_files_are_covered_by_the_hosts_mounts(host, image, runtime):
    place = host.rootfs("debian")
    IMAGES[image](place / MULTIARCH.lstrip("/"), host.families / "old")
    [said] = host.run(WITHOUT_LINKS, runtime, "root", ["libcuda.so.1"])
    assert said.startswith("failed" if image == "a dangling link" else "loaded the image's own")
    place = host.rootfs("debian")
    IMAGES[image](place / MULTIARCH.lstrip("/"), host.families / "old")
    [said] = host.run(OURS, runtime, "root", ["libcuda.so.1"])
    assert said.startswith("loaded libcuda.so.1 from ")


def merge_lib64(place):
    """As on Arch and its derivatives: all libraries in one directory."""
    for file in (place / "usr/lib64").iterdir():
        file.rename(place / "usr/lib" / file.name)
    (place / "usr/lib64").rmdir()
    (place / "usr/lib64").symlink_to("lib")


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("family", GLIBC)
def test_an_image_whose_lib64_links_to_another_library_directory_loads_every_library(host, family, runtime):
    merge_lib64(host.rootfs(family))
    said = host.run(OURS, runtime, "read-only", BY_NAME)
    assert [line.split()[:2] for line in said] == [["loaded", name] for name in BY_NAME]


@pytest.mark.parametrize("runtime", RUNTIMES)
@pytest.mark.parametrize("family", GLIBC)
def test_programs_load_the_libcuda_that_the_images_own_loader_cache_names(host, family, runtime):
    """The manual says so, and how to find it."""
    place = host.rootfs(family)
    (place / "opt/old").mkdir(parents=True)
    shutil.copy(host.families / "old", place / "opt/old/libcuda.so.1")
    (place / "etc/ld.so.conf").write_text("/opt/old\n")
    subprocess.run(["ldconfig", "-r", place], check=True, capture_output=True)
    [cuda, nvml] = host.run(OURS, runtime, "root", ["libcuda.so.1", "libnvidia-ml.so.1"])
    assert cuda.startswith("loaded the image's own libcuda.so.1 from /opt/old/")
    assert nvml.startswith("loaded libnvidia-ml.so.1 from ")


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_no_program_but_the_containers_own_is_executed_when_it_starts(host, runtime):
    host.rootfs("debian")
    strace = ["strace", "-f", "-qq", "--seccomp-bpf", "-e", "trace=execve", "-e", "signal=none", "-o", "/run/trace"]
    done = podman(host.machine, runtime, f"{OURS}=0", "/run/rootfs", [rootfs.PROGRAM, *FIRST], prefix=strace)
    assert done.returncode == 0, done.stdout
    calls = host.machine.path("/run/trace").read_text()
    executed = {path.rpartition("/")[2] for path in re.findall(r'execve\("([^"]+)".*= 0$', calls, re.MULTILINE)}
    assert "loads" in executed
    # Executions by podman itself, and by runtimes that execute themselves again.
    assert executed <= {"podman", "conmon", runtime, "exe", "loads", "runc", "0", "2", "3", "4", "5", "6", "7", "8"}
