"""Whatever the probe's child answers, the parent has a verdict and no traceback."""

import contextlib
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdi_refreshd import pipeline
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.inventory import (
    Channel,
    InstalledRuntime,
    Inventory,
    Library,
    Link,
    Node,
    Tegra,
    Wsl,
    from_json,
    to_json,
)
from cdi_refreshd.core.refresh.states import EXIT_STATUS, Verdict
from cdi_refreshd.probe.request import Request
from tests.unit.core.inventories import gpu, inventory, mig

FULL = inventory(
    gpu(drm=True, coherent=True),
    gpu(1, coherent=False),
    migs=(mig(),),
    channels=(Channel("007", "/dev/x"),),
    tegra=Tegra(nodes=(Node("/dev/nvmap", 10, 1, 0o660, 0, 44),), chains=(Link("/a", "b"),), files=("/x",)),
    wsl=Wsl(libraries=(Library("/x"),)),
    runtimes=(InstalledRuntime("podman", "/usr/bin/podman", 1, 1, "podman version 4.3.1"),),
    findings=(Finding("degraded", "GPU 2", "does not answer", "see"),),
)
MODES = ["nvml", "csv", "wsl", "management", "gds", "imex", "", "none"]
TEXTS = st.text(max_size=8) | st.sampled_from(["\ud800", "\udc80", "/", "..", "\n", "\x1b[31m", "a" * 5000, "all", "0"])
NUMBERS = st.integers(-(1 << 64), 1 << 64) | st.sampled_from([-1, 0, 1, 1 << 31, (1 << 63) - 1])
JSON = st.recursive(st.none() | st.booleans() | st.floats() | NUMBERS | TEXTS, st.lists, max_leaves=5)


def leaves(value, place=()):
    """The path of each scalar in a document of lists."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from leaves(item, (*place, number))
    else:
        yield place


PLACES = list(leaves(json.loads(to_json(FULL))))


def altered(value, place, new):
    return [altered(item, place[1:], new) if n == place[0] else item for n, item in enumerate(value)] if place else new


def of_its_kind(place):
    found = json.loads(to_json(FULL))
    for number in place:
        found = found[number]
    return {str: TEXTS, int: NUMBERS, bool: st.booleans()}.get(type(found), JSON)


class Probe:
    """Of a child that has ended."""

    def __init__(self, answer):
        self.answer, self.left = lambda: answer, lambda: 0


def judged(answer, gated=False):
    """By the answer alone: this host is not inspected."""
    known = pipeline.Known(examine=lambda written: [], refuses=False)
    return pipeline.judge(Probe(answer), Request(Choices(), gated), pipeline.Target("/nowhere/x.yaml", "yaml"), known)


def test_an_unaltered_inventory_is_understood():
    assert from_json(to_json(FULL)) == FULL


@given(st.data(), st.sampled_from(MODES), st.booleans())
@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_an_altered_inventory_still_gives_a_verdict_that_can_be_rendered(data, mode, gated):
    document = altered(json.loads(to_json(FULL)), (Inventory._fields.index("mode"),), mode)
    for place in data.draw(st.lists(st.sampled_from(PLACES), max_size=3)):
        with contextlib.suppress(TypeError):  # an earlier change removed it
            document = altered(document, place, data.draw(of_its_kind(place) | JSON))
    answer = json.dumps(document).encode()
    verdict = judged(answer, gated)
    assert isinstance(verdict, Verdict)
    assert verdict.state in EXIT_STATUS
    for _, content in pipeline.documents(verdict.spec, "/x.yaml", "yaml") if verdict.spec else ():
        assert content


@given(st.binary(max_size=40) | JSON.map(lambda value: json.dumps(value).encode()))
@settings(max_examples=100, deadline=None)
def test_an_answer_that_is_not_an_inventory_fails_the_pass(answer):
    assert judged(answer).state == "failed"


@pytest.mark.parametrize("seen", [Inventory(), Inventory(mode="none"), FULL._replace(mode="none")])
def test_an_inventory_of_an_unknown_mode_fails_the_pass(seen):
    verdict = judged(to_json(seen))
    assert (verdict.state, verdict.spec) == ("failed", None)
    assert "the child's answer has a mode that there is not: '" in verdict.reason


def test_an_inventory_with_a_number_of_64_bits_is_refused():
    document = json.loads(to_json(FULL))
    document[Inventory._fields.index("gpus")][0][0] = 1 << 63
    with pytest.raises(Fault, match="out of range"):
        from_json(json.dumps(document).encode())
