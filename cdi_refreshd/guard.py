"""Keeps what was published, to put it back when somebody else writes over it or takes it away."""

import math
import time
from collections.abc import Mapping

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.trigger import Trigger
from cdi_refreshd.host import publish
from cdi_refreshd.host.lease import Leases

WRITERS_EVERY_S = 1.0
"""Who would write more often gets through, so that we are not kept busy by him, and a look follows."""


class Guard:
    """Whoever opens one of `contents` to write it waits, and we get a SIGIO: see `writer`."""

    def __init__(self) -> None:
        self.contents: dict[str, bytes] = {}
        self._leases = Leases()
        self._written_at = -math.inf

    def set(self, contents: Mapping[str, bytes]) -> None:
        """What stands now, by file; nothing where it is not known to the byte."""
        self.contents = dict(contents)
        self._leases.hold(self.contents)

    def put_back(self) -> bool:
        """In new inodes: what others still write goes to the old ones, which nobody reads any more."""
        try:
            for file, content in self.contents.items():
                publish.publish(file, content, at_once=True)
        except Fault:
            return False  # the look will tell
        self._leases.hold(self.contents)
        return True

    def stands(self) -> bool:
        return all(publish.holds(file, content) for file, content in self.contents.items())

    def writer(self) -> tuple[Trigger | None, bool]:
        """Who waits to write, if anybody does, and whether he comes too often."""
        wanted, now = self._leases.wanted(), time.monotonic()
        if not wanted:
            return None, False
        often, self._written_at = now - self._written_at < WRITERS_EVERY_S, now
        return Trigger("lease", f"{wanted[0]} opened to be written"), often

    def yield_to_writers(self) -> None:
        self._leases.release()

    def close(self) -> None:
        self._leases.release()
