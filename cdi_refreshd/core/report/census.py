"""How many GPUs and devices there are, for metrics and labels; and a spec without what differs between equal hosts."""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.nvidia.gpu_count import on_bus
from cdi_refreshd.core.nvidia.inventory import Inventory, Presence

Counts = tuple[tuple[str, int], ...]


class Census(NamedTuple):
    host_gpus: Counts = ()
    """Number of NVIDIA GPUs by kernel driver; "" is none."""
    spec_devices: Counts = (("gpu", 0), ("mig", 0))
    """How many devices containers can have: GPUs, whole or cut into slices, and MIG devices."""


def census(seen: Inventory | None, is_described: bool, stands: bool, before: Census) -> Census:
    """The census after a pass. `seen` None: there was no probe, or it failed, so the previous census is still used.

    `is_described`: the published spec was made from `seen`; `stands`: there is a spec.
    """
    if seen is None:
        return before if stands else before._replace(spec_devices=Census().spec_devices)
    found = Census(_by_driver(seen.presence, len(seen.gpus), before.host_gpus))
    if is_described:
        return found._replace(spec_devices=(("gpu", len(seen.gpus)), ("mig", len(seen.migs))))
    return found._replace(spec_devices=before.spec_devices) if stands else found


def _by_driver(seen: Presence, listed: int, before: Counts) -> Counts:
    """A host without GPUs has 0 of them; one that cannot be inspected keeps the earlier numbers."""
    functions = on_bus(seen)
    if functions is None:  # under WSL and on Tegra it is what NVML lists
        return (("nvidia", listed),) if seen.wsl or seen.tegra else before
    return tuple(sorted({"nvidia": 0, **Counter(function.driver for function in functions)}.items()))


def without_uuids(content: bytes, uuids: Iterable[str]) -> bytes:
    """A spec's bytes, equal for hosts of equal hardware and driver."""
    for uuid in uuids:
        content = content.replace(uuid.encode("utf-8", "replace"), b"")
    return content
