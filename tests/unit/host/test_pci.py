"""NVIDIA's display functions, read from sysfs."""

import pytest

from cdi_refreshd.core.nvidia.inventory import PciFunction
from cdi_refreshd.host import pci


@pytest.fixture
def sysfs(tmp_path):
    def add(address, vendor="0x10de", kind="0x030200", driver="", control="on", status="active"):
        path = tmp_path / "bus/pci/devices" / address
        (path / "power").mkdir(parents=True)
        for name, text in (("vendor", vendor), ("class", kind), ("power/control", control)):
            (path / name).write_text(f"{text}\n")
        (path / "power/runtime_status").write_text(f"{status}\n")
        if driver:
            (path / "driver").symlink_to(f"../../../bus/pci/drivers/{driver}")

    add.path = str(tmp_path)
    return add


def test_display_functions_of_nvidia_are_reported_by_address(sysfs):
    sysfs("0000:65:00.0", driver="nvidia")
    sysfs("0000:17:00.0", kind="0x030000", driver="vfio-pci")
    sysfs("0000:18:00.0", kind="0x038000")
    assert pci.functions(sysfs.path) == (
        PciFunction("0000:17:00.0", "vfio-pci"),
        PciFunction("0000:18:00.0", ""),
        PciFunction("0000:65:00.0", "nvidia"),
    )


@pytest.mark.parametrize(
    ("vendor", "kind"),
    [("0x10de", "0x040300"), ("0x10de", "0x0c0330"), ("0x10de", "0x068000"), ("0x8086", "0x030000"), ("", "")],
)
def test_audio_usb_bridges_and_gpus_of_other_vendors_are_ignored(sysfs, vendor, kind):
    sysfs("0000:65:00.1", vendor, kind)
    assert pci.functions(sysfs.path) == ()


@pytest.mark.parametrize(
    ("control", "status", "may_suspend", "suspended"),
    [("on", "active", False, False), ("auto", "active", True, False), ("auto", "suspended", True, True)],
)
def test_power_management_is_reported(sysfs, control, status, may_suspend, suspended):
    sysfs("0000:65:00.0", driver="nvidia", control=control, status=status)
    (function,) = pci.functions(sysfs.path)
    assert (function.may_suspend, function.suspended) == (may_suspend, suspended)


@pytest.mark.parametrize("driver", ["vfio-pci", "nouveau", ""])
def test_the_sleep_of_a_gpu_that_nvml_cannot_wake_is_ignored(sysfs, driver):
    """With vfio-pci every GPU sleeps that no virtual machine uses."""
    sysfs("0000:65:00.0", driver=driver, control="auto", status="suspended")
    assert pci.functions(sysfs.path) == (PciFunction("0000:65:00.0", driver),)


def test_without_sysfs_there_is_nothing_and_that_is_reported(tmp_path, sysfs):
    sysfs("0000:65:00.0")
    assert pci.readable(sysfs.path)
    assert not pci.readable(str(tmp_path / "none"))
    assert pci.functions(str(tmp_path / "none")) == ()
    assert pci.drm_names("0000:65:00.0", str(tmp_path / "none")) == ()


def test_drm_nodes_are_reported_by_name(sysfs, tmp_path):
    sysfs("0000:65:00.0")
    for name in ("renderD128", "card1"):
        (tmp_path / "bus/pci/devices/0000:65:00.0/drm" / name).mkdir(parents=True)
    assert pci.drm_names("0000:65:00.0", sysfs.path) == ("card1", "renderD128")
