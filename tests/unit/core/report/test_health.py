"""The health line: a status, a reason and at most 79 characters, for each state."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.refresh.states import EXIT_STATUS
from cdi_refreshd.core.report import health
from cdi_refreshd.core.report.health import Health


@pytest.mark.parametrize(
    ("state", "status", "reason"),
    [
        ("no-gpu", 0, "NoGPU"),
        ("waiting-driver", 1, "WaitingDriver"),
        ("waiting-userspace", 1, "WaitingUserspace"),
        ("driver-mismatch", 1, "DriverMismatch"),
        ("ready", 0, "Ready"),
        ("degraded", 1, "Degraded"),
        ("failed", 1, "Failed"),
    ],
)
def test_each_state_has_a_status_and_a_word(state, status, reason):
    assert health.line(health.health(state, "2 GPUs")) == f"{status} {reason} 2 GPUs\n"


def test_every_state_has_a_word():
    assert set(health.REASONS) == set(EXIT_STATUS)


def test_a_mismatch_names_both_versions():
    seen = health.health("driver-mismatch", "long", module="580.95.05", libraries="590.10")
    assert health.line(seen) == "1 DriverMismatch module 580.95.05 libraries 590.10\n"


def test_before_the_first_probe_nothing_is_known():
    assert health.line(health.NOT_PROBED) == "2 Unknown the first probe has not ended\n"


@given(st.sampled_from(sorted(EXIT_STATUS)), st.text())
def test_any_reason_gives_one_short_ascii_line_that_can_be_read_back(state, reason):
    line = health.line(health.health(state, reason))
    assert line.endswith("\n") and line.count("\n") == 1
    assert line.isascii() and line[:-1].isprintable()
    assert len(line) - len("0 ") - 1 < 80
    back = health.parsed(line)
    assert back is not None
    assert (back.status, back.reason) == health.REASONS[state]


@pytest.mark.parametrize("text", ["", "\n", "3 Ready x", "0", "0 ", "ok Ready", "0 Ready a\nb"])
def test_text_that_is_not_a_health_line_is_refused(text):
    assert health.parsed(text) is None


def test_a_line_is_read_back():
    assert health.parsed("0 Ready 2 GPUs\n") == Health(0, "Ready", "2 GPUs")
