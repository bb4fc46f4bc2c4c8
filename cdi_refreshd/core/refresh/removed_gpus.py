"""Which GPUs of the published spec are gone, by sysfs and procfs alone: for a probe that hangs in NVML."""

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia.inventory import Inventory, Presence

GATED_MODES = ("auto", "nvml")
"""The modes in which sysfs and procfs decide that a GPU is gone."""


def without_removed(published: Inventory | None, seen: Presence) -> Inventory | None:
    """The published spec's inventory without the GPUs that have left the bus or the driver; None if none has,
    or nothing is known of them."""
    if published is None or published.mode != "nvml":
        return None
    bound = {function.address for function in seen.functions if function.driver == "nvidia"}
    gone = [gpu for gpu in published.gpus if gpu.pci and gpu.pci not in bound]
    if not gone:
        return None
    numbers = {gpu.number for gpu in gone}
    fact = "has left the bus or its driver"
    findings = (
        Finding("degraded", f"GPU {gpu.number} ({gpu.uuid})", fact, "see dmesg", (str(gpu.number), gpu.uuid))
        for gpu in gone
    )
    return published._replace(
        presence=seen,
        gpus=tuple(gpu for gpu in published.gpus if gpu.number not in numbers),
        migs=tuple(mig for mig in published.migs if mig.parent not in numbers),
        findings=(*published.findings, *findings),
        fingerprint="",
    )
