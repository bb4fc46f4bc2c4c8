"""Spans of time as systemd writes them: 300, 300s, 5min, 1min 30s, 500ms. See systemd.time(7)."""

import re
from typing import NamedTuple

from cdi_refreshd.core.findings import UsageFault, quoted

US_PER_S = 1_000_000
_UNITS_US = {
    "us usec µs μs": 1,
    "ms msec": 1000,
    "s sec second seconds": US_PER_S,
    "m min minute minutes": 60 * US_PER_S,
    "h hr hour hours": 3600 * US_PER_S,
    "d day days": 86_400 * US_PER_S,
}
UNITS_US = {name: size for names, size in _UNITS_US.items() for name in names.split()}
SHOWN_IN = ("d", "h", "min", "s", "ms", "us")
_PART = re.compile(r"\s*([0-9]{1,12}(?:\.[0-9]{1,6})?)\s*([a-zµμ]*)")


class Span(NamedTuple):
    """The range of one setting. A number without a unit is in seconds."""

    low_s: float
    high_s: float

    def read(self, text: str) -> float:
        """Seconds, to the microsecond. Raises UsageFault."""
        total_us, at = 0, 0
        while at < len(text):
            part = _PART.match(text, at)
            unit_us = UNITS_US.get(part[2] or "s") if part else None
            if not part or not unit_us:
                raise UsageFault(
                    "", f"{quoted(text)} is not a span of time", "write it like 300, 5min, 1min 30s or 500ms"
                )
            total_us += round(float(part[1]) * unit_us)
            at = part.end()
        low_us, high_us = round(self.low_s * US_PER_S), round(self.high_s * US_PER_S)
        if not low_us <= total_us <= high_us:
            raise UsageFault("", f"{quoted(text)} is out of range", f"write {shown(low_us)} to {shown(high_us)}")
        return total_us / US_PER_S

    def show(self, value_s: float) -> str:
        return shown(round(value_s * US_PER_S))

    def plain(self, value_s: float) -> float:
        """As a number without a unit."""
        value_us = round(value_s * US_PER_S)
        return value_us / US_PER_S if value_us % US_PER_S else value_us // US_PER_S


def shown(value_us: int) -> str:
    """In the largest unit that needs no fraction."""
    if not value_us:
        return "0s"
    unit = next(unit for unit in SHOWN_IN if value_us % UNITS_US[unit] == 0)
    return f"{value_us // UNITS_US[unit]}{unit}"
