"""The configuration in effect, and which events may be changes of it."""

from cdi_refreshd import config
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.refresh.event import Event, Kind
from cdi_refreshd.core.refresh.event_source import Scope
from cdi_refreshd.core.refresh.watch_list import watches
from cdi_refreshd.daemon import hold
from cdi_refreshd.pipeline import Target, target


class Configuration:
    """`file` is the only configuration file, if one was named."""

    def __init__(self, loaded: config.Loaded, file: str | None) -> None:
        self._loaded, self._file = loaded, file
        self.is_stale = False
        """One of its files has changed. The next pass reads it, since editors write a file in several steps."""
        self.library_dirs: tuple[str, ...] = ()
        """Where the last probe found libraries."""

    @property
    def settings(self) -> Settings:
        return self._loaded.settings

    @property
    def findings(self) -> tuple[Finding, ...]:
        return self._loaded.findings

    @property
    def target(self) -> Target:
        return target(self.settings, self.settings.output, self.settings.format)

    def load(self) -> Fault | None:
        """Why the old one stays in effect; None if the new one is used."""
        self.is_stale = False
        try:
            self._loaded = config.load(self._file)
        except Fault as fault:
            return fault
        return None

    def concerns(self, event: Event) -> bool:
        """Our own state is in a directory that may have configuration, so not every event there concerns it."""
        return event.kind is Kind.CONFIGURATION and config.is_configuration(event.path, self._file)

    def scope(self) -> Scope:
        directories = config.directories(self._file)
        wanted = watches(self.settings.here, self.settings.output, directories, self.library_dirs)
        return Scope(self.settings, (*wanted, *config.watches(self._file), hold.WATCH))
