"""The machine boots with the package installed and engines enabled: in time, in order, and without a red line."""

import pytest

from .command import booted
from .conftest import TOLD
from .image import RELEASES
from .scenarios.booting import BOOTS

EVERY = [(debian, name) for debian in RELEASES for name, one in BOOTS.items() if debian in one.debian]


@pytest.mark.parametrize(("debian", "name"), EVERY, ids=[f"debian{debian}-{name}" for debian, name in EVERY])
def test_a_boot_comes_up_as_promised(debian, name, request):
    told, ended = booted(name, debian)
    request.config.stash.setdefault(TOLD, []).extend(told)
    print(ended.log)
    assert ended.status == 0
    assert [one["scenario"] for one in told] == [name]
    assert not told[0]["wrong"]
