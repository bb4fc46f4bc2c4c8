"""The protocol of event sources. A source overrides what it needs; the list is in daemon/sources."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.refresh.event import Event
from cdi_refreshd.core.refresh.watch_list import Watch


class Scope(NamedTuple):
    """What a source has to follow."""

    settings: Settings
    watches: tuple[Watch, ...]


class EventSource:
    """Times are of one monotonic clock, in seconds."""

    faults: tuple[str, ...] = ()
    """What it cannot follow, one line each. Other sources find such changes, later."""
    overflows: int = 0
    """Number of overflows of a kernel queue."""
    note: str = ""
    """A note for the status, besides faults; "" for none."""
    origin: str = ""
    """Where it gets events from, if that is reported: udev or kernel."""

    def fileno(self) -> int:
        """Readable when there is something to `read`; -1 if the source only polls. It never changes."""
        return -1

    def read(self) -> Sequence[Event]:
        return ()

    def due_at(self, now: float) -> float:
        """When to `poll`, never in the past."""
        return math.inf

    def poll(self, now: float) -> Sequence[Event]:
        """Returns nothing before it is due."""
        return ()

    def configure(self, scope: Scope) -> None:
        """Replaces what is followed. What exists already is not an event: a probe follows."""

    def pass_begins(self, now: float) -> None:
        """The pass sees the current state, so only later changes are events."""

    def pass_ends(self, spec: Spec | None, stands: bool) -> None:
        """`spec` is what was published, None if the pass made none; `stands`: a spec exists."""

    def close(self) -> None:
        pass


JITTER = 0.1
"""Fraction of the interval, either way: a thousand hosts that boot together must not act together."""


class Interval:
    """When a periodic task is due."""

    def __init__(
        self, interval_s: float = 300.0, jitter: float = JITTER, chance: Callable[[], float] = random.random
    ) -> None:
        self._interval_s, self._jitter, self._chance = interval_s, jitter, chance
        self._due_s = -math.inf

    def every(self, interval_s: float) -> None:
        if interval_s != self._interval_s:
            self._interval_s, self._due_s = interval_s, -math.inf

    def due_at(self, now: float) -> float:
        """The first time is one interval away."""
        if self._due_s == -math.inf:
            self._next(now)
        return max(self._due_s, now)

    def is_over(self, now: float) -> bool:
        """Whether it is due; if so, the next interval begins."""
        over = now >= self.due_at(now)
        if over:
            self._next(now)
        return over

    def _next(self, now: float) -> None:
        self._due_s = now + self._interval_s * (1 + self._jitter * (2 * self._chance() - 1))
