import pytest

from tests.machine import booted

from .hosts import Host, case


@pytest.fixture(scope="module")
def _host():
    with booted(case()) as machine:
        yield Host(machine)


@pytest.fixture
def host(_host):
    """One machine for each module, since boot and first ldconfig cost more than a test; each test starts clean."""
    _host.become(case())
    _host.shell("rm -rf /run/cdi /run/cdi-refreshd /run/fake-nvml.opens /etc/cdi/*")
    yield _host
