"""How findings are reported: grouped and one line each for people, and one JSON document."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.checks.registry import RuleFinding
from cdi_refreshd.core.checks.subject import listed
from cdi_refreshd.core.findings import SEVERITIES, printable, reported

JSON_VERSION = 1


class Group(NamedTuple):
    """Findings that differ only in their places."""

    rule: str
    severity: str
    places: tuple[str, ...]
    fact: str
    hint: str
    file: str
    devices: tuple[str, ...]


def grouped(found: Iterable[RuleFinding]) -> list[Group]:
    """The most severe first, else in the order in which they were found."""
    groups: dict[tuple[object, ...], list[RuleFinding]] = {}
    for one in found:
        finding = one.finding
        groups.setdefault((one.rule, finding.severity, finding.fact, finding.hint, one.file), []).append(one)
    made = []
    for alike in groups.values():
        first = alike[0].finding
        places = tuple(dict.fromkeys(one.finding.place for one in alike))
        devices = dict.fromkeys(name for one in alike for name in one.devices)
        concerned = tuple(devices) if all(one.devices for one in alike) else ()
        made.append(Group(alike[0].rule, first.severity, places, first.fact, first.hint, alike[0].file, concerned))
    return sorted(made, key=lambda group: SEVERITIES.index(group.severity))


def line(group: Group) -> str:
    """One line for a reader: severity, place, fact, hint. The fact is that of each place."""
    remarks = [f"and {len(group.places) - 1} more"] if len(group.places) > 1 else []
    remarks += [listed(list(group.devices))] if group.devices and group.rule.startswith(("node", "mount")) else []
    place = f"{group.places[0]} ({'; '.join(remarks)})" if remarks else group.places[0]
    text = f"{group.severity:<9} {place}: {group.fact}"
    return printable(f"{text}; {group.hint}" if group.hint else text)


def at_least(severity: str, found: Iterable[RuleFinding]) -> list[RuleFinding]:
    wanted = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return [one for one in found if one.finding.severity in wanted]


def as_json(found: Iterable[RuleFinding], files: list[str], devices: int, level: str, status: int) -> dict[str, object]:
    """The document of `check --json`; docs/check-json.md describes its keys."""
    entries = []
    for one in found:
        entry = {"rule": one.rule, **reported(one.finding), "file": one.file or None, "devices": list(one.devices)}
        entries.append(entry)
    counts = {severity: sum(entry["severity"] == severity for entry in entries) for severity in SEVERITIES}
    return {
        "version": JSON_VERSION,
        "status": status,
        "level": level,
        "files": files,
        "devices": devices,
        "counts": counts,
        "findings": entries,
    }
