import pytest
from hypothesis import settings

from .hosts import CASE, Host, booted

# On a busy machine the time of an example means nothing.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


@pytest.fixture(scope="module")
def _host():
    with booted(CASE) as machine:
        yield Host(machine)


@pytest.fixture
def host(_host):
    """One machine for each module; each test starts with it clean, and with its spec published."""
    _host.clean()
    yield _host
