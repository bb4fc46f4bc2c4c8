"""When what was published last may be restored before anybody probes: nothing else has happened since."""

from collections.abc import Collection, Iterable

from cdi_refreshd.core.refresh.event import Action, Event, Kind
from cdi_refreshd.core.refresh.scheduler import Pending

LOST = (Action.WRITTEN, Action.DELETED, Action.MOVED_AWAY, Action.GONE, Action.ATTRIBUTES)
"""How a spec is lost in a way that none of its readers wants. Not by what is put in place: that is a whole document,
perhaps of a `cdi-refreshd oneshot` that saw more than we did."""


def at_once(events: Iterable[Event], files: Collection[str]) -> Event | None:
    """The event that says so. Half a document is being written, and readers see it.

    What is deleted waits for quiet: `rm -r` of the directory would fail where a file comes back under it.
    """
    return next((event for event in events if event.action is Action.WRITTEN and _is_of(event, files)), None)


def after_quiet(happened: Pending, files: Collection[str]) -> Event | None:
    """The first event, where all were of this kind."""
    only = happened.is_whole() and all(_is_loss(event, files) for event in happened.first)
    return happened.first[0] if happened.first and only else None


def _is_loss(event: Event, files: Collection[str]) -> bool:
    if event.action is Action.CREATED:  # by whoever took it away: the same writer's `created` comes with its `written`
        return _is_of(event, files)
    directories = {file.rpartition("/")[0] for file in files}
    return event.action in LOST and (_is_of(event, files) or _is_of(event, directories))


def _is_of(event: Event, paths: Collection[str]) -> bool:
    return event.kind is Kind.SPEC and event.path in paths
