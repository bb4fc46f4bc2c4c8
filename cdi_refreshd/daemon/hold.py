"""`hold`: for a while no probe begins, so that nothing of ours has the driver open. A file has the end time.

For unloading the driver, resetting a GPU or passing one to a virtual machine. The published spec stays unchanged, and
is still restored if it is damaged. A probe follows when the time is over; a `refresh` or a restart of the daemon ends
it early.
"""

import contextlib
import math
import time
from typing import NamedTuple

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh.event import Kind
from cdi_refreshd.core.refresh.watch_list import Watch
from cdi_refreshd.daemon.state_file import DIRECTORY
from cdi_refreshd.host import atomic_file, regular_file

PATH = f"{DIRECTORY}/hold"
WATCH = Watch(DIRECTORY, ("hold",), Kind.HOLD)
AT_MOST_S = 3600.0
SIZE_LIMIT_BYTES = 100


class Hold:
    """The content of the file. Times are of the monotonic clock."""

    def __init__(self) -> None:
        self.until_s = -math.inf
        self.until = ""
        """The end in UTC, for display; "" without a hold."""

    def read(self) -> bool:
        """Whether it differs from the known one."""
        before = self.until_s, self.until
        self.until_s, self.until = asked()
        if self.until_s <= time.monotonic():
            self.until_s, self.until = -math.inf, ""
        return before != (self.until_s, self.until)

    def end(self) -> None:
        with contextlib.suppress(Fault):  # what was read is dropped all the same
            atomic_file.withdraw(PATH)
        self.until_s, self.until = -math.inf, ""


def asked() -> tuple[float, str]:
    try:
        seconds, words = regular_file.read(PATH, SIZE_LIMIT_BYTES).decode("ascii").split()
        until_s = float(seconds)
        return (min(until_s, time.monotonic() + AT_MOST_S), words) if math.isfinite(until_s) else (-math.inf, "")
    except (OSError, ValueError):
        return -math.inf, ""


class Wanted(NamedTuple):
    """A request for a hold."""

    until_s: float
    until: str

    @classmethod
    def of(cls, seconds: float) -> "Wanted":
        words = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + seconds))
        return cls(time.monotonic() + seconds, words)

    def ask(self) -> None:
        """Raises Fault. If it is there already, nothing is written."""
        atomic_file.publish(PATH, f"{self.until_s} {self.until}\n".encode())
