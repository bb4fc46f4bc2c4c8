"""The daemon: one loop that waits for reasons to probe again, for the child that probes, and for the time.

It decides nothing about GPUs, specs or times: core/ does. It opens no /dev/nvidia*, maps no NVIDIA library."""

import gc
import math
import os
import select
import signal
import time
from collections.abc import Callable

from cdi_refreshd import __version__, config, last_pass, pipeline
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh import restore_policy, scheduler, states
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import Scope
from cdi_refreshd.core.refresh.scheduler import Scheduler, Timing
from cdi_refreshd.core.refresh.watch_list import watches
from cdi_refreshd.core.report import lines, wording
from cdi_refreshd.core.report.lines import Line, Pass
from cdi_refreshd.daemon import hold, state_file
from cdi_refreshd.daemon.other_specs import Neighbours
from cdi_refreshd.daemon.published_spec import Guard
from cdi_refreshd.daemon.reporter import Telling
from cdi_refreshd.events.drift import Sweep
from cdi_refreshd.events.inotify import DirectoryWatches
from cdi_refreshd.events.mig import MigPoll
from cdi_refreshd.events.udev import UdevEvents
from cdi_refreshd.host import atomic_file
from cdi_refreshd.host.child import Child
from cdi_refreshd.host.journal import Journal
from cdi_refreshd.host.sd_notify import ServiceManager
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request

WAKING_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGIO)
IDLE_S = 3600.0
STARTED_WITHIN_S = 30.0
"""Of the unit's TimeoutStartSec=, besides `ready-wait`."""


