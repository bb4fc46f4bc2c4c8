"""Only a state document is taken for one, and `status` words it, or reports that it is damaged."""

import contextlib
import json

from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.report.lines import Pass
from cdi_refreshd.core.report.state_document import Life, document, is_one, worded

GOOD = document(Pass("ready", "2 GPUs"), Life(812, "2026-01-02T03:04:05Z"))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=9,
)


def test_the_document_that_the_daemon_writes_is_recognised():
    assert is_one(json.loads(json.dumps(GOOD)))


@given(JSON)
def test_any_other_document_is_refused(reported):
    assert not is_one(reported)


@given(st.sampled_from(sorted(GOOD)), JSON)
def test_a_document_with_one_arbitrary_value_is_printed_or_refused(key, value):
    reported = GOOD | {key: value}
    if is_one(reported):
        assert reported["pid"] + reported["counters"]["reloads"] >= 0
    with contextlib.suppress(KeyError, TypeError, ValueError):
        assert worded(reported, True)


def test_a_finding_that_is_all_of_the_reason_is_printed_once():
    full = Finding("fatal", "/run/cdi/nvidia.yaml", "cannot be written: no space left on device", "free some space")
    other = Finding("info", "/dev/nvidia-modeset", "is missing", "")
    done = Pass("failed", str(full), "/run/cdi/nvidia.yaml", findings=(full, other))
    printed = worded(document(done, Life(812, "2026-01-02T03:04:05Z")), True)
    assert printed.count("no space left on device") == 1
    assert "  info     /dev/nvidia-modeset: is missing" in printed
