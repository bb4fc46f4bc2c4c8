"""The one place where an event becomes a sentence. No code reads one."""

from cdi_refreshd.core.findings import printable
from cdi_refreshd.core.refresh.event import Event, Kind, Source


def sentence(event: Event) -> str:
    """`udev: pci unbind 0000:65:00.0`, `inotify: /run/cdi/nvidia.yaml deleted (spec)`."""
    return f"{event.source.value}: {words(event)}"


def words(event: Event) -> str:
    """The same without its source."""
    action = event.action.value
    if event.kind is Kind.QUEUE:
        return f"{event.note} {action}".strip()
    if event.source is Source.UDEV:
        return f"{event.kind.value} {action} {event.subject}" + (f" ({event.note})" if event.note else "")
    if event.source is Source.INOTIFY:
        return f"{printable(event.path)} {action} ({event.kind.value})"
    if event.path:
        return f"{printable(event.path)} {event.note or action}"
    return event.note or action


def restored(event: Event) -> str:
    """What something else did to the spec, and what was done about it."""
    return f"{printable(event.path)} {event.action.value}, not by us; restored as it was published"
