import pytest

from cdi_refreshd.core.refresh import restore_policy
from cdi_refreshd.core.refresh.event import Trigger
from cdi_refreshd.core.refresh.scheduler import KEPT, Pending

SPEC, PART = "/run/cdi/nvidia.yaml", "/run/cdi/nvidia.coherent.yaml"


def inotify(*details):
    return tuple(Trigger("inotify", detail) for detail in details)


def test_half_a_document_is_put_back_at_once_whatever_else_came_with_it():
    triggers = inotify("/dev/nvidia0 created (node)", f"{PART} written (spec)")
    assert restore_policy.at_once(triggers, (SPEC, PART)) == triggers[1]


@pytest.mark.parametrize(
    "detail",
    [
        f"{SPEC} deleted (spec)",
        f"{SPEC} put in place (spec)",
        "/run/cdi/nvidia.json written (spec)",
        "/run/cdi/nvidia.yaml written (configuration)",
    ],
)
def test_nothing_else_is_put_back_at_once(detail):
    assert restore_policy.at_once(inotify(detail), (SPEC,)) is None


@pytest.mark.parametrize(
    "details",
    [
        [f"{SPEC} deleted (spec)"],
        [f"{SPEC} moved away (spec)"],
        [f"{SPEC} deleted (spec)", "/run/cdi is gone (spec)"],
        [f"{SPEC} has other permissions or times (spec)"],
        [f"{SPEC} deleted (spec)", f"{SPEC} created (spec)", f"{SPEC} written (spec)"],
    ],
)
def test_what_is_lost_and_nothing_else_is_put_back_after_quiet(details):
    triggers = inotify(*details)
    assert restore_policy.after_quiet(Pending(triggers, len(triggers)), (SPEC,)) == triggers[0]
    assert restore_policy.after_quiet(Pending(triggers, len(triggers) + 5), (SPEC,)) == triggers[0], "the same again"


@pytest.mark.parametrize(
    "details",
    [
        [],
        [f"{SPEC} deleted (spec)", "/dev/nvidia0 deleted (node)"],
        [f"{SPEC} put in place (spec)"],
        ["/run/cdi/nvidia-other.yaml deleted (spec)"],
        ["still failed"],
    ],
)
def test_where_the_machine_may_have_changed_too_the_probe_decides(details):
    assert restore_policy.after_quiet(Pending(inotify(*details), len(details)), (SPEC,)) is None


def test_where_not_all_that_happened_is_remembered_the_probe_decides():
    parts = inotify(*(f"/run/cdi/nvidia.{number}.yaml deleted (spec)" for number in range(KEPT)))
    files = {trigger.detail.partition(" ")[0] for trigger in parts}
    assert restore_policy.after_quiet(Pending(parts, KEPT), files) == parts[0]
    assert restore_policy.after_quiet(Pending(parts, KEPT + 1), files) is None


def test_without_anything_published_nothing_is_put_back():
    assert restore_policy.at_once(inotify(f"{SPEC} written (spec)"), ()) is None
    assert restore_policy.after_quiet(Pending(inotify(f"{SPEC} deleted (spec)"), 1), ()) is None


def test_people_are_told_what_happened_and_what_was_done():
    (trigger,) = inotify(f"{SPEC} deleted (spec)")
    assert restore_policy.said(trigger) == f"{SPEC} deleted, not by us; put back as it was published"
