"""What follows from a list of drivers, and when nothing follows."""

from cdi_refreshd.core.entries import registered

DEVICES = "Character devices:\n  1 mem\n195 nvidia\n\nBlock devices:\n  7 loop\n"


def test_proc_devices_without_nvidia_is_ignored_where_the_module_is_loaded():
    assert registered(DEVICES.replace("195 nvidia\n", ""), nvidia_loaded=True) == ({}, {})


def test_proc_devices_without_nvidia_is_used_where_no_module_is_loaded():
    assert registered(DEVICES.replace("195 nvidia\n", "")) == ({1: ("mem",)}, {7: ("loop",)})
