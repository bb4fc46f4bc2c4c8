"""When what was published last may be put back before anybody probes: nothing else has happened since."""

from collections.abc import Collection, Iterable

from cdi_refreshd.core.refresh.event import Trigger
from cdi_refreshd.core.refresh.scheduler import Pending

WRITTEN = "written (spec)"
LOST = (WRITTEN, "deleted (spec)", "moved away (spec)", "is gone (spec)", "has other permissions or times (spec)")
"""How a spec is lost in a way that none of its readers wants. Not `put in place`: that is a whole document, perhaps of
a `cdi-refreshd oneshot` that saw more than we did."""


def at_once(triggers: Iterable[Trigger], files: Collection[str]) -> Trigger | None:
    """The trigger that says so. Half a document is being written, and readers see it.

    What is deleted waits for quiet: `rm -r` of the directory would fail where a file comes back under it.
    """
    written = {f"{file} {WRITTEN}" for file in files}
    return next((trigger for trigger in triggers if trigger.detail in written), None)


def after_quiet(happened: Pending, files: Collection[str]) -> Trigger | None:
    """The first trigger, where all were of this kind."""
    places = {place for file in files for place in (file, file.rpartition("/")[0])}
    own = {f"{place} {how}" for place in places for how in LOST}
    # Made anew by whoever took it away: the same writer's `created` comes with its `written`.
    own |= {f"{file} created (spec)" for file in files}
    only = happened.is_whole() and all(trigger.detail in own for trigger in happened.first)
    return happened.first[0] if happened.first and only else None


def said(trigger: Trigger) -> str:
    return f"{trigger.detail.removesuffix(' (spec)')}, not by us; put back as it was published"
