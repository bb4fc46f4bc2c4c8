"""The published spec stays where the new one is no better."""

import pytest

from tests.behaviour.pipeline.hosts import GPU, PUBLISHED, Host, case, state_of
from tests.machine import booted

pytestmark = pytest.mark.root


@pytest.mark.parametrize("damaged", ["cdiVersion: 0.5.0\nkind: nv", "", "kind: nvidia.com/gpu\ndevices: []\n"])
def test_a_file_that_is_not_a_spec_is_replaced_even_if_containers_cannot_start(damaged):
    with booted(case(GPU, path_bins=[])) as machine:
        host = Host(machine)
        assert state_of(host.oneshot("--hooks=nvidia")) == "degraded"
        good = host.path(PUBLISHED).read_bytes()
        host.path(PUBLISHED).write_text(damaged)
        assert state_of(host.oneshot("--hooks=nvidia")) == "degraded"
        assert host.path(PUBLISHED).read_bytes() == good
