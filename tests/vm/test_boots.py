"""The machine boots with the package installed and engines enabled: in time, in order, and without a red line."""

import pytest

from .command import booted
from .conftest import TOLD
from .scenarios.booting import BOOTS


@pytest.mark.parametrize("name", BOOTS)
def test_a_boot_comes_up_as_promised(name, request):
    told, ended = booted(name)
    request.config.stash.setdefault(TOLD, []).extend(told)
    print(ended.log)
    assert ended.status == 0
    assert [one["scenario"] for one in told] == [name]
    assert not told[0]["wrong"]
