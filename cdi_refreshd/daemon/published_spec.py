"""What is published: its bytes, whether they are on disk, and how it is restored, moved and withdrawn.

An identity comes from the descriptor by which the file was written. What is at the path a moment later may be
another file, or nothing.
"""

import math
import stat
import time
from collections.abc import Callable, Iterator
from enum import Enum

from cdi_refreshd import last_pass
from cdi_refreshd.core.cdi.model import Annotations
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.inventory import Inventory
from cdi_refreshd.core.refresh import states
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import EventSource, Interval, Scope
from cdi_refreshd.core.report import lines
from cdi_refreshd.host import atomic_file
from cdi_refreshd.host.atomic_file import Identity
from cdi_refreshd.pipeline import Outcome

RESTORED_EVERY_S = 1.0
"""If the file is overwritten more often, a probe follows before it is restored."""


class Standing(Enum):
    AS_PUBLISHED = "as published"
    GONE = "gone"
    DAMAGED = "damaged: what was published was written to, or this is no spec"
    REPLACED = "replaced by another whole spec, perhaps by a newer `cdi-refreshd oneshot`"


class PublishedSpec(EventSource):
    """Several files if coherent GPUs are separated."""

    def __init__(self, is_spec: Callable[[str], bool], interval: Interval | None = None) -> None:
        """`is_spec`: whether container runtimes would take the file at that path."""
        self.path = ""
        self.left: list[str] = []
        """Former paths of the spec, by configuration, where it may still exist."""
        self.inventory: Inventory | None = None
        """That it was built from; None of an earlier life's."""
        self._is_spec = is_spec
        self._interval = interval or Interval()
        self._contents: dict[str, bytes] = {}
        self._identities: dict[str, Identity | None] = {}
        self._sha256 = ""
        self._restored_at_s = -math.inf

    # As a source of events

    def configure(self, scope: Scope) -> None:
        self._interval.every(scope.settings.sweep_s)
        if scope.settings.output != self.path:
            self.left += [self.path] if self.path else []
            self.path = scope.settings.output
            self._contents, self._identities, self.inventory = {}, {}, None

    def due_at(self, now: float) -> float:
        return self._interval.due_at(now) if self._identities else math.inf

    def poll(self, now: float) -> list[Event]:
        return list(self._differences()) if self._identities and self._interval.is_over(now) else []

    def _differences(self) -> Iterator[Event]:
        for file, known in self._identities.items():
            found = atomic_file.identity(file)
            if found != known:
                words = "is gone" if found is None else "is not what was published"
                yield Event(Source.SWEEP, Kind.SPEC, Action.DIFFERS, file, note=words)

    # What became of it

    def take(self, outcome: Outcome) -> None:
        """After each pass."""
        if outcome.files:
            self._contents = {file.path: file.content for file in outcome.files}
            self._identities = {file.path: file.identity for file in outcome.files}
            self.inventory, self._sha256 = outcome.verdict.seen, outcome.sha256
        elif outcome.verdict.action == states.WITHDRAW and not outcome.stands:
            self._identities = dict.fromkeys((self.path, *self._contents))
            self._contents, self.inventory = {}, None
        elif outcome.stands and self.path not in self._identities:  # of an earlier life
            self._identities[self.path] = atomic_file.identity(self.path)

    @property
    def files(self) -> tuple[str, ...]:
        """The files that could be restored."""
        return tuple(self._contents)

    def devices(self) -> Annotations:
        """Those of the spec, as in a Pass; none if it is of an earlier life."""
        return lines.devices(self.inventory) if self.inventory else ()

    def sha256(self) -> str:
        """Of the file at the spec's path, "" if there is none. It is read only if it is not what was published."""
        ours = self.path in self._contents and atomic_file.identity(self.path) == self._identities[self.path]
        return self._sha256 if ours else last_pass.digest_at(self.path)

    def is_as_published(self) -> bool:
        """Whether our files are as we wrote them, and removed ones are gone; False if nothing is known."""
        return bool(self._identities) and all(atomic_file.identity(f) == known for f, known in self._identities.items())

    def is_echo(self, event: Event) -> bool:
        """Whether the event comes from our own writing."""
        return event.kind is Kind.SPEC and event.path in {self.path, *self._identities} and self.is_as_published()

    # Restoring

    def lost(self) -> Event | None:
        """Why one of the files cannot be used; None also if another complete spec has replaced it."""
        for file in self._contents:
            standing = self.standing(file)
            if standing in (Standing.GONE, Standing.DAMAGED):
                action = Action.GONE if standing is Standing.GONE else Action.DAMAGED
                return Event(Source.SWEEP, Kind.SPEC, action, file)
        return None

    def standing(self, file: str) -> Standing:
        """The standing of a file that was published."""
        found, known = atomic_file.identity(file), self._identities[file]
        if found is None:
            return Standing.GONE
        if found == known or atomic_file.holds(file, self._contents[file]):
            return Standing.AS_PUBLISHED
        written_to = known is not None and (found.device, found.inode) == (known.device, known.inode)
        if written_to or not stat.S_ISREG(found.mode) or not self._is_spec(file):
            return Standing.DAMAGED
        return Standing.REPLACED

    def restore(self) -> Fault | None:
        """In new inodes: what others still write goes to the old ones, which are no longer read."""
        self._restored_at_s = time.monotonic()
        for file, content in self._contents.items():
            if self.standing(file) in (Standing.GONE, Standing.DAMAGED):
                try:
                    self._identities[file] = atomic_file.place(file, content, at_once=True).identity
                except Fault as fault:
                    return fault
        return None

    def was_restored_just_now(self) -> bool:
        return time.monotonic() - self._restored_at_s < RESTORED_EVERY_S

    # Moving

    def leave(self, outcome: Outcome, withdraw: Callable[[str], bool]) -> Iterator[str | Fault]:
        """Withdraws the spec at its former paths: two specs with the same devices conflict.

        Returns the paths, and the errors. The old one is better than none.
        """
        if not outcome.files and outcome.verdict.action != states.WITHDRAW:
            return
        left, self.left = [path for path in self.left if path != self.path], []
        for path in left:
            try:
                if withdraw(path):
                    yield path
            except Fault as fault:
                yield fault
