"""Specs of Tegra systems."""

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import UsageFault
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.inventory import Driver, Gpu, Library, Link, Node, Tegra
from tests.unit.core.inventories import CONTROL, gpu, inventory

NODES = tuple(Node(f"/dev/{name}", 1, 2, 0o666) for name in ("nvmap", "nvidia0", "nvidia1", "nvidiactl"))
LIBRARIES = "/usr/lib/aarch64-linux-gnu/tegra"
PURE = inventory(
    mode="csv",
    nodes=(),
    driver=Driver(cuda_version=12060),
    tegra=Tegra(
        nodes=NODES,
        directories=("/etc/dir",),
        libraries=(Library(f"{LIBRARIES}/libcuda.so.1.1", "libcuda.so.1.1"),),
        symlinks=(Library(f"{LIBRARIES}/libnvrm.so", "libnvrm.so"),),
        chains=(Link("/usr/lib/libnvrm.so", "tegra/libnvrm.so"), Link("/usr/lib/x", "y")),
        files=("/etc/nv_tegra_release",),
    ),
)
CONTROL_HERE = (*CONTROL[:3], NODES[3])
OWN = Gpu(0, "0e7b1c1c-0000-0000-0000-000000000000", 2, "", "NVIDIA Thor", nodes=(Node("/dev/nvidia2", 195, 2, 0o666),))
MIXED = PURE._replace(
    gpus=(OWN, gpu(1, minor=0, drm=True)), nodes=CONTROL_HERE, tegra=PURE.tegra._replace(integrated=0, nvml_works=True)
)


def nodes(spec, name):
    edits = next(device.container_edits for device in spec.devices if device.name == name)
    return [node.path for node in edits.device_nodes]


def compat(seen, **choices):
    hooks = build(seen, Choices(**choices)).container_edits.hooks
    return [hook.args[2:] for hook in hooks if hook.args[1] == "enable-cuda-compat"]


def test_alone_an_integrated_gpu_is_device_0_with_every_node():
    spec = build(PURE, Choices())
    assert [device.name for device in spec.devices] == ["0", "all"]
    assert nodes(spec, "0") == ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidiactl", "/dev/nvmap"]


def test_files_are_mounted_and_each_link_of_a_chain_is_recreated():
    edits = build(PURE, Choices()).container_edits
    assert [mount.host_path for mount in edits.mounts] == [
        "/etc/dir",
        "/etc/nv_tegra_release",
        f"{LIBRARIES}/libcuda.so.1.1",
        f"{LIBRARIES}/libnvrm.so",
    ]
    links = [hook.args[3] for hook in edits.hooks if hook.args[1] == "create-symlinks"]
    assert links == [
        f"libcuda.so.1::{LIBRARIES}/libcuda.so",
        "tegra/libnvrm.so::/usr/lib/libnvrm.so",
        "y::/usr/lib/x",
    ]
    assert edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)


def test_an_integrated_gpu_has_no_name_with_only_the_uuid_strategy():
    with pytest.raises(UsageFault, match="the integrated GPU has no UUID"):
        build(PURE, Choices(name_strategies=("uuid",)))


def test_an_integrated_and_a_discrete_gpu_each_have_only_their_own_node():
    spec = build(MIXED, Choices())
    assert nodes(spec, "0") == ["/dev/nvidia0", "/dev/nvidia2", "/dev/nvidiactl", "/dev/nvmap"]
    assert nodes(spec, "1") == [
        "/dev/nvidia-modeset",
        "/dev/nvidia-uvm",
        "/dev/nvidia-uvm-tools",
        "/dev/nvidia0",
        "/dev/nvidiactl",
        "/dev/nvmap",
        "/dev/dri/card1",
    ]
    assert [device.name for device in spec.devices] == ["0", OWN.uuid, "1", "GPU-1", "all"]


@pytest.mark.parametrize(("word", "name"), [("0", "0"), (OWN.uuid, "0"), ("1", "1"), ("GPU-1", "1")])
def test_both_can_be_requested_by_index_or_uuid(word, name):
    spec = build(MIXED, Choices(device_ids=(word,), name_strategies=("index",)))
    assert [device.name for device in spec.devices] == [name, "all"]


@pytest.mark.parametrize("word", ["2", "0:0", "none"])
def test_a_device_that_csv_mode_does_not_have_is_a_usage_fault(word):
    with pytest.raises(UsageFault, match="in csv mode"):
        build(MIXED, Choices(device_ids=(word,)))


def test_compat_libraries_are_for_hosts_where_nvml_works():
    assert compat(PURE) == []
    works = PURE._replace(tegra=PURE.tegra._replace(nvml_works=True))
    assert compat(works) == [("--host-cuda-version=12.6",)]
    orin = works._replace(tegra=works.tegra._replace(orin=True))
    assert compat(orin) == [
        ("--host-cuda-version=12.6", "--cuda-compat-container-root=/usr/local/cuda/compat_orin"),
    ]
    assert compat(orin, csv_compat_root="/x")[0][1] == "--cuda-compat-container-root=/x"
