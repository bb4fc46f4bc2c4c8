"""Writes the table of check rules into docs/check-json.md, from the registry."""

import re
import sys
from pathlib import Path

DOCUMENT = Path(__file__).with_name("check-json.md")
sys.path.insert(0, str(DOCUMENT.parents[1]))

from cdi_refreshd.core.checks.registry import RULES  # noqa: E402 - from this checkout

TABLE = re.compile(r"(?<=\| rule \| severity \| says that \|\n\|---\|---\|---\|\n)(?:\|.*\n)+")


def document() -> str:
    rows = "".join(f"| `{name}` | {rule.severity} | {rule.says} |\n" for name, rule in RULES.items())
    return TABLE.sub(rows.replace("\\", r"\\"), DOCUMENT.read_text())


if __name__ == "__main__":
    DOCUMENT.write_text(document())
