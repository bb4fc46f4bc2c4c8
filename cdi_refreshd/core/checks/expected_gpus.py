"""GPUs that never came up on the bus: only the configuration knows that they should be there."""

from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import counted

PLACE = "PCI bus"
HINT = "see lspci -d 10de: and dmesg, or correct [host] expected-gpus"


def missing(there: int | None, expected: int) -> RuleFinding | None:
    """`there`: of core.nvidia.gpu_count, None if unknown. `expected` 0: not configured."""
    if there is None or there >= expected:
        return None
    return found("gpu-expected", PLACE, f"has {counted(there, 'NVIDIA GPU')}, and {expected} are expected", HINT)
