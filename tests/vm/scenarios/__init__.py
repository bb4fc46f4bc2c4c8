"""What happens to a GPU host, done to the guest as its owner would do it, and how long the spec takes to follow.

This runs in the guest, with Debian's own Python: `python3 -m scenarios NAME ...` prints one line of JSON a scenario.

    {"scenario": "gpu_removed", "seconds": 0.31, "limit_s": 1.5, "wrong": "", "bare_start_s": 0.12, "debian": 12}

`seconds` is counted from when the action was done until the spec is up to date; null where it never was, and then
`wrong` says why not. The limits are for a machine in software, twenty times as slow as a real one, whose host has
nothing else to do; `bare_start_s` shows how slow it was just then: the time that an interpreter takes to start and end.
"""

# In the order in which they are played: package imports service, and comes last. Containers have a machine of their
# own.
from . import boot, containers, hardware, package, service
from .scenario import SCENARIOS, played

__all__ = ["SCENARIOS", "boot", "containers", "hardware", "package", "played", "service"]
