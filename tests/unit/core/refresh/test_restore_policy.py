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
LOSS = Event(Source.SWEEP, Kind.SPEC, Action.GONE, SPEC)


def test_a_write_to_the_file_is_noticed_whatever_else_happened():
    written = of(Action.WRITTEN, PART)
    assert restore_policy.written_to((NODE, written), (SPEC, PART)) == written


@pytest.mark.parametrize(
    "event",
    [
        DELETED,
        of(Action.PUT_IN_PLACE),
        of(Action.WRITTEN, "/run/cdi/nvidia.json"),
        of(Action.WRITTEN, SPEC, Kind.CONFIGURATION),
    ],
)
def test_no_other_module_writes_specs(event):
    assert restore_policy.written_to((event,), (SPEC,)) is None


@pytest.mark.parametrize(
    ("events", "reported"),
    [
        ([DELETED], DELETED),
        ([of(Action.MOVED_AWAY)], of(Action.MOVED_AWAY)),
        ([DELETED, of(Action.GONE, "/run/cdi")], DELETED),
        ([of(Action.ATTRIBUTES)], of(Action.ATTRIBUTES)),
        ([DELETED, CREATED, WRITTEN], DELETED),
        ([of(Action.PUT_IN_PLACE), DELETED], DELETED),
        ([of(Action.PUT_IN_PLACE)], LOSS),
        ([], LOSS),
    ],
)
def test_changes_of_only_our_own_files_are_restored_without_a_probe(events, reported):
    assert restore_policy.nothing_else(happened(*events), (SPEC,))
    assert restore_policy.nothing_else(Pending(tuple(events), len(events) + 5), (SPEC,)), "the same again"
    assert restore_policy.reason(happened(*events), LOSS) == reported


@pytest.mark.parametrize(
    "events",
    [
        [DELETED, of(Action.DELETED, "/dev/nvidia0", Kind.NODE)],
        [of(Action.DELETED, "/run/cdi/nvidia-other.yaml")],
        [Event(Source.SWEEP, Kind.DAEMON, Action.DUE)],
    ],
)
def test_where_the_machine_may_have_changed_too_the_probe_decides(events):
    assert not restore_policy.nothing_else(happened(*events), (SPEC,))


def test_where_some_events_are_only_counted_the_probe_decides():
    parts = tuple(of(Action.DELETED, f"/run/cdi/nvidia.{number}.yaml") for number in range(KEPT))
    files = {event.path for event in parts}
    assert restore_policy.nothing_else(Pending(parts, KEPT), files)
    assert not restore_policy.nothing_else(Pending(parts, KEPT + 1), files)


def test_the_line_about_a_restore_names_the_event_and_the_action():
    assert wording.restored(DELETED) == f"{SPEC} deleted, not by us; restored as it was published"
