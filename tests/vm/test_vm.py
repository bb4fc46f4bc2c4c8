"""The daemon in a virtual machine, as a service of a real systemd, while hardware, driver and package change.

What an owner does is played on the oldest release, and on each with VM_EVERYTHING=1: twenty minutes more. Containers
are played on each, since their runtimes differ.
"""

import functools
import os

import pytest

from .command import OLDEST, scenarios
from .conftest import RESULTS
from .image import RELEASES
from .scenarios import played

PLAYED = [
    (debian, machine)
    for debian in RELEASES
    for machine in played(debian)
    if debian == OLDEST or machine != "owner" or os.environ.get("VM_EVERYTHING")
]
EVERY = [(debian, machine, name) for debian, machine in PLAYED for name in played(debian)[machine]]


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
def test_after_each_scenario_spec_and_systemd_are_right_in_time(results, debian, machine, name):
    every, ended = results(debian, machine)
    assert ended.status == 0, ended.log
    assert name in every, "it was not played"
    assert not every[name]["wrong"]
