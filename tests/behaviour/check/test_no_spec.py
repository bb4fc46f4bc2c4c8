"""A host that has a GPU and no spec for it: that is never ok."""

import pytest

from .hosts import SPEC

pytestmark = pytest.mark.root

HOOK = "/usr/bin/nvidia-cdi-hook"
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d/devices.csv"
STORE = "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0"
RELEASE = "/etc/nv_tegra_release"
ORIN = {"gpus": [], "no_module": True, "files": False, "extra_nodes": {"nvhost-gpu": [504, 0]}}
ORIN |= {"add": {RELEASE: "# R36\n", CSV: "dev, /dev/nvhost-gpu\n"}}
THOR = {"gpus": [{"name": "NVIDIA Thor"}], "extra_nodes": {"nvmap": [10, 124], "nvgpu/igpu-0000:01:00.0/as": [235, 2]}}
THOR |= {"add": {RELEASE: "# R38\n", CSV: "dev, /dev/nvgpu/igpu*/*\ndev, /dev/nvmap\n"}}
DXG = {"gpus": [], "no_module": True, "files": False, "extra_nodes": {"dxg": [10, 127]}}


@pytest.mark.parametrize(
    "machine",
    [
        ORIN,
        THOR,
        DXG | {"add": {"/usr/lib/wsl/lib/libcuda.so.1": "", "/usr/lib/wsl/lib/libnvidia-ml.so.1": ""}},
        DXG | {"add": {f"{STORE}/libcuda.so.1.1": ""}},
    ],
    ids=["orin", "thor", "wsl", "wsl store"],
)
def test_a_gpu_of_tegra_or_wsl_without_a_spec_is_found(host, machine):
    host.become(**machine)
    host.path(SPEC).unlink()
    severity, place, fact = host.one_fault()
    assert (severity, place) == ("fatal", "/var/run/cdi")
    assert fact.startswith("has no spec for ")


def test_a_wsl_without_an_nvidia_driver_in_windows_fails_in_every_command(host):
    host.become(**DXG)
    host.path(SPEC).unlink()
    assert host.run("oneshot").returncode == 1
    severity, place, fact = host.one_fault()
    assert (severity, place) == ("degraded", "/dev/dxg")
    assert "there is no spec for its GPU" in fact


@pytest.mark.parametrize("machine", [ORIN, THOR], ids=["orin", "thor"])
def test_after_oneshot_a_tegra_has_no_findings(host, machine):
    host.become(**machine)
    host.publish()
    host.clean_line()


@pytest.mark.parametrize("driver", ["", "vfio-pci"])
def test_a_gpu_without_any_driver_is_reported_and_one_of_another_driver_is_not(host, driver):
    host.become(gpus=[], unbound=[{"bdf": "0000:01:00.0", "driver": driver}])
    host.path(SPEC).unlink()
    if driver:
        host.clean_line()
    else:
        assert host.one_fault() == (
            "degraded",
            "GPU 0000:01:00.0",
            "has no driver, so there is no spec for it; modprobe nvidia; else see dmesg for NVRM",
        )


def test_a_file_in_place_of_the_spec_directory_is_named(host):
    host.shell("rm -r /run/cdi; touch /run/cdi")
    severity, place, fact = host.one_fault()
    assert (severity, place, fact) == ("degraded", "/var/run/cdi", "is a file, not a directory; move it away")
