"""The daemon in a virtual machine, as a service of a real systemd, while its owner does to it what owners do."""

import functools

import pytest

from .command import scenarios
from .conftest import TOLD
from .image import RELEASES
from .scenarios import played

EVERY = [(debian, machine, name) for debian in RELEASES for machine, names in played(debian).items() for name in names]


@pytest.fixture(scope="module")
def told(request):
    """What the scenarios of a machine told, played when the first of them is asked for."""

    @functools.cache
    def of(debian, machine):
        every, ended = scenarios(debian, played(debian)[machine])
        request.config.stash.setdefault(TOLD, []).extend(every)
        return {one["scenario"]: one for one in every}, ended

    return of


@pytest.mark.parametrize(("debian", "machine", "name"), EVERY, ids=[f"debian{one[0]}-{one[2]}" for one in EVERY])
def test_the_spec_and_systemd_say_the_truth_in_time(told, debian, machine, name):
    every, ended = told(debian, machine)
    assert ended.status == 0, ended.log
    assert name in every, "it was not played"
    assert not every[name]["wrong"]
