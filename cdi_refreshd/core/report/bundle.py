"""For a bug report: records as JSON, and placeholders for what would identify the machine."""

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any

JSON_VERSION = 1
UUID = re.compile(r"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}", re.ASCII)
UUID_STAND_IN = "00000000-0000-4000-8000-{:012x}"
HOST_STAND_IN, HOME_STAND_IN = "host", "/home/user"
HOME = re.compile(r"/home/[^/\s\"':,;]+")
WORDS = {
    "all",
    "card",
    "cdi",
    "cuda",
    "current",
    "default",
    "device",
    "devices",
    "dev",
    "dri",
    "driver",
    "etc",
    "gpu",
    "host",
    "lib",
    "localhost",
    "linux",
    "nvidia",
    "nvml",
    "opt",
    "render",
    "run",
    "server",
    "tegra",
    "tmp",
    "user",
    "usr",
    "var",
    "wsl",
}
"""Host names that are words of every such document: they identify nobody, and replacing them would ruin it."""


def named(value: Any) -> Any:
    """A record as an object with its fields' names, and so the records in it."""
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {field: named(getattr(value, field)) for field in value._fields}
    return [named(item) for item in value] if isinstance(value, tuple | list) else value


def without_private(document: Any, host_names: Iterable[str]) -> Any:
    """The document with UUIDs, names of the host and of home directories replaced, each consistently.

    UUIDs are numbered in their sort order: what is sorted by them stays sorted.
    """
    found = sorted({uuid for text in _texts(document) for uuid in UUID.findall(text)})
    uuids = {uuid: UUID_STAND_IN.format(number) for number, uuid in enumerate(found)}
    hosts = _host_pattern(host_names)

    def replaced(text: str) -> str:
        text = UUID.sub(lambda match: uuids[match[0]], text)
        text = HOME.sub(HOME_STAND_IN, text)
        return hosts.sub(HOST_STAND_IN, text) if hosts else text

    return _each_text(document, replaced)


def _host_pattern(names: Iterable[str]) -> re.Pattern[str] | None:
    """Each whole name, and its part before the first dot; the longest first."""
    every = {part for name in names for part in (name, name.partition(".")[0])}
    private = sorted((name for name in every if name and name.lower() not in WORDS), key=len, reverse=True)
    alternatives = "|".join(map(re.escape, private))
    return re.compile(rf"(?<![\w-])(?:{alternatives})(?![\w-])", re.IGNORECASE) if private else None


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _texts(item)


def _each_text(value: Any, change: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key): _each_text(item, change) for key, item in value.items()}
    return [_each_text(item, change) for item in value] if isinstance(value, list) else value
