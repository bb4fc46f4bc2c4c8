"""How many GPUs a host has, with any driver or none: the number for `[host] expected-gpus`, `check` and the metrics.

A GPU that is handed to a virtual machine (vfio-pci), that the module excludes, or that has no driver is on the bus. A
GPU that is divided into MIG slices counts once. A virtual function (SR-IOV) is a part of a GPU that is counted already.
"""

from collections.abc import Iterable

from cdi_refreshd.core.nvidia.inventory import PciFunction, Presence


def physical(functions: Iterable[PciFunction]) -> tuple[PciFunction, ...]:
    return tuple(function for function in functions if not function.virtual)


def on_bus(seen: Presence) -> tuple[PciFunction, ...] | None:
    """None where it is unknown: sysfs cannot be read, or the GPU is no PCI function, as under WSL and on Tegra."""
    if not seen.sysfs or seen.unreadable or (not seen.functions and (seen.wsl or seen.tegra)):
        return None
    return physical(seen.functions)
