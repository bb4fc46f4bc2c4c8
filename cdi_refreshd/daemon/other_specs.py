"""Who else defines our devices, or would: conflicts, forgotten specs, NVIDIA's own units. Not asked at each probe.

In a child, since other people's specs take a parser and memory that the daemon has no other use for.
"""

import json
from collections.abc import Container, Iterable

from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.inventory import freeze, to_json
from cdi_refreshd.core.refresh.event import Event, Kind, Source
from cdi_refreshd.core.report.lines import DEBUG, WARNING, Line
from cdi_refreshd.host.child import Child

LIMIT_S = 5.0
"""The daemon waits for it."""


class Neighbours:
    """What is known of them. Nobody has asked yet where `known` is None."""

    known: tuple[Finding, ...] | None = None

    @property
    def conflicts(self) -> tuple[Finding, ...]:
        """What keeps containers from their GPUs."""
        return tuple(finding for finding in self.known or () if finding.severity == "fatal")

    def may_differ(self, events: Iterable[Event], ours: Container[str]) -> bool:
        """`ours`: paths of our own files, whose going and coming says nothing of others."""
        others = (e.source is Source.SIGNAL or (e.kind is Kind.SPEC and e.path not in ours) for e in events)
        return self.known is None or bool(self.conflicts) or any(others)

    def ask(self) -> list[Line]:
        """For the journal: what is new, but for conflicts, which are part of the state."""
        before, self.known = self.known or (), findings()
        new = [finding for finding in self.known if finding not in before and finding.severity != "fatal"]
        return [Line(DEBUG if one.severity == "info" else WARNING, str(one), "neighbour") for one in new]


def findings() -> tuple[Finding, ...]:
    """What there is to tell, or why nobody could probe."""
    try:
        answer = Child(_probe).answer(LIMIT_S)
    except (Fault, OSError) as error:
        return (Finding("info", "other specs", f"cannot be looked at: {error}"),)
    found: tuple[Finding, ...] = freeze(tuple[Finding, ...], json.loads(answer))
    return found


def _probe() -> bytes:
    from cdi_refreshd.inspect import published, spec_directories  # noqa: PLC0415 - the parent is to stay small

    return to_json(tuple(one.finding for one in published.neighbours(spec_directories.gathered(SPEC_DIRECTORIES))))
