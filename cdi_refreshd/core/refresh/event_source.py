"""What the daemon asks of each source of events. A source overrides what concerns it; the list is in daemon/sources."""

import math
from collections.abc import Sequence
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
