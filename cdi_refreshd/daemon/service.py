"""The daemon's life: what it listens to, its signals, when it is ready, how it reloads and ends.

It decides nothing about GPUs, specs or times: core/ does. It opens no /dev/nvidia*, maps no NVIDIA library.
"""

import math
import os
import signal
import time

from cdi_refreshd import __version__, config
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh import scheduler
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.daemon import state_file
from cdi_refreshd.daemon.configuration import Configuration
from cdi_refreshd.daemon.exports import Exports
from cdi_refreshd.daemon.hold import Hold
from cdi_refreshd.daemon.loop import Loop
from cdi_refreshd.daemon.passes import Passes
from cdi_refreshd.daemon.reload import Reload
from cdi_refreshd.daemon.reporter import Reporter
from cdi_refreshd.daemon.sources import SOURCES
from cdi_refreshd.host import atomic_file
from cdi_refreshd.host.journal import Journal
from cdi_refreshd.host.sd_notify import ServiceManager

WAKING_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
STARTED_WITHIN_S = 30.0
"""Of the unit's TimeoutStartSec=, besides `ready-wait`."""
REFUSED_PAUSE_S = 0.1
"""The pause after an unexpected error, so that a lasting one does not keep the processor busy."""


class Service:
    """`file` is the only configuration file, if one was named. `run` returns on a signal."""

    def __init__(self, loaded: config.Loaded, file: str | None, journal: Journal) -> None:
        self.configuration, self.journal = Configuration(loaded, file), journal
        self.manager, self.loop, self.hold = ServiceManager(), Loop(), Hold()
        self.exports: Exports | None = None
        self.reload = Reload.NONE
        self.is_ready = self.stopping = False
        self.ready_by_s = self.ping_at_s = math.inf

    def run(self) -> int:
        lock = state_file.lock()
        sources = tuple(source() for source in SOURCES)
        self.reporter = Reporter(self.journal, self.manager, sources)
        self.passes = Passes(self.configuration, self.loop, sources, self.reporter, self.hold)
        try:
            self._start()
            while not self.stopping:
                self._turn()
            self.manager.stopping()
            self.passes.step(scheduler.STOP)
            self.reporter.stopped()
        finally:
            for held in (self.passes, self.manager, self.journal):
                held.close()
            os.close(lock)
        return 0

    def _turn(self) -> None:
        """Whatever the kernel refuses, and for how long: the daemon survives, and probes again afterwards."""
        try:
            self.loop.turn()
        except (OSError, MemoryError, Fault) as error:
            time.sleep(REFUSED_PAUSE_S)
            self.passes.recover(error)

    def _start(self) -> None:
        self._catch_signals()
        self._wire()
        self.hold.end()  # the one of an earlier life
        self._configure()
        settings, now = self.configuration.settings, time.monotonic()
        atomic_file.sweep(settings.output)
        self.ready_by_s = now + settings.ready_wait_s
        self.ping_at_s = now if self.manager.ping_every_s else math.inf
        self.manager.starting_takes(settings.ready_wait_s + STARTED_WITHIN_S)
        self.reporter.started(__version__, settings.output)
        self.passes.read_hold()  # from now on somebody may have asked
        self._happened(Source.START, "first probe")

    def _wire(self) -> None:
        self.loop.at(lambda _: self.ping_at_s, self._ping)
        self.loop.at(lambda _: self.ready_by_s, self._ready_at_last)
        self.exports = exports = self.reporter.monitor.exports
        self.loop.at(lambda _: exports.beat_at_s, lambda _: exports.beat())
        self.loop.at(lambda _: self.hold.until_s if self.hold.until else math.inf, lambda _: self.passes.end_hold())
        self.passes.wire()
        self.passes.begins, self.passes.ended = self._pass_begins, self._pass_ended

    def _happened(self, source: Source, note: str) -> None:
        self.passes.happened(Event(source, Kind.DAEMON, Action.DUE, note=note))

    # Signals

    def _catch_signals(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in WAKING_SIGNALS:
            signal.signal(number, lambda *_: None)
        self.loop.listen(reader, lambda: self._signalled(os.read(reader, 256)))

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.stopping = True
        if signal.SIGHUP in numbers:
            self._reload()
        if signal.SIGCHLD in numbers:
            self.passes.child_spoke()
            self.passes.others_spoke()

    # systemd

    def _ping(self, now: float) -> None:
        self.ping_at_s = now + self.manager.ping_every_s
        self.manager.ping()
        if self.exports and self.ping_at_s > self.exports.beat_at_s > now:  # one turn of the loop for both
            self.exports.beat()

    def _ready_at_last(self, _: float) -> None:
        """The boot continues without a spec."""
        self._ready()
        self.reporter.waited(self.configuration.settings.ready_wait_s)

    def _ready(self) -> None:
        self.is_ready, self.ready_by_s = True, math.inf
        self.manager.ready()

    # Passes

    def _pass_begins(self) -> None:
        if self.configuration.is_stale:
            self._load()
        self.reload = self.reload.pass_begins()

    def _pass_ended(self, is_settled: bool) -> None:
        """state.json before READY=1: units ordered after us, and who waits for the reload, may read it."""
        if self.reload.is_answered() or self._is_stuck():
            self._answer_reload()
        self.reporter.state()
        if not self.is_ready and is_settled:
            self._ready()

    # Reload

    def _reload(self) -> None:
        self.manager.reloading()
        self.reload = self.reload.asked()
        self.passes.end_hold()
        self._load()
        self._happened(Source.SIGNAL, "reload")
        if self._is_stuck():  # systemctl reload must not wait for a driver that hangs
            self._answer_reload()

    def _is_stuck(self) -> bool:
        return self.passes.scheduler.state == scheduler.STUCK

    def _answer_reload(self) -> None:
        if self.reload is not Reload.NONE:
            self.reload = Reload.NONE
            self.reporter.count(reloads=1)
            self.reporter.state()
            self.manager.ready()

    def _load(self) -> None:
        fault = self.configuration.load()
        if fault:
            self.reporter.configuration((), fault)
        else:
            self._configure()

    def _configure(self) -> None:
        self.journal.priority_at_most = self.configuration.settings.log_level
        self.passes.configure()
        self.reporter.configure(self.configuration.settings)
        self.reporter.configuration(self.configuration.findings, None)
