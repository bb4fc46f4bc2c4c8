"""The journal's lines about a pass, and their priorities."""

import re
from pathlib import Path

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.report.lines import DEBUG, INFO, MESSAGE_IDS, NOTICE, WARNING, Pass, is_unsaid, lines, waited

README = Path(__file__).parents[4] / "README.md"

READY = Pass("ready", "2 GPUs", "/run/cdi/nvidia.yaml", stands=True, changed=True)
MISSING = Finding("degraded", "/dev/nvidia-modeset", "is missing")
OTHER = Finding("degraded", "/dev/nvidia-uvm", "is missing")
WORSE = READY._replace(state="degraded", reason=f"2 GPUs; {MISSING}", findings=(MISSING, OTHER), in_reason=(MISSING,))


def lines_of(done, before=None):
    return [(line.priority, line.text.partition(" (")[0]) for line in lines(done, before)]


def test_a_change_is_logged_with_the_priority_of_its_state():
    assert lines_of(READY) == [(INFO, "ready: 2 GPUs; /run/cdi/nvidia.yaml published")]
    assert lines_of(WORSE)[0][0] == WARNING


def test_an_unchanged_report_is_logged_at_debug_priority():
    assert {priority for priority, _ in lines_of(WORSE._replace(changed=False), WORSE)} == {DEBUG}


def test_a_finding_is_reported_once_and_not_beside_a_reason_that_includes_it():
    assert [(p, text) for p, text in lines_of(WORSE, READY) if p < DEBUG] == [
        (WARNING, f"degraded: 2 GPUs; {MISSING}; /run/cdi/nvidia.yaml published"),
        (WARNING, str(OTHER)),
    ]


def test_a_superseded_pass_logs_no_warning():
    assert {priority for priority, _ in lines_of(WORSE._replace(superseded=True), READY)} <= {INFO, DEBUG}


def after(*passes):
    """The last pass, as it is remembered when each has been reported."""
    before = None
    for done in passes:
        before = done._replace(unsaid=is_unsaid(done, before))
    return before


SUPERSEDED = WORSE._replace(superseded=True)
STILL = WORSE._replace(changed=False)


def test_a_finding_of_a_superseded_pass_is_raised_to_its_priority_where_it_stays():
    for passes in ((READY, SUPERSEDED), (READY, SUPERSEDED, SUPERSEDED._replace(changed=False)), (SUPERSEDED,)):
        assert [p for p, _ in lines_of(STILL, after(*passes))] == [WARNING, DEBUG, WARNING]


def test_a_reported_finding_is_not_repeated_after_a_superseded_pass():
    before = after(WORSE, STILL._replace(superseded=True))
    assert {p for p, _ in lines_of(STILL, before)} == {DEBUG}


def test_a_finding_of_a_superseded_pass_keeps_its_low_priority_where_it_goes():
    assert lines_of(READY, after(SUPERSEDED)) == [(INFO, "ready: 2 GPUs; /run/cdi/nvidia.yaml published")]
    assert lines_of(READY._replace(changed=False), after(READY._replace(superseded=True)))[0][0] == DEBUG


def test_added_and_removed_devices_are_logged_also_in_a_superseded_pass():
    before = READY._replace(devices=(("0", "GPU-a"), ("1", "GPU-b")))
    done = READY._replace(devices=(("0", "GPU-b"),), superseded=True)
    assert (NOTICE, "devices: - 0 (GPU-a)") in [line[:2] for line in lines(done, before)]
    assert any(p == WARNING and "device 0 is another one now" in text for p, text in lines_of(done, before))


def test_a_boot_that_was_delayed_in_vain_is_reported_once_with_a_hint():
    waiting = Pass("waiting-driver", "the nvidia module is not loaded")
    lines_of = waited(waiting, 10.0)
    assert lines_of and lines_of.priority == WARNING
    assert lines_of.text == (
        "not ready after 10 s, and the boot goes on; waiting-driver: the nvidia module is not loaded; "
        "modprobe nvidia, or see dmesg for why it fails"
    )
    assert waited(Pass("failed", "NVML failed"), 10.0) is None
    hanging = waited(None, 10.0)
    assert hanging and hanging.text.endswith("the first probe has not ended")


def test_the_readme_has_every_message_id():
    assert sorted(re.findall(r"^\| `([0-9a-f]{32})`", README.read_text(), re.MULTILINE)) == sorted(MESSAGE_IDS.values())
