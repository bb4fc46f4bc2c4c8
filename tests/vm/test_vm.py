"""The daemon in a virtual machine, as a service of a real systemd, while its owner does to it what owners do."""

import pytest

from .command import scenarios
from .conftest import TOLD
from .scenarios import SCENARIOS


@pytest.fixture(scope="module")
def told(request):
    every, ended = scenarios()
    request.config.stash.setdefault(TOLD, []).extend(every)
    assert ended.status == 0, ended.log
    return {one["scenario"]: one for one in every}


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_spec_and_systemd_say_the_truth_in_time(told, name):
    assert name in told, "it was not played"
    assert not told[name]["wrong"]
