"""The daemon in a virtual machine, as a service of a real systemd, while hardware, driver and package change."""

import functools

import pytest

from .command import scenarios
from .conftest import RESULTS
from .image import RELEASES
from .scenarios import played

EVERY = [(debian, machine, name) for debian in RELEASES for machine, names in played(debian).items() for name in names]


@pytest.fixture(scope="module")
def results(request):
    """The results of a machine's scenarios, which are played when the first of them is asked for."""

    @functools.cache
    def of(debian, machine):
        every, ended = scenarios(debian, played(debian)[machine])
        request.config.stash.setdefault(RESULTS, []).extend(every)
        return {one["scenario"]: one for one in every}, ended

    return of


@pytest.mark.parametrize(("debian", "machine", "name"), EVERY, ids=[f"debian{one[0]}-{one[2]}" for one in EVERY])
def test_the_spec_and_systemd_say_the_truth_in_time(results, debian, machine, name):
    every, ended = results(debian, machine)
    assert ended.status == 0, ended.log
    assert name in every, "it was not played"
    assert not every[name]["wrong"]
