import pytest

from cdi_refreshd.core.refresh import restore_policy
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.scheduler import KEPT, Pending
from cdi_refreshd.core.report import wording

SPEC, PART = "/run/cdi/nvidia.yaml", "/run/cdi/nvidia.coherent.yaml"


def of(action, path=SPEC, kind=Kind.SPEC):
    return Event(Source.INOTIFY, kind, action, path)


def happened(*events):
    return Pending(events, len(events))


NODE = of(Action.CREATED, "/dev/nvidia0", Kind.NODE)
DELETED, CREATED, WRITTEN = of(Action.DELETED), of(Action.CREATED), of(Action.WRITTEN)


def test_half_a_document_is_restored_at_once_whatever_else_came_with_it():
    written = of(Action.WRITTEN, PART)
    assert restore_policy.at_once((NODE, written), (SPEC, PART)) == written


@pytest.mark.parametrize(
    "event",
    [
        DELETED,
        of(Action.PUT_IN_PLACE),
        of(Action.WRITTEN, "/run/cdi/nvidia.json"),
        of(Action.WRITTEN, SPEC, Kind.CONFIGURATION),
    ],
)
def test_nothing_else_is_restored_at_once(event):
    assert restore_policy.at_once((event,), (SPEC,)) is None


@pytest.mark.parametrize(
    "events",
    [
        [DELETED],
        [of(Action.MOVED_AWAY)],
        [DELETED, of(Action.GONE, "/run/cdi")],
        [of(Action.ATTRIBUTES)],
        [DELETED, CREATED, WRITTEN],
    ],
)
def test_what_is_lost_and_nothing_else_is_restored_after_quiet(events):
    assert restore_policy.after_quiet(happened(*events), (SPEC,)) == events[0]
    more = Pending(tuple(events), len(events) + 5)
    assert restore_policy.after_quiet(more, (SPEC,)) == events[0], "the same again"


@pytest.mark.parametrize(
    "events",
    [
        [],
        [DELETED, of(Action.DELETED, "/dev/nvidia0", Kind.NODE)],
        [of(Action.PUT_IN_PLACE)],
        [of(Action.DELETED, "/run/cdi/nvidia-other.yaml")],
        [Event(Source.SWEEP, Kind.DAEMON, Action.DUE)],
    ],
)
def test_where_the_machine_may_have_changed_too_the_probe_decides(events):
    assert restore_policy.after_quiet(happened(*events), (SPEC,)) is None


def test_where_not_all_that_happened_is_remembered_the_probe_decides():
    parts = tuple(of(Action.DELETED, f"/run/cdi/nvidia.{number}.yaml") for number in range(KEPT))
    files = {event.path for event in parts}
    assert restore_policy.after_quiet(Pending(parts, KEPT), files) == parts[0]
    assert restore_policy.after_quiet(Pending(parts, KEPT + 1), files) is None


def test_without_anything_published_nothing_is_restored():
    assert restore_policy.at_once((WRITTEN,), ()) is None
    assert restore_policy.after_quiet(happened(DELETED), ()) is None


def test_the_journal_has_what_happened_and_what_was_done():
    assert wording.restored(DELETED) == f"{SPEC} deleted, not by us; restored as it was published"
