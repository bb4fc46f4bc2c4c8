"""The machine boots with the package and container runtimes enabled: in time, in order, and without a red line."""

import pytest

from .command import booted
from .conftest import RESULTS
from .image import RELEASES
from .scenarios.booting import BOOTS

EVERY = [(debian, name) for debian in RELEASES for name, one in BOOTS.items() if debian in one.debian]


@pytest.mark.parametrize(("debian", "name"), EVERY, ids=[f"debian{debian}-{name}" for debian, name in EVERY])
def test_each_boot_ends_in_its_expected_state(debian, name, request):
    results, ended = booted(name, debian)
    request.config.stash.setdefault(RESULTS, []).extend(results)
    print(ended.log)
    assert ended.status == 0
    assert [one["scenario"] for one in results] == [name]
    assert not results[0]["wrong"]
