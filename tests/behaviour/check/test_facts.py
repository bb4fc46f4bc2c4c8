"""What follows from a list of drivers, and when nothing follows."""

from cdi_refreshd.core.entries import registered

DEVICES = "Character devices:\n  1 mem\n195 nvidia\n\nBlock devices:\n  7 loop\n"


def test_a_device_list_without_nvidia_beside_a_loaded_module_is_of_another_kernel():
    assert registered(DEVICES.replace("195 nvidia\n", ""), nvidia_loaded=True) == ({}, {})


def test_without_the_module_such_a_list_counts():
    assert registered(DEVICES.replace("195 nvidia\n", "")) == ({1: ("mem",)}, {7: ("loop",)})
