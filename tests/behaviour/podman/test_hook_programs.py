"""Containers start with every release of the hook program, with both OCI runtimes."""

import sys

import pytest

from tests.behaviour.podman.podman_run import RUNTIMES, podman, prepare
from tests.machine import booted
from tests.machine.hook_programs import RELEASES, install

pytestmark = pytest.mark.root

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
LOG = "/run/hooks"
# The host's /usr in an otherwise empty root: no image, no network, and no overlay on the machine's own.
ROOTFS = "mkdir -p /run/rootfs/usr; cd /run/rootfs; mkdir dev proc sys run etc tmp; ln -s usr/bin usr/lib usr/lib64 ."


@pytest.fixture(scope="module")
def machine():
    with booted({"gpus": [{"drm": [1, 128]}], "host_runtimes": ["podman", *RUNTIMES]}) as machine:
        machine.run(["sh", "-ec", ROOTFS], check=True)
        prepare(machine)
        yield machine


@pytest.fixture(scope="module", params=RELEASES)
def release(request, machine):
    """A machine that has published its spec for its hook program."""
    install(machine, request.param)
    machine.run([*PROGRAM, "oneshot"], check=True)
    return request.param


@pytest.mark.parametrize("runtime", RUNTIMES)
def test_a_container_starts_and_every_hook_that_was_called_is_one_that_the_program_has(machine, release, runtime):
    log = machine.path(LOG)
    log.unlink(missing_ok=True)
    done = podman(
        machine, runtime, "nvidia.com/gpu=0", "/run/rootfs", ["ls", "/dev/nvidia0"], ["--volume", "/usr:/usr:ro"]
    )
    assert (done.returncode, done.stdout.strip()) == (0, "/dev/nvidia0")
    called = [line.split()[0] for line in log.read_text().splitlines()]
    assert set(called) <= set(RELEASES[release])
    assert {"create-symlinks", "update-ldcache"} <= set(called)
