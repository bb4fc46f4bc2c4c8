"""What monitoring reads: the health line, metrics, and labels for Node Feature Discovery; and the heartbeat in them.

All come from one record. They are written at each outcome, and those with the heartbeat once a minute. A clean stop
removes them; those of a daemon that was killed stay, and their age shows it.
"""

import errno
import math
import time
from collections.abc import Callable, Iterator

from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.report import metrics, nfd_features
from cdi_refreshd.core.report.health import Health
from cdi_refreshd.core.report.metrics import Measured
from cdi_refreshd.daemon import health_file
from cdi_refreshd.host import plain_file

BEAT_EVERY_S = 60.0
HINTS = {
    errno.EACCES: "the directory must be root's: the service may not write to others' directories",
    errno.EDQUOT: "free some space there",
    errno.ENOENT: "make the directory, and name it in ReadWritePaths= of the unit",
    errno.ENOSPC: "free some space there",
    errno.EROFS: "name the directory in ReadWritePaths= of the unit, if it is writable otherwise",
}


class Exports:
    """`warn` is called with a fault when it is news: the same one comes back every minute. `note`: when it is over."""

    def __init__(self, warn: Callable[[Fault], None], note: Callable[[str], None]) -> None:
        self._warn, self._note = warn, note
        self._files: dict[str, str] = {}
        self._measured, self._health = Measured("", "", 0.0), Health(2, "Unknown")
        self._said: dict[str, str] = {}
        self._labels = ""
        self.beat_at_s = math.inf
        """Of the monotonic clock."""

    def configure(self, settings: Settings) -> None:
        """A file that is no longer configured is removed."""
        wanted = {"textfile": settings.textfile, "nfd-features": settings.nfd_features}
        for key, path in self._files.items():
            if path and path != wanted[key]:
                self._remove(key, path)
        self._files, self._labels = wanted, ""

    def write(self, measured: Measured, health: Health) -> None:
        self._measured, self._health = measured, health
        try:
            health_file.write(health)
        except Fault as fault:
            self._report("health", fault)
        else:
            self._succeeded("health", health_file.PATH)
        self._beat()

    def beat(self) -> None:
        if not health_file.beat():
            self.write(self._measured, self._health)
        else:
            self._beat()

    def remove(self) -> None:
        self.beat_at_s = math.inf
        for key, path in (*self._files.items(), ("health", health_file.PATH)):
            if path:
                self._remove(key, path)

    def _beat(self) -> None:
        self.beat_at_s = time.monotonic() + BEAT_EVERY_S
        self._measured = self._measured._replace(heartbeat_s=time.time())
        for key, path, text in self._texts():
            try:
                plain_file.replace(path, text.encode("utf-8", "replace"))
            except OSError as error:
                hint = HINTS.get(error.errno or 0, f"see [metrics] {key}")
                self._report(key, Fault(path, f"cannot be written: {error.strerror}", hint))
            else:
                self._succeeded(key, path)
                self._labels = text if key == "nfd-features" else self._labels

    def _texts(self) -> Iterator[tuple[str, str, str]]:
        """Key, path and content of each configured file."""
        for key, make in (("textfile", metrics.text), ("nfd-features", nfd_features.text)):
            path, text = self._files.get(key, ""), make(self._measured)
            if path and (key != "nfd-features" or text != self._labels):  # each write makes NFD read it
                yield key, path, text

    def _remove(self, key: str, path: str) -> None:
        try:
            plain_file.remove(path)
        except OSError as error:
            self._report(key, Fault(path, f"cannot be removed: {error.strerror}", "remove it"))

    def _succeeded(self, key: str, path: str) -> None:
        if self._said.pop(key, ""):
            self._note(f"{path}: is written again")

    def _report(self, key: str, fault: Fault) -> None:
        if self._said.get(key) != str(fault):
            self._said[key] = str(fault)
            self._warn(fault)
