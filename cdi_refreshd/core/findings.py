"""What is wrong, where, and what to do about it: the one shape in which every layer says so."""

from collections.abc import Iterable
from typing import NamedTuple

SEVERITIES = ("fatal", "degraded", "info")
"""fatal: a container would not start, or would lose CUDA. degraded: something is left out. info: worth knowing."""
LEFT_OUT = ", so it is left out"


class Finding(NamedTuple):
    severity: str
    place: str
    """What it is about: a path, a device, or a place in a document (`devices[3].name`)."""
    fact: str
    hint: str = ""

    def __str__(self) -> str:
        text = f"{self.place}: {self.fact}"
        return f"{text}; {self.hint}" if self.hint else text


class Fault(Exception):
    """Something that ends what we were doing: a place, a fact, a hint, as one line."""

    def __init__(self, place: str, fact: str, hint: str = "") -> None:
        self.finding = Finding("fatal", place, fact, hint)
        super().__init__(str(self.finding))


class UsageFault(Fault):
    """The caller asked for something that there is not: exit status 2."""


def together(findings: Iterable[Finding]) -> str:
    """The first, and with it the places of all that say the same: `GPU 0, GPU 1: does not answer NVML; see dmesg`."""
    first, *others = findings
    places = [first.place, *(other.place for other in others if other[2:] == first[2:])]
    return str(first._replace(place=", ".join(places), fact=first.fact.removesuffix(LEFT_OUT)))


def is_said(finding: Finding, text: str) -> bool:
    """Whether a text that was made of findings has this one, too."""
    named = any(f"{finding.place}{end}" in text for end in ":,")
    return named and finding.fact.removesuffix(LEFT_OUT) in text


def printable(text: str) -> str:
    """One line that does nothing to a terminal, whatever stands in a spec."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def worst(findings: Iterable[Finding]) -> str:
    """The gravest severity among them, or "" where there is none."""
    found = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in found), "")
