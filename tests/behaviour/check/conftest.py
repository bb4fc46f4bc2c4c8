import pytest
from hypothesis import settings

from .hosts import CASE, Host, booted

# How long an example takes says nothing about it on a busy machine.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="module")
def _host():
    with booted(CASE) as machine:
        yield Host(machine)


@pytest.fixture
def host(_host):
    """One machine a module; each test starts with a clean one that has published its spec."""
    _host.clean()
    yield _host
