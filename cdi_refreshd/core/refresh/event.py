"""A reason to probe again."""

from typing import NamedTuple


class Trigger(NamedTuple):
    source: str
    """udev, inotify, mig, sweep, lease, signal, start or retry."""
    detail: str
    """A few words for the journal: `pci unbind 0000:65:00.0`, `/run/cdi/nvidia.yaml deleted`."""

    def __str__(self) -> str:
        return f"{self.source}: {self.detail}"
