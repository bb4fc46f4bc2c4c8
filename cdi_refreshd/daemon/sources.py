"""The sources of events. To add one: write it in events/ as an EventSource, and name it here."""

from cdi_refreshd.core.refresh.event_source import EventSource
from cdi_refreshd.events.drift import Sweep
from cdi_refreshd.events.inotify import DirectoryWatches
from cdi_refreshd.events.mig import MigPoll
from cdi_refreshd.events.udev import UdevEvents

SOURCES: tuple[type[EventSource], ...] = (UdevEvents, DirectoryWatches, MigPoll, Sweep)
