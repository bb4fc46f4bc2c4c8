"""What else defines our devices, or would: conflicts, forgotten specs, NVIDIA's own units. Not read in each pass.

It runs in a child, since foreign specs need a parser and memory that the daemon does not need otherwise. The child is
polled like the probe's, never waited for.
"""

import math
import time
from collections.abc import Container, Iterable
from typing import NamedTuple

from cdi_refreshd.core.checks.registry import RuleFinding
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.inventory import read_back, to_json
from cdi_refreshd.core.refresh.event import Event, Kind, Source
from cdi_refreshd.host.child import Child

LIMIT_S = 5.0


class Seen(NamedTuple):
    conflicts: tuple[RuleFinding, ...] = ()
    """What keeps containers from our devices: part of the state."""
    notes: tuple[Finding, ...] = ()
    """Worth a line of the journal."""


class OtherSpecs:
    """What is known about them. `known` is None before the first answer."""

    known: Seen | None = None

    def __init__(self) -> None:
        self._child: Child | None = None
        self._answered = False
        self._ends_at_s = math.inf

    @property
    def conflicts(self) -> tuple[RuleFinding, ...]:
        return self.known.conflicts if self.known else ()

    def may_differ(self, events: Iterable[Event], ours: Container[str]) -> bool:
        """`ours`: paths of our own files, whose changes do not concern other specs."""
        others = (e.source is Source.SIGNAL or (e.kind is Kind.SPEC and e.path not in ours) for e in events)
        return self.known is None or bool(self.conflicts) or any(others)

    def ask(self) -> int:
        """A descriptor to poll until `read` returns True; -1 if it is already polled."""
        if self._child is not None:
            return -1
        try:
            self._child, self._answered = Child(_look), False
        except OSError:
            return -1  # no process left: the next pass asks again
        self._ends_at_s = time.monotonic() + LIMIT_S
        return self._child.fileno()

    def read(self) -> bool:
        """Whether the child has answered and ended, or was given up."""
        if self._child is None:
            return True
        self._answered = self._answered or self._child.read()
        return self._answered and self._child.gone()

    def due_at(self, now: float) -> float:
        """When to give the child up."""
        return self._ends_at_s

    def kill(self) -> None:
        self._ends_at_s = time.monotonic() + LIMIT_S
        if self._child:
            self._child.kill(f"did not answer within {LIMIT_S:g} s")

    def take(self) -> list[Finding]:
        """After `read` has returned True. New findings, except conflicts."""
        if self._child is None:
            return []
        before = self.known.notes if self.known else ()
        try:
            self.known = read_back(Seen, self._child.result())
        except (Fault, ValueError) as error:
            self.known = Seen(self.conflicts, (Finding("info", "other specs", f"cannot be checked: {error}"),))
        self.close()
        return [finding for finding in self.known.notes if finding not in before]

    def fileno(self) -> int:
        return self._child.fileno() if self._child else -1

    def close(self) -> None:
        if self._child:
            self._child.close()
        self._child, self._ends_at_s = None, math.inf


def _look() -> bytes:
    from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES  # noqa: PLC0415 - the parent stays small
    from cdi_refreshd.inspect import published, spec_directories  # noqa: PLC0415
    from cdi_refreshd.pipeline import CONFLICT  # noqa: PLC0415

    found = published.neighbours(spec_directories.gathered(SPEC_DIRECTORIES))
    conflicts = tuple(one for one in found if one.rule == CONFLICT)
    return to_json(Seen(conflicts, tuple(one.finding for one in found if one.rule != CONFLICT)))
