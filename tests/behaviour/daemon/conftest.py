import pytest

from tests.behaviour.daemon.running import CASE, Running
from tests.machine import booted


@pytest.fixture
def machine():
    with booted(CASE) as made:
        yield made


@pytest.fixture
def start(machine):
    """start(config="", ...) starts a daemon in the machine; it is stopped at the end."""
    running = []

    def begin(**options):
        running.append(Running(options.pop("machine", machine), **options))
        return running[-1]

    yield begin
    for daemon in running:
        daemon.close()
