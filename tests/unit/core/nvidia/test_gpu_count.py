"""How many GPUs a host has: those on the bus, whichever driver they have, if that is known."""

import pytest

from cdi_refreshd.core.nvidia.gpu_count import on_bus
from cdi_refreshd.core.nvidia.inventory import PciFunction, Presence

WHOLE = tuple(PciFunction(f"0000:0{n}:00.0", driver) for n, driver in enumerate(("nvidia", "vfio-pci", "")))
PART = PciFunction("0000:00:00.4", "nvidia", virtual=True)


def test_every_physical_function_counts_and_no_virtual_one():
    assert on_bus(Presence(functions=(*WHOLE, PART))) == WHOLE


def test_a_host_without_any_has_none():
    assert on_bus(Presence()) == ()


@pytest.mark.parametrize(
    "seen",
    [Presence(wsl=True), Presence(tegra=True), Presence(sysfs=False), Presence(unreadable="/sys/x: I/O error")],
    ids=["WSL", "Tegra", "no sysfs", "unreadable"],
)
def test_an_unknown_bus_gives_no_number(seen):
    assert on_bus(seen) is None


def test_gpus_on_the_bus_of_a_tegra_count():
    assert on_bus(Presence(functions=WHOLE, tegra=True)) == WHOLE
