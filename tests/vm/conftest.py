"""`make vm-test` names this folder; the other tests need no virtual machine."""

import pytest

from .command import table

RESULTS = pytest.StashKey()


def pytest_ignore_collect(collection_path, config):
    named = any("tests/vm" in argument for argument in config.args)
    return True if collection_path.name.startswith("test_") and not named else None


def pytest_terminal_summary(terminalreporter, config):
    for line in table(config.stash.get(RESULTS, [])):
        terminalreporter.write_line(line)