class Daemon:
    """`file` is the one configuration file, where one was named. `run` returns when a signal says so."""

    def __init__(self, loaded: config.Loaded, file: str | None, journal: Journal) -> None:
        self.loaded, self.file, self.journal = loaded, file, journal
        self.manager = ServiceManager()
        self.told = Telling(journal, self.manager)
        self.reconciler = Scheduler()
        self.child: Child | None = None
        self.answered = False
        self.asked_at, self.request, self.known = 0.0, Request(loaded.settings.choices), last_pass.Looked()
        self.path, self.abandoned = "", list[str]()
        self.guard = Guard()
        self.put_back_at = self.again_at = math.inf
        self.again_in_vain = False
        self.neighbours, self.hold = Neighbours(), hold.Hold()
        self.sweep = Sweep()
        self.library_dirs: tuple[str, ...] = ()
        self.events: tuple[Event, ...] = ()
        self.event_count = 0
        self.mig = MigPoll()
        self.load_wanted = self.reload_wanted = self.reload_running = self.stopping = self.is_ready = False
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[], None]] = {}

    # Life

    def run(self) -> int:
        lock = state_file.lock()
        self.udev, self.inotify = self.told.udev, self.told.inotify = UdevEvents(), DirectoryWatches()
        try:
            self._start()
            while not self.stopping:
                self._wait()
                self._on_time(time.monotonic())
            self._stop()
        finally:
            if self.child:
                self.child.close()
            for held in (self.guard, self.udev, self.inotify, self.manager, self.journal):
                held.close()
            os.close(lock)
        return 0

    def _start(self) -> None:
        self._catch_signals()
        self.manager.status("starting")
        self._listen(self.udev.fileno(), lambda: self._happened(self.udev.read()))
        self._listen(self.inotify.fileno(), self._inotify_spoke)
        self._apply_configuration()
        atomic_file.sweep(self.path)
        self.hold.end()  # the one of an earlier life
        now = time.monotonic()
        self.ready_by, self.ping_at = now + self.loaded.settings.ready_wait_s, now
        self.manager.starting_takes(self.loaded.settings.ready_wait_s + STARTED_WITHIN_S)
        text = f"cdi-refreshd {__version__} follows this host; events from {self.udev.source}, spec {self.path}"
        self.journal.write(Line(lines.INFO, text, "started"))
        self._happened([Event(Source.START, Kind.DAEMON, Action.DUE, note="first probe")])

    def _stop(self) -> None:
        self.manager.stopping()
        self._step(scheduler.STOP)
        self.told.stopped()

    def _catch_signals(self) -> None:
        reader, writer = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        for number in WAKING_SIGNALS:
            signal.signal(number, lambda *_: None)
        self._listen(reader, lambda: self._signalled(os.read(reader, 256)))

    def _signalled(self, numbers: bytes) -> None:
        if signal.SIGTERM in numbers or signal.SIGINT in numbers:
            self.stopping = True
        if signal.SIGIO in numbers:
            self._somebody_would_write()
        if signal.SIGHUP in numbers:
            self._reload()
        if signal.SIGCHLD in numbers and self.child:
            self._child_spoke()

    # The loop

    def _listen(self, descriptor: int, handler: Callable[[], None]) -> None:
        self.handlers[descriptor] = handler
        self.poll.register(descriptor, select.POLLIN)

    def _ignore(self, descriptor: int) -> None:
        if self.handlers.pop(descriptor, None):
            self.poll.unregister(descriptor)

    def _wait(self) -> None:
        now = time.monotonic()
        due: list[float | None] = [now + IDLE_S, self.mig.due_at(now), self.sweep.due_at(now), self.udev.due_at(now)]
        due += [self.again_at, self.put_back_at, self.hold.until_s if self.hold.until else None]
        due += [] if self._holds_back(now) else [scheduler.next_deadline(self.reconciler)]
        due += [self.ping_at] if self.manager.ping_every_s else []
        due += [self.ready_by] if not self.is_ready else []
        soonest = min(moment for moment in due if moment is not None)
        # Rounded up: poll() counts milliseconds, and a little too early would be a turn for nothing.
        for descriptor, _ in self.poll.poll(max(0, int((soonest - now) * 1000) + 1)):
            handler = self.handlers.get(descriptor)
            if handler:
                handler()

    def _on_time(self, now: float) -> None:
        if self.manager.ping_every_s and now >= self.ping_at:
            self.ping_at = now + self.manager.ping_every_s
            self.manager.ping()
        if not self.is_ready and now >= self.ready_by:
            self._ready()
            self.told.waited(self.loaded.settings.ready_wait_s)
        if now >= self.put_back_at:
            self._put_back_meanwhile()
        self._happened(self.udev.poll(now))
        self._happened(self.mig.poll(now))
        self._happened(self.sweep.poll(now))
        if now >= self.again_at:
            self.again_at = math.inf
            self._happened([_due(Source.SWEEP, f"still {self.told.last.state}")])
        if self.hold.until and now >= self.hold.until_s:
            self._end_hold()
        if not self._holds_back(now):
            self._step(scheduler.TICK)

    def _holds_back(self, now: float) -> bool:
        """What has happened is remembered; a probe that is under way may end."""
        return now < self.hold.until_s and self.reconciler.state in (scheduler.SETTLING, scheduler.BACKOFF)

    def _end_hold(self) -> None:
        if self.hold.until:
            self.hold.end()
            self.told.held("")
            self.told.state()
            self._happened([_due(Source.SIGNAL, "the hold is over")])

    def _happened(self, events: list[Event]) -> None:
        for event in events:
            self.journal.write(Line(lines.DEBUG, wording.sentence(event)))
            self.told.count(triggers=1)
            self._step(scheduler.Happened(event))

    def _inotify_spoke(self) -> None:
        events = self.inotify.read()
        if not self.guard.is_pressed():
            self._put_back(restore_policy.at_once(events, self.guard.contents))
        as_published = self.sweep.is_as_published()
        specs = {self.path, *self.guard.contents}
        for event in events:
            configuration = event.kind is Kind.CONFIGURATION
            # What our own publishing did comes back as an event, and our state stands where configuration may.
            ours = event.path in specs and as_published
            if ours or (configuration and not config.is_configuration(event.path, self.file)):
                continue
            if event.kind is Kind.HOLD:
                self._held()
                continue
            self.load_wanted |= configuration
            self._happened([event])
        if self.reconciler.state in scheduler.WITH_CHILD:
            self.put_back_at = min(self.put_back_at, time.monotonic() + self.loaded.settings.settle_s)

    def _held(self) -> None:
        if self.hold.read() and self.child is None:  # else whoever asked waits for its end
            self._tell_held()

    def _tell_held(self) -> None:
        if self.told.life.held != self.hold.until:
            self.told.held(self.hold.until)
            self.told.state()

    def _step(self, what: scheduler.Input) -> None:
        settings = self.loaded.settings
        timing = Timing(settings.settle_s, settings.settle_at_most_s, probe_limit_s=settings.probe_limit_s)
        self.reconciler, orders = scheduler.step(self.reconciler, what, time.monotonic(), timing, self._backoff)
        for order in orders:
            self._do(order)

    def _backoff(self, attempt: int) -> float:
        from tenacity import RetryCallState, Retrying, wait_random_exponential  # noqa: PLC0415 - few daemons fail

        settings = self.loaded.settings
        call = RetryCallState(Retrying(), None, (), {})
        call.attempt_number = attempt
        longest = wait_random_exponential(multiplier=settings.retry_first_s, max=settings.retry_at_most_s)
        return max(settings.retry_first_s, longest(call))

    def _do(self, order: scheduler.Order) -> None:
        if isinstance(order, scheduler.StartProbe):
            self._ask(order.events, order.count)
        elif isinstance(order, scheduler.KillProbe) and self.child:
            self.child.kill(order.why)
        elif isinstance(order, scheduler.ReportStuck) and self.child:
            self._stuck(self.child)

    # A pass

    def _ask(self, events: tuple[Event, ...], count: int) -> None:
        self.events, self.event_count, self.asked_at = events, count, time.monotonic()
        if self.load_wanted:  # only now: editors write a file in more than one step
            self._load()
        self._put_back(restore_policy.after_quiet(scheduler.Pending(events, count), self.guard.contents))
        self.reload_running, self.reload_wanted = self.reload_running or self.reload_wanted, False
        self.mig.pass_begins(self.asked_at)
        self.known = last_pass.probed(self.path)
        settings = self.loaded.settings
        host = (settings.device_nodes, settings.dev_char_links)
        self.request = Request(settings.choices, True, self.known.fingerprint, *host)
        try:
            self.child, self.answered = runner.start(self.request), False
        except OSError as error:
            fact = f"no child can be started: {error.strerror}"
            self._finish(states.failed(Fault("probe", fact, "free some memory, or raise TasksMax= of the service")))
            return
        self._listen(self.child.fileno(), self._child_spoke)

    def _child_spoke(self) -> None:
        """Its answer, or its end, whichever came first: both are needed."""
        child = self.child
        if child is None:
            return
        if not self.answered and child.read():
            self.answered = True
            self._ignore(child.fileno())
        if self.answered and child.gone():
            self._ignore(child.fileno())
            self.child = None
            verdict = pipeline.judged_answer(child.result, self.request)
            child.close()
            self._finish(last_pass.recalled(verdict, self.known))

    def _put_back_meanwhile(self) -> None:
        """While a child probes, perhaps for a minute, and one that is stuck for days."""
        self.put_back_at = math.inf
        if self.reconciler.state not in scheduler.WITH_CHILD or self.guard.stands():
            return
        why = restore_policy.after_quiet(self.reconciler.pending, self.guard.contents)
        if not why and os.path.lexists(self.path):  # what is no document serves nobody, whatever else has happened
            why = self.guard.lost(pipeline.read)
        if why:
            self._restored(why)

    def _put_back(self, why: Event | None) -> None:
        """Containers that start before the probe is done get what they would have got before."""
        if why and not self.sweep.is_as_published():
            self._restored(why)

    def _restored(self, why: Event) -> bool:
        if not self.guard.put_back():
            return False
        self.sweep.put_back()
        self.told.count(restored=1)
        self.journal.write(Line(lines.NOTICE, wording.restored(why), "restored", (("CDI_SPEC_PATH", self.path),)))
        if self.told.probed:
            self.told.state()
        self._probe_again_unless_it_stands()
        return True

    def _probe_again_unless_it_stands(self) -> None:
        """Who wrote between our rename and the sweep's look at it: his event would be taken for our own.

        Once: there are filesystems where nothing ever is as it was written.
        """
        if self.guard.stands():
            self.again_in_vain = False
        elif not self.again_in_vain:
            self.again_in_vain = True
            self._happened(
                [Event(Source.SWEEP, Kind.SPEC, Action.DIFFERS, self.path, note="is not what was published")]
            )

    def _somebody_would_write(self) -> None:
        """He waits in open(2), and gets what has just lost its name."""
        why, often = self.guard.writer(), self.guard.is_pressed()
        if why and (not self._restored(why) or often):
            self.guard.yield_to_writers()
            self._happened([why])

    def _finish(self, verdict: states.Verdict) -> None:
        settings = self.loaded.settings
        verdict = states.under_policy(verdict, settings.on_mismatch)
        ours = not self.told.probed or self.sweep.is_as_published()
        outcome = self._kept(pipeline.carried_out(verdict, settings.output, settings.format, ours))
        outcome = pipeline.hindered(outcome, self.neighbours.conflicts)
        last_pass.note(outcome, self.path)
        self._leave_abandoned(outcome)
        self.sweep.set(outcome.verdict.spec, outcome.files)
        if outcome.contents:
            self.guard.set(dict(outcome.contents))
        elif outcome.files or outcome.verdict.action == states.KEEP:
            self.guard.keep()
        else:
            self.guard.set({})
        self.again_at = time.monotonic() + settings.sweep_s if outcome.verdict.state in states.SWEPT else math.inf
        if verdict.seen and verdict.seen.driver.library_dirs != self.library_dirs:
            self.library_dirs = verdict.seen.driver.library_dirs
            self._watch()
        self._tell_held()
        self.told.outcome(outcome, self._pass(outcome.verdict))
        stuck = self.reconciler.state == scheduler.STUCK
        self._step(scheduler.CHILD_GONE if stuck else scheduler.Answered(outcome.verdict.state in states.RETRIED))
        self._tell_state(self.reload_running and not self.reload_wanted)  # who asked meanwhile waits for the next probe
        if not self.is_ready and states.is_settled(outcome.verdict):
            self._ready()
        if outcome.files and self.neighbours.may_differ(self.events, self.guard.contents):
            self._ask_neighbours()
        if outcome.contents:
            self._probe_again_unless_it_stands()
        gc.collect()

    def _kept(self, outcome: pipeline.Outcome) -> pipeline.Outcome:
        """A probe that failed says nothing against what was published, whatever became of it meanwhile."""
        why = self.guard.lost(pipeline.read) if outcome.verdict.action == states.KEEP else None
        return outcome._replace(files=tuple(self.guard.contents)) if why and self._restored(why) else outcome

    def _ask_neighbours(self) -> None:
        """Only now: it takes longer than the probe. What keeps containers from their GPUs is told by the next one."""
        conflicts = self.neighbours.conflicts
        for told in self.neighbours.ask():
            self.journal.write(told)
        if self.neighbours.conflicts != conflicts:
            self._happened([_due(Source.SWEEP, "other specs are in the way, or no longer")])

    def _pass(self, verdict: states.Verdict) -> Pass:
        return Pass(
            verdict.state,
            verdict.reason,
            self.path,
            events=self.events,
            event_count=self.event_count,
            duration_s=time.monotonic() - self.asked_at,
            superseded=scheduler.is_superseded(self.reconciler),
        )

    def _leave_abandoned(self, outcome: pipeline.Outcome) -> None:
        """Where the configuration moved the spec away from: two specs with the same devices hide each other."""
        if not outcome.contents and outcome.verdict.action != states.WITHDRAW:
            return  # the old one is better than none
        for path in self.abandoned:
            try:
                if path != self.path and pipeline.withdrawn(path):
                    text = f"{path} withdrawn: the spec is {self.path} now"
                    self.journal.write(Line(lines.NOTICE, text, "withdrawn"))
            except Fault as fault:
                self.journal.write(Line(lines.WARNING, str(fault)))
        self.abandoned.clear()

    def _ready(self) -> None:
        self.is_ready = True
        self.manager.ready()

    def _stuck(self, child: Child) -> None:
        self.told.stuck(child.pid, self.path)
        self._tell_state(self.reload_running or self.reload_wanted)

    def _tell_state(self, reloaded: bool) -> None:
        """Before READY=1: whoever was started after us, or waits for the reload, may ask for our state."""
        if reloaded:
            self.reload_running = self.reload_wanted = False
            self.told.count(reloads=1)
        self.told.state()
        if reloaded:
            self.manager.ready()

    # Reload

    def _reload(self) -> None:
        self.manager.reloading()
        self.reload_wanted = True
        self._end_hold()
        self._load()
        self._happened([_due(Source.SIGNAL, "reload")])
        if self.reconciler.state == scheduler.STUCK:
            self._tell_state(True)  # systemctl reload must not wait for a driver that hangs

    def _load(self) -> None:
        self.load_wanted = False
        try:
            self.loaded = config.load(self.file)
        except Fault as fault:
            self.journal.write(Line(lines.ERROR, f"{fault}; the old configuration stays in force", "configuration"))
        else:
            self._apply_configuration()

    def _apply_configuration(self) -> None:
        settings = self.loaded.settings
        if self.path not in ("", settings.output):
            self.abandoned.append(self.path)
            self.guard.set({})
            self.sweep = Sweep()
        self.path = settings.output
        self.sweep.every(settings.sweep_s)
        self.mig.configure(Scope(settings, ()))
        self.mig.pass_begins(time.monotonic())
        self._watch()
        self.journal.priority_at_most = settings.log_level
        for finding in self.loaded.findings:
            self.journal.write(Line(lines.WARNING, str(finding), "configuration"))

    def _watch(self) -> None:
        choices = self.loaded.settings.choices
        wanted = watches(choices, self.path, config.directories(self.file), self.library_dirs)
        self.inotify.watch((*wanted, *config.watches(self.file), hold.WATCH))


def _due(source: Source, note: str) -> Event:
    return Event(source, Kind.DAEMON, Action.DUE, note=note)
