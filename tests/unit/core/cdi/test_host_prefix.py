"""A spec that a pod publishes has the host's paths; read back, it has the paths by which the pod finds the files."""

import pytest

from cdi_refreshd.core.cdi.host_prefix import inside, outside
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, Spec
from cdi_refreshd.core.cdi.version import minimum_version
from cdi_refreshd.core.paths import with_prefix, without_prefix

HOOK = Hook(
    "createContainer", "/usr/bin/nvidia-cdi-hook", ("nvidia-cdi-hook", "update-ldcache", "--folder", "/usr/lib")
)
EDITS = ContainerEdits(
    env=("A=/host/b",),
    device_nodes=(DeviceNode("/dev/nvidiactl"), DeviceNode("/dev/nvidia0", "/run/nvidia/driver/dev/nvidia0")),
    hooks=(HOOK,),
    mounts=(
        Mount("/usr/lib/libcuda.so.1", "/usr/lib/libcuda.so.1"),
        Mount("/run/nvidia/driver/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"),
        Mount("tmpfs", "/run/x", type="tmpfs"),
    ),
)
DEVICE = Device("0", ContainerEdits(mounts=(Mount("/etc/x", "/etc/x"),)), (("a", "b"),))
SPEC = Spec("nvidia.com/gpu", (DEVICE,), EDITS)
SPEC = SPEC._replace(cdi_version=minimum_version(SPEC))


def test_a_spec_read_in_a_pod_has_the_prefix_before_each_host_path_and_no_other():
    seen = inside(SPEC, "/host")
    edits = seen.container_edits
    assert [node.host_path for node in edits.device_nodes] == ["", "/host/run/nvidia/driver/dev/nvidia0"]
    assert [node.path for node in edits.device_nodes] == ["/dev/nvidiactl", "/dev/nvidia0"]
    assert [mount.host_path for mount in edits.mounts][-2:] == ["/host/run/nvidia/driver/usr/bin/nvidia-smi", "tmpfs"]
    assert [mount.container_path for mount in edits.mounts] == [mount.container_path for mount in EDITS.mounts]
    assert edits.hooks == (HOOK._replace(path="/host/usr/bin/nvidia-cdi-hook"),)
    assert edits.env == EDITS.env
    assert seen.devices[0].container_edits.mounts[0].host_path == "/host/etc/x"
    assert seen.devices[0].annotations == DEVICE.annotations


def test_a_spec_published_from_a_pod_is_the_one_that_the_host_would_make():
    assert outside(inside(SPEC, "/host")._replace(cdi_version="1.1.0"), "/host") == SPEC


def test_without_a_prefix_nothing_changes():
    assert inside(SPEC, "") is SPEC
    assert outside(SPEC, "") is SPEC


@pytest.mark.parametrize(("here", "there"), [("/host", "/"), ("/host/usr", "/usr"), ("/hostile/usr", "/hostile/usr")])
def test_the_prefix_is_removed_only_as_whole_path_components(here, there):
    assert without_prefix(here, "/host") == there


UNCHANGED = ("name", "", "/dev", "/dev/dri/card1")


@pytest.mark.parametrize(("there", "here"), [("/", "/host"), ("/usr", "/host/usr"), ("/device", "/host/device")])
def test_a_path_of_the_host_is_converted_to_one_below_the_prefix_and_back(there, here):
    assert with_prefix(there, "/host") == here
    assert without_prefix(here, "/host") == there


@pytest.mark.parametrize("path", UNCHANGED)
def test_dev_is_not_prefixed_and_names_are_not_paths(path):
    assert with_prefix(path, "/host") == path
