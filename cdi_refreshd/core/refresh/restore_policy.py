"""When what was published last may be restored before anybody probes: nothing else has happened since."""

from collections.abc import Collection, Iterable

from cdi_refreshd.core.refresh.event import Action, Event, Kind
from cdi_refreshd.core.refresh.scheduler import Pending

LOSSES = (Action.WRITTEN, Action.DELETED, Action.MOVED_AWAY, Action.GONE, Action.ATTRIBUTES)


def written_to(events: Iterable[Event], files: Collection[str]) -> Event | None:
    """The event that says so: perhaps half a document is being written, and readers see it.

    What is deleted waits for quiet: `rm -r` of the directory would fail where a file comes back under it.
    """
    return next((event for event in events if event.action is Action.WRITTEN and _is_of(event, files)), None)


def nothing_else(happened: Pending, files: Collection[str]) -> bool:
    """Whether only our own files were touched, and the directories that they stand in."""
    places = {place for file in files for place in (file, file.rpartition("/")[0])}
    return happened.is_whole() and all(_is_of(event, places) for event in happened.first)


def reason(happened: Pending, loss: Event) -> Event:
    """The event that tells best how `loss` came about: itself, where there is none."""
    directory = loss.path.rpartition("/")[0]
    told = (event for event in happened.first if event.action in LOSSES and _is_of(event, (loss.path, directory)))
    return next(told, loss)


def _is_of(event: Event, paths: Collection[str]) -> bool:
    return event.kind is Kind.SPEC and event.path in paths
