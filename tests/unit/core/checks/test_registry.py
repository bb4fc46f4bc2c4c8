"""The registry of check rules: the documentation and the code agree with it."""

import pathlib
import re

from cdi_refreshd.core.checks.registry import RULES, found
from cdi_refreshd.core.findings import SEVERITIES

TOP = pathlib.Path(__file__).parents[4]
PACKAGE = TOP / "cdi_refreshd"


def test_the_documentation_has_each_rule_with_its_severity_and_text():
    text = (TOP / "docs/check-json.md").read_text()
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (\w+) \| (.+) \|$", text, re.MULTILINE)
    assert rows == [(name, rule.severity, rule.says) for name, rule in RULES.items()]


def test_each_rule_is_used_and_each_that_is_used_is_registered():
    """By name, as a word in quotes, somewhere in the code besides the registry."""
    modules = [path for path in PACKAGE.rglob("*.py") if path.name != "registry.py"]
    code = "\n".join(path.read_text() for path in modules)
    assert [name for name in RULES if f'"{name}"' not in code] == []
    used = re.findall(r'\bfound\(\s*"([a-z0-9-]+)"', code)
    assert set(used) - set(RULES) == set()


def test_a_finding_has_the_one_severity_of_its_rule():
    assert {rule.severity for rule in RULES.values()} == set(SEVERITIES)
    assert all(found(name, "/a", "is so").finding.severity == rule.severity for name, rule in RULES.items())
