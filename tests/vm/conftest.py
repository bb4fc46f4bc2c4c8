"""`make vm-test` names this folder; who runs all other tests has no virtual machine to wait for."""

import pytest

from .command import table

TOLD = pytest.StashKey()


def pytest_ignore_collect(collection_path, config):
    named = any("tests/vm" in argument for argument in config.args)
    return True if collection_path.name.startswith("test_") and not named else None


def pytest_terminal_summary(terminalreporter, config):
    for line in table(config.stash.get(TOLD, [])):
        terminalreporter.write_line(line)
