"""Keeps what was published, to put it back when somebody else writes over it or takes it away."""

import math
import os
import time
from collections.abc import Callable, Mapping

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.host import atomic_file
from cdi_refreshd.host.lease import Leases

WRITERS_EVERY_S = 1.0
"""Who writes more often is not kept up with: he gets through, and a probe follows."""


class Guard:
    """Whoever opens one of `contents` to write it waits, and we get a SIGIO: see `writer`."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._leases = Leases()
        self._put_back_at = -math.inf

    def set(self, contents: Mapping[str, bytes]) -> None:
        """What stands now, by file; nothing where it is not known to the byte."""
        self.contents = dict(contents)
        self._leases.hold(self.contents)

    def keep(self) -> None:
        """No probe has made anything better. What somebody else put in its place meanwhile is his."""
        self._leases.hold(file for file, content in self.contents.items() if atomic_file.holds(file, content))

    def lost(self, read: Callable[[str], object]) -> Event | None:
        """Why nobody can use one of them. `read` gives None for what is no document."""
        for file, content in self.contents.items():
            if not os.path.lexists(file):
                return Event(Source.SWEEP, Kind.SPEC, Action.GONE, file)
            if not atomic_file.holds(file, content) and read(file) is None:
                return Event(Source.SWEEP, Kind.SPEC, Action.DAMAGED, file)
        return None

    def put_back(self) -> bool:
        """In new inodes: what others still write goes to the old ones, which nobody reads any more."""
        self._put_back_at = time.monotonic()
        try:
            for file, content in self.contents.items():
                atomic_file.publish(file, content, at_once=True)
        except Fault:
            return False  # the probe will tell
        self._leases.hold(self.contents)
        return True

    def stands(self) -> bool:
        return all(atomic_file.holds(file, content) for file, content in self.contents.items())

    def is_pressed(self) -> bool:
        """Something was put back a moment ago."""
        return time.monotonic() - self._put_back_at < WRITERS_EVERY_S

    def writer(self) -> Event | None:
        """Who waits to write, if anybody does."""
        wanted = self._leases.wanted()
        return Event(Source.INOTIFY, Kind.SPEC, Action.OPENED, wanted[0]) if wanted else None

    def yield_to_writers(self) -> None:
        self._leases.release()

    def close(self) -> None:
        self._leases.release()
