"""What the daemon asks of each source of events. A source overrides what concerns it; the list is in daemon/sources."""

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.refresh.event import Event
from cdi_refreshd.core.refresh.watch_list import Watch


class Scope(NamedTuple):
    """What there is to follow."""

    settings: Settings
    watches: tuple[Watch, ...]


class EventSource:
    """Times are of one monotonic clock, in seconds."""

    faults: tuple[str, ...] = ()
    """What it cannot follow, a line each for people. Other sources find the changes, later."""
    overflows: int = 0
    """Times that a queue of the kernel ran over."""
    note: str = ""
    """What people should know of it, beside faults; "" for nothing."""
    origin: str = ""
    """Who tells it, for those of which people ask: udev or kernel."""

    def fileno(self) -> int:
        """Readable when there is something to `read`; -1 where time alone says. The same for life."""
        return -1

    def read(self) -> Sequence[Event]:
        return ()

    def due_at(self, now: float) -> float:
        """When to `poll`, never in the past."""
        return math.inf

    def poll(self, now: float) -> Sequence[Event]:
        """Nothing before it is due."""
        return ()

    def configure(self, scope: Scope) -> None:
        """From now on this and nothing else. What was there before is no event: a probe follows."""

    def pass_begins(self, now: float) -> None:
        """The pass will see what is there now, so that only what comes after is news."""

    def pass_ends(self, spec: Spec | None, stands: bool) -> None:
        """`spec` is what was published, None where the pass made none; `stands`: there is one at all."""

    def close(self) -> None:
        pass


JITTER = 0.1
"""Of the interval, either way: a thousand hosts that boot together need not do things together."""


class Interval:
    """When something that is done now and then is due."""

    def __init__(
        self, interval_s: float = 300.0, jitter: float = JITTER, chance: Callable[[], float] = random.random
    ) -> None:
        self._interval_s, self._jitter, self._chance = interval_s, jitter, chance
        self._due_s = -math.inf

    def every(self, interval_s: float) -> None:
        if interval_s != self._interval_s:
            self._interval_s, self._due_s = interval_s, -math.inf

    def due_at(self, now: float) -> float:
        """Asked for the first time, it is a whole interval away."""
        if self._due_s == -math.inf:
            self._next(now)
        return max(self._due_s, now)

    def is_over(self, now: float) -> bool:
        """Whether it is due; the next one begins then."""
        over = now >= self.due_at(now)
        if over:
            self._next(now)
        return over

    def _next(self, now: float) -> None:
        self._due_s = now + self._interval_s * (1 + self._jitter * (2 * self._chance() - 1))
