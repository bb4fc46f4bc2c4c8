"""From what stands in the spec directories and on the host, to everything that is wrong, and how it is told."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.cdi.names import QualifiedName
from cdi_refreshd.core.cdi.resolve import Definition, SpecFile
from cdi_refreshd.core.checks import nvidia_rules
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.host_rules import Found, Subject, verify
from cdi_refreshd.core.checks.spec_rules import listed, whole
from cdi_refreshd.core.findings import SEVERITIES, Finding, printable

JSON_VERSION = 1
UNREADABLE_BY_ALL = "is not readable for everybody (mode {:04o}): without root, podman finds no devices in it"


class Group(NamedTuple):
    """Findings that differ in their places alone."""

    rule: str
    severity: str
    places: tuple[str, ...]
    fact: str
    hint: str
    file: str
    devices: tuple[str, ...]


def subjects(files: Iterable[SpecFile], definitions: Iterable[Definition]) -> list[Subject]:
    """Of each file what containers get from it; a file of which they get nothing is none."""
    resolved = {(one.file, one.name) for one in definitions if one.state == "ok"}
    found = []
    for file in files:
        spec = file.spec
        devices = tuple(
            device
            for device in spec.devices
            if (file.path, str(QualifiedName(spec.vendor, spec.class_name, device.name))) in resolved
        )
        if devices:
            found.append(Subject(file.path, spec, devices))
    return found


def of_specs(specs: Iterable[Subject], host: Host) -> list[Found]:
    return [found for of in specs for found in (*verify(of, host), *whole(of, host), *nvidia_rules.rules(of, host))]


def conflicts(definitions: Iterable[Definition]) -> list[Found]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in definitions:
        if one.state == "conflict" and one.file == one.because_of[0]:
            groups.setdefault(one.because_of, []).append(one.name)
    told = []
    for files, names in groups.items():
        fact = f"and {' and '.join(files[1:])} define the same devices, so nobody gets {listed(names)}"
        finding = Finding("fatal", files[0], fact, "remove one of the files, or cdi-refreshd adopt")
        told.append(Found("conflict", finding, files[0], tuple(names)))
    return told


def shadowed(definitions: Iterable[Definition], same: Iterable[tuple[str, str]]) -> list[Found]:
    """`same` has pairs of paths that are one file: that one hides itself is nothing to tell."""
    groups: dict[tuple[str, str], list[str]] = {}
    for one in definitions:
        if one.state == "shadowed" and (one.file, one.because_of[0]) not in set(same):
            groups.setdefault((one.file, one.because_of[0]), []).append(one.name)
    told = []
    for (file, winner), names in groups.items():
        finding = Finding("info", file, f"{winner} wins for {listed(names)}", "remove the file that is not wanted")
        told.append(Found("shadowed", finding, file, tuple(names)))
    return told


def grouped(found: Iterable[Found]) -> list[Group]:
    """The gravest first, else in the order in which they were found."""
    groups: dict[tuple[object, ...], list[Found]] = {}
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
    """For people: what it is about comes after its weight, the hint last."""
    only = f" ({listed(list(group.devices))})" if group.devices and group.rule.startswith(("node", "mount")) else ""
    places = group.places[0] if len(group.places) == 1 else f"{group.places[0]} and {len(group.places) - 1} more"
    fact = (
        group.fact.replace("is ", "are ", 1) if len(group.places) > 1 and group.fact.startswith("is ") else group.fact
    )
    text = f"{group.severity:<9} {places}{only}: {fact}"
    return printable(f"{text}; {group.hint}" if group.hint else text)


def at_least(severity: str, found: Iterable[Found]) -> list[Found]:
    wanted = SEVERITIES[: SEVERITIES.index(severity) + 1]
    return [one for one in found if one.finding.severity in wanted]


def as_json(found: Iterable[Found], files: list[str], devices: int, level: str, status: int) -> dict[str, object]:
    """The document of `check --json`; docs/check-json.md tells its keys."""
    told = []
    for one in found:
        severity, place, fact, hint, _ = one.finding
        told.append(
            {
                "rule": one.rule,
                "severity": severity,
                "place": place,
                "fact": fact,
                "hint": hint,
                "file": one.file or None,
                "devices": list(one.devices),
            }
        )
    counts = {severity: sum(entry["severity"] == severity for entry in told) for severity in SEVERITIES}
    return {
        "version": JSON_VERSION,
        "status": status,
        "level": level,
        "files": files,
        "devices": devices,
        "counts": counts,
        "findings": told,
    }
