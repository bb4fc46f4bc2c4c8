"""What sysfs and procfs say of a spec while no probe ends: GPUs that are gone need no NVML to be known as gone."""

from cdi_refreshd.core.findings import LEFT_OUT, Finding
from cdi_refreshd.core.nvidia.inventory import Inventory, Presence

GATED_MODES = ("auto", "nvml")
"""In which absence is decided so."""


def without_the_absent(published: Inventory, seen: Presence) -> Inventory | None:
    """The inventory that the spec came from, without GPUs that have left the bus or the driver; None where none has."""
    there = {function.address for function in seen.functions if function.driver == "nvidia"}
    gone = [gpu for gpu in published.gpus if gpu.pci and gpu.pci not in there]
    if published.mode != "nvml" or not gone:
        return None
    numbers = {gpu.number for gpu in gone}
    fact = f"has left the bus or its driver{LEFT_OUT}"
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
