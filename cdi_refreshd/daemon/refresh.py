"""One pass: its events, the child that probes, and the context of the verdict."""

import math
import time

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh.event import Event
from cdi_refreshd.host import child
from cdi_refreshd.host.child import Child
from cdi_refreshd.pipeline import Known, Target
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request


class Refresh:
    def __init__(self, events: tuple[Event, ...], count: int, request: Request, target: Target, known: Known) -> None:
        """`events` are the first distinct ones of `count`."""
        self.events, self.count = events, count
        self.request, self.target, self.known = request, target, known
        self.began_s = time.monotonic()
        self.ends_by_s = math.inf
        """When the child, which has answered, should have ended."""
        self._answered = False
        self._child: Child | None = None
        self._fault: Fault | None = None
        try:
            self._child = runner.start(request)
        except OSError as error:
            fact = f"no child can be started: {error.strerror}"
            self._fault = Fault("probe", fact, "free some memory, or raise TasksMax= of the service")

    @property
    def is_without_child(self) -> bool:
        return self._child is None

    @property
    def pid(self) -> int:
        return self._child.pid if self._child else 0

    def fileno(self) -> int:
        """-1 if there is no child."""
        return self._child.fileno() if self._child else -1

    def read(self) -> bool:
        """Whether there is nothing more to read."""
        if not self._answered and (self._child is None or self._child.read()):
            self._answered, self.ends_by_s = True, time.monotonic() + child.GRACE_S
        return self._answered

    def is_over(self) -> bool:
        """The answer and the child's end, in any order: both are needed."""
        return self._child is None or (self._answered and self._child.gone())

    def answer(self) -> bytes:
        """After its end. Raises Fault if there is none."""
        if self._child is None:
            raise self._fault or Fault("probe", "no child was started")
        return self._child.result()

    def left(self) -> int:
        """Number of processes that the child left behind, after its end."""
        return len(self._child.left) if self._child else 0

    def kill(self, why: str) -> None:
        if self._child:
            self._child.kill(why)

    def kill_late(self) -> None:
        self.ends_by_s = math.inf
        if self._child:
            self._child.kill_late()

    def close(self) -> None:
        if self._child:
            self._child.close()
