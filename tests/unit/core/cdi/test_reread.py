"""What we wrote ourselves is read back without PyYAML; what anybody else wrote never is."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.encode import to_yaml
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Mount, Spec
from cdi_refreshd.core.cdi.reread import own
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host.yaml_file import parse

from .specs import specs, texts

NODE = DeviceNode("/dev/nvidia0", major=195, minor=0, file_mode=0o666, permissions="rwm")
PLAIN = Spec(
    "nvidia.com/gpu",
    (Device("0", ContainerEdits(device_nodes=(NODE,))), Device("1:0", ContainerEdits(env=("A=b",)))),
    ContainerEdits(mounts=(Mount("/lib/a.so.580.95.05", "/lib/a.so.580.95.05", ("ro", "bind")),)),
    "0.5.0",
)


def test_a_spec_as_we_publish_them_is_read():
    assert own(to_yaml(PLAIN)) == PLAIN


@given(specs)
def test_what_is_read_is_what_yaml_readers_read(spec):
    try:
        data = to_yaml(spec)
    except Fault:
        assume(False)
    ours = own(data)
    if ours is not None:
        assert (ours, []) == decode_valid(parse(data, ""))


@given(st.integers(0, len(to_yaml(PLAIN))), texts, st.integers(0, 4))
def test_a_document_that_somebody_touched_is_read_as_yaml_readers_read_it_or_not_at_all(at, text, gone):
    data = to_yaml(PLAIN)
    changed = data[:at] + text.encode(errors="ignore") + data[at + gone :]
    ours = own(changed)
    if ours is not None:
        assert (ours, []) == decode_valid(parse(changed, ""))


@pytest.mark.parametrize(
    "data", [b"", b"---\n", b"---\n\n", b"---\nkind\n", b"---\n- a\n", b"\xff", b"---\na:\n", b"{}"]
)
def test_anything_else_is_not_ours(data):
    assert own(data) is None
