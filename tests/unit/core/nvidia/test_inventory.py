"""What the child answers is an inventory, or a fault."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.inventory import (
    Channel,
    Inventory,
    Library,
    Link,
    Tegra,
    Wsl,
    from_json,
    is_mig_index,
    to_json,
)
from tests.unit.core.inventories import gpu, inventory, mig

FULL = inventory(
    gpu(drm=True, coherent=True),
    gpu(1, coherent=False),
    migs=(mig(),),
    channels=(Channel("007", "/dev/x"),),
    tegra=Tegra(chains=(Link("/a", "b"),), files=("/x",)),
    wsl=Wsl(libraries=(Library("/x"),)),
    findings=(Finding("degraded", "GPU 2", "does not answer", "see"),),
)


def test_an_inventory_reads_back_from_json_unchanged():
    assert from_json(to_json(FULL)) == FULL


@pytest.mark.parametrize(
    "answer",
    [b"", b"{}", b"[]", b"[1]", b"null", b"\xff", b'"x"', b"[" * 100_000, to_json(FULL)[:-1], to_json(FULL) + b"]"],
)
def test_an_answer_that_is_not_an_inventory_is_one_fault(answer):
    with pytest.raises(Fault, match=r"^probe: the child's answer is not an inventory"):
        from_json(answer)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=2),
)


@given(st.integers(0, len(Inventory._fields) - 1), json_values)
def test_a_field_of_the_wrong_kind_is_a_fault_and_nothing_else(field, value):
    answer = json.loads(to_json(FULL))
    answer[field] = value
    with contextlib.suppress(Fault):
        assert isinstance(from_json(json.dumps(answer).encode()), Inventory)


@pytest.mark.parametrize("value", ["0", True, 0.0, None, [], {}])
def test_a_value_that_is_not_a_number_is_refused_where_one_is_expected(value):
    answer = json.loads(to_json(FULL))
    answer[Inventory._fields.index("gpus")][0][0] = value
    with pytest.raises(Fault, match="int expected, not "):
        from_json(json.dumps(answer).encode())


@pytest.mark.parametrize("value", [0, None, ["x"], {}])
def test_a_value_that_is_not_text_is_refused_where_text_is_expected_also_in_a_list(value):
    answer = json.loads(to_json(FULL))
    for place in ("mode", "files"):
        changed = answer.copy()
        changed[Inventory._fields.index(place)] = [value] if place == "files" else value
        with pytest.raises(Fault, match="str expected, not "):
            from_json(json.dumps(changed).encode())


def test_a_field_that_may_be_unknown_may_be_null():
    answer = json.loads(to_json(FULL))
    answer[Inventory._fields.index("gpus")][0][6] = None
    assert from_json(json.dumps(answer).encode()).gpus[0].coherent is None


@pytest.mark.parametrize(
    ("name", "is_index"),
    [
        ("0:1", True),
        ("3:*", True),
        ("0", False),
        ("0000:41:00.0", False),
        ("MIG-3:1", False),
        ("", False),
        (":", False),
    ],
)
def test_the_index_of_a_mig_device_is_told_from_other_names(name, is_index):
    assert is_mig_index(name) is is_index
