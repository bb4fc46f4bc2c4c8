"""MIG instances, as the driver lists them in procfs. Their changes make neither uevents nor inotify events.

Directories are listed and no file in them is opened: that wakes no GPU.
"""

import math
import os

from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import EventSource, Scope

CAPABILITIES = "/proc/driver/nvidia/capabilities"
IDLE_S = 60.0
"""Time between two searches for a MIG-capable GPU if there was none. `pass_begins` finds one at once."""
NAMED_AT_MOST = 4


class MigPoll(EventSource):
    def __init__(self, interval_s: float = math.inf, capabilities: str = CAPABILITIES) -> None:
        self._interval_s = interval_s
        self._top = capabilities
        self._due = -math.inf
        self._seen: tuple[str, ...] | None = None

    def due_at(self, now: float) -> float:
        return max(self._due, now)

    def configure(self, scope: Scope) -> None:
        if scope.settings.mig_poll_s != self._interval_s:
            self._interval_s, self._due = scope.settings.mig_poll_s, -math.inf

    def pass_begins(self, now: float) -> None:
        self._seen = self._listing()
        self._next(now)

    def poll(self, now: float) -> list[Event]:
        if now < self._due:
            return []
        before, self._seen = self._seen, self._listing()
        self._next(now)
        words = _difference(set(before), set(self._seen)) if before is not None else ""
        return [Event(Source.MIG, Kind.MIG_INSTANCES, Action.CHANGE, note=words)] if words else []

    def _next(self, now: float) -> None:
        self._due = now + (self._interval_s if self._seen else max(IDLE_S, self._interval_s))

    def _listing(self) -> tuple[str, ...]:
        """Such as gpu0/mig, gpu0/mig/gi1, gpu0/mig/gi1/ci0. Empty if no GPU is MIG-capable."""
        found = []
        for gpu in _names(self._top, "gpu"):
            for mig in _names(f"{self._top}/{gpu}", "mig"):
                found.append(f"{gpu}/{mig}")
                for gi in _names(f"{self._top}/{gpu}/{mig}", "gi"):
                    found.append(f"{gpu}/{mig}/{gi}")
                    found += (f"{gpu}/{mig}/{gi}/{ci}" for ci in _names(f"{self._top}/{gpu}/{mig}/{gi}", "ci"))
        return tuple(sorted(found))


def _names(directory: str, prefix: str) -> list[str]:
    try:
        return [name for name in os.listdir(directory) if name.startswith(prefix)]
    except OSError:  # missing, or being removed
        return []


def _difference(before: set[str], now: set[str]) -> str:
    changed = [f"+{name}" for name in sorted(now - before)] + [f"-{name}" for name in sorted(before - now)]
    more = f" and {len(changed) - NAMED_AT_MOST} more" if len(changed) > NAMED_AT_MOST else ""
    return " ".join(changed[:NAMED_AT_MOST]) + more
