"""Reads back what core/cdi/encode.py writes, and nothing else: in a tenth of the time of importing PyYAML.

Nothing depends on how well this understands YAML: what was read is rendered again, and counts only if that gives the
same bytes. All other documents are PyYAML's.
"""

from typing import Any

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.encode import to_yaml
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.findings import Fault

EMPTY: dict[str, Any] = {"[]": [], "{}": {}, "true": True, "false": False}


def own(data: bytes) -> Spec | None:
    """The valid spec that renders to just these bytes; None where there is none."""
    try:
        lines = data.decode().split("\n")
        if lines[0] != "---" or lines[-1] != "":
            return None
        value, end = _mapping(lines[1:-1], 0, 0)
        spec, _ = decode_valid(value)
        return spec if spec is not None and end == len(lines) - 2 and to_yaml(spec) == data else None
    except (ValueError, IndexError, RecursionError, Fault):
        return None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _mapping(lines: list[str], at: int, indent: int) -> tuple[dict[str, Any], int]:
    found: dict[str, Any] = {}
    while at < len(lines) and _indent(lines[at]) == indent and lines[at][indent] != "-":
        key, colon, rest = lines[at][indent:].partition(":")
        if not colon or key[0] in '"?' or key in found:
            raise ValueError("not our own")
        at += 1
        if rest:
            found[key] = _scalar(rest[1:])
        elif lines[at].lstrip(" ")[0] == "-":
            found[key], at = _sequence(lines, at, _indent(lines[at]))
        else:
            found[key], at = _mapping(lines, at, _indent(lines[at]))
    return found, at


def _sequence(lines: list[str], at: int, indent: int) -> tuple[list[Any], int]:
    found: list[Any] = []
    while at < len(lines) and _indent(lines[at]) == indent and lines[at][indent] == "-":
        item = lines[at][indent + 2 :]
        if item[0] != '"' and (": " in item or item.endswith(":")):
            lines[at] = " " * (indent + 2) + item
            value, at = _mapping(lines, at, indent + 2)
            found.append(value)
        else:
            found.append(_scalar(item))
            at += 1
    return found, at


def _scalar(text: str) -> Any:
    if text[0] == '"':
        return text[1:-1]
    if text in EMPTY:
        return EMPTY[text]
    return int(text) if text.removeprefix("-").isdigit() else text
