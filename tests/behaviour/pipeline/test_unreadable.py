"""What could not be read is not absent: no spec is withdrawn and no GPU left out for lack of memory or descriptors."""

import sys

import pytest

from .hosts import GPU, PROGRAM, PUBLISHED, TOP, case

pytestmark = pytest.mark.root

MIG = {"mig": [[1, 0]]}
DEVICE = "/sys/bus/pci/devices/0000:01:00.0"
TEGRA = {"/etc/nv_tegra_release": ""}


@pytest.mark.parametrize("machine", [case(GPU), case(add=TEGRA)], ids=["GPU", "Tegra"])
def test_no_error_at_any_call_of_the_search_for_gpus_counts_as_absence(host, machine):
    host.become(machine)
    done = host.machine.run([sys.executable, "-m", "tests.behaviour.pipeline.presence_faults"], timeout=300, cwd=TOP)
    assert (done.returncode, done.stdout.strip()) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize(
    ("call", "path", "error"),
    [
        ("openat", "/sys/bus/pci/devices", "ENFILE"),
        ("getdents64", "/sys/bus/pci/devices", "EIO"),
        ("openat", f"{DEVICE}/vendor", "ENOMEM"),
        ("read", f"{DEVICE}/class", "EIO"),
        ("readlink", f"{DEVICE}/driver", "EACCES"),
        ("newfstatat", "/proc/driver/nvidia/version", "ENOMEM"),
        ("newfstatat", "/dev/dxg", "EACCES"),
        ("newfstatat", "/dev/nvidia0", "EIO"),
        ("newfstatat", "/dev/nvidiactl", "ENOMEM"),
        ("openat", "/proc/driver/nvidia-caps/mig-minors", "ENFILE"),
        ("openat", f"{DEVICE}/drm", "ENFILE"),
        ("readlink", "/dev/dri/by-path/pci-0000:01:00.0-card", "ENOMEM"),
        ("openat", "/usr/lib/x86_64-linux-gnu", "EMFILE"),
        ("newfstatat", "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05", "EIO"),
        ("openat", "/etc/ld.so.cache", "ENFILE"),
        ("openat", "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05", "EIO"),
    ],
)
def test_a_read_error_fails_the_pass_and_the_spec_stays(host, call, path, error):
    host.become(case(GPU, MIG))
    host.oneshot()
    before = host.identity()
    inject = ["-P", path, "-e", f"trace={call}", "-e", f"inject={call}:error={error}"]
    done = host.machine.run(["strace", "-f", "-qq", "-o", "/run/trace", *inject, *PROGRAM, "oneshot"])
    assert "INJECTED" in host.path("/run/trace").read_text()
    assert done.returncode == 1, done.stderr
    assert f"cdi-refreshd: failed: {path}: cannot be read: " in done.stderr
    assert host.identity() == before


def test_links_of_nodes_that_could_not_be_listed_stay(host):
    host.become(case(GPU))
    host.oneshot()
    links = sorted(path.name for path in host.path("/dev/char").iterdir())
    inject = ["-P", "/dev", "-e", "trace=openat", "-e", "inject=openat:error=ENFILE:when=1"]
    host.machine.run(["strace", "-f", "-qq", "-o", "/run/trace", *inject, *PROGRAM, "oneshot"])
    assert "INJECTED" in host.path("/run/trace").read_text()
    assert sorted(path.name for path in host.path("/dev/char").iterdir()) == links != []


def test_a_spec_that_cannot_be_read_now_is_kept_while_the_drivers_versions_differ(host):
    host.become(case(GPU))
    host.oneshot()
    before = host.identity()
    host.become(case(GPU, module_version="570.1"))

    inject = ["-P", PUBLISHED, "-e", "trace=openat", "-e", "inject=openat:error=EIO"]
    done = host.machine.run(["strace", "-f", "-qq", "-o", "/run/trace", *inject, *PROGRAM, "oneshot"])
    assert "INJECTED" in host.path("/run/trace").read_text()
    assert done.returncode == 4, done.stderr
    assert host.identity() == before
