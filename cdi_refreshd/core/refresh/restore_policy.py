"""When the published spec may be restored without a probe: if nothing else has happened since."""

from collections.abc import Collection, Iterable

from cdi_refreshd.core.refresh.event import Action, Event, Kind
from cdi_refreshd.core.refresh.scheduler import Pending

LOSSES = (Action.WRITTEN, Action.DELETED, Action.MOVED_AWAY, Action.GONE, Action.ATTRIBUTES)


def written_to(events: Iterable[Event], files: Collection[str]) -> Event | None:
    """The event for a damaged spec, which is restored at once: readers see half a document.

    A deleted spec is restored after the settle time: `rm -r` of the directory would fail if a file came back in it.
    """
    return next((event for event in events if event.action is Action.WRITTEN and _is_of(event, files)), None)


def nothing_else(happened: Pending, files: Collection[str]) -> bool:
    """Whether only our own files and their directories were touched."""
    places = {place for file in files for place in (file, file.rpartition("/")[0])}
    return happened.is_whole() and all(_is_of(event, places) for event in happened.first)


def reason(happened: Pending, loss: Event) -> Event:
    """The event that explains `loss` best: `loss` itself, if there is no other."""
    directory = loss.path.rpartition("/")[0]
    reported = (event for event in happened.first if event.action in LOSSES and _is_of(event, (loss.path, directory)))
    return next(reported, loss)


def _is_of(event: Event, paths: Collection[str]) -> bool:
    return event.kind is Kind.SPEC and event.path in paths
