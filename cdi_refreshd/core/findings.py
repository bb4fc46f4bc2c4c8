"""What is wrong, where, and what to do about it: the record that every layer reports with."""

from collections.abc import Iterable
from typing import NamedTuple

SEVERITIES = ("fatal", "degraded", "info")
"""fatal: a container would not start, or would lose CUDA. degraded: something is left out. info: worth knowing."""
SHOWN_AT_MOST = 64
"""Characters of foreign text, such as a key of a document, in a message."""


class Finding(NamedTuple):
    severity: str
    place: str
    """What it is about: a path, a device, or a place in a document (`devices[3].name`)."""
    fact: str
    hint: str = ""
    left_out: tuple[str, ...] = ()
    """Names of the device that is left out of the spec because of it: index, UUID."""
    rule: str = ""
    """The check rule that found it, "" for the probe."""

    @property
    def sentence(self) -> str:
        """The fact, and that the device is left out."""
        return f"{self.fact}, so it is left out" if self.left_out else self.fact

    def __str__(self) -> str:
        text = f"{self.place}: {self.sentence}"
        return printable(f"{text}; {self.hint}" if self.hint else text)


class Fault(Exception):
    """An error that ends the operation, as one line: place, fact, hint."""

    def __init__(self, place: str, fact: str, hint: str = "") -> None:
        self.finding = Finding("fatal", place, fact, hint)
        super().__init__(str(self.finding))


class UsageFault(Fault):
    """The user asked for something that does not exist: exit status 2."""


def together(findings: Iterable[Finding]) -> str:
    """The first, with the places of all that have the same fact: `GPU 0, GPU 1: does not answer NVML; see dmesg`."""
    alike_ones = alike(findings)
    places = ", ".join(one.place for one in alike_ones)
    return str(alike_ones[0]._replace(place=places, left_out=()))


def alike(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """The first, and those that have the same fact about other places."""
    first, *others = findings
    return (first, *(other for other in others if (other.fact, other.hint) == (first.fact, first.hint)))


def reported(finding: Finding) -> dict[str, str]:
    """As an object of JSON documents."""
    return {"severity": finding.severity, "place": finding.place, "fact": finding.sentence, "hint": finding.hint}


def quoted(text: str) -> str:
    """Foreign text, in quotes: ASCII, on one line, shortened."""
    return ascii(text if len(text) <= SHOWN_AT_MOST else f"{text[:SHOWN_AT_MOST]}...")


def shown(text: str) -> str:
    """The same without quotes."""
    return quoted(text)[1:-1]


def printable(text: str) -> str:
    """One line without control characters, so that a spec's text cannot harm a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def printable_lines(text: str) -> str:
    """The same for text of several lines."""
    return "\n".join(map(printable, text.split("\n")))


def worst(findings: Iterable[Finding]) -> str:
    """The highest severity among them, or "" if there are none."""
    found = {finding.severity for finding in findings}
    return next((severity for severity in SEVERITIES if severity in found), "")
