"""The daemon: one loop that waits for reasons to look again, for the child that looks, and for the time.

It decides nothing about GPUs, specs or times: that is core/'s. It opens no /dev/nvidia* and maps no NVIDIA library.
"""

import gc
import math
import os
import select
import signal
import time
from collections.abc import Callable

from cdi_refreshd import __version__, config, line, neighbours, probe, remembered, statefile
from cdi_refreshd.core import reconcile, report, restoring, state, statedoc
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.reconcile import Reconciler, Timing
from cdi_refreshd.core.report import Line, Pass
from cdi_refreshd.core.trigger import Trigger
from cdi_refreshd.core.watching import watches
from cdi_refreshd.events.inotify import DirectoryWatches
from cdi_refreshd.events.mig import MigPoll
from cdi_refreshd.events.sweep import Sweep
from cdi_refreshd.events.udev import UdevEvents
from cdi_refreshd.guard import Guard
from cdi_refreshd.host import publish
from cdi_refreshd.host.child import Child
from cdi_refreshd.host.journal import Journal
from cdi_refreshd.host.manager import ServiceManager
from cdi_refreshd.look.request import Request

WAKING_SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGIO)
IDLE_S = 3600.0


class Daemon:
    """`file` is the one configuration file, where one was named. `run` returns when a signal says so."""

    def __init__(self, loaded: config.Loaded, file: str | None, journal: Journal) -> None:
        self.loaded, self.file, self.journal = loaded, file, journal
        self.manager = ServiceManager()
        self.reconciler, self.last = Reconciler(), Pass("failed", "has not looked yet")
        self.looked = False
        self.life = statedoc.Life(os.getpid(), utc())
        self.child: Child | None = None
        self.answered = False
        self.asked_at, self.request, self.known = 0.0, Request(loaded.settings.choices), remembered.Looked()
        self.path, self.abandoned = "", list[str]()
        self.guard = Guard()
        self.again_at = math.inf
        self.told_neighbours = False
        self.library_dirs: tuple[str, ...] = ()
        self.triggers: tuple[Trigger, ...] = ()
        self.trigger_count = 0
        self.reload_wanted = self.reload_running = self.stopping = self.is_ready = False
        self.poll = select.poll()
        self.handlers: dict[int, Callable[[], None]] = {}

    # Life

    def run(self) -> int:
        lock = statefile.lock()
        self.udev, self.inotify = UdevEvents(), DirectoryWatches()
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
        settings = self.loaded.settings
        self._listen(self.udev.fileno(), lambda: self._triggered(self.udev.read()))
        self._listen(self.inotify.fileno(), self._inotify_spoke)
        self._apply_configuration()
        self.life = self.life._replace(events=self.udev.source)
        publish.sweep(self.path)
        now = time.monotonic()
        self.ready_by, self.ping_at = now + settings.ready_wait_s, now
        text = f"cdi-refreshd {__version__} follows this host; events from {self.udev.source}, spec {self.path}"
        self.journal.write(Line(report.INFO, text, "started"))
        self._triggered([Trigger("start", "first look")])

    def _stop(self) -> None:
        self.manager.stopping()
        self._step(reconcile.STOP)
        self.journal.write(Line(report.INFO, "stops; the spec stays as it is", "stopped"))

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
        due = [now + IDLE_S, reconcile.next_deadline(self.reconciler), self.mig.due_at(now), self.sweep.due_at(now)]
        due += [self.again_at]
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
            self._warn_of_waiting()
        self._triggered(self.mig.poll(now))
        self._triggered(self.sweep.poll(now))
        if now >= self.again_at:
            self.again_at = math.inf
            self._triggered([Trigger("sweep", f"still {self.last.state}")])
        self._step(reconcile.TICK)

    def _triggered(self, triggers: list[Trigger]) -> None:
        for trigger in triggers:
            self.journal.write(Line(report.DEBUG, str(trigger)))
            self._count(triggers=1)
            self._step(reconcile.Triggered(trigger))

    def _inotify_spoke(self) -> None:
        triggers = self.inotify.read()
        if any(trigger.detail.endswith("(configuration)") and self._is_ours(trigger) for trigger in triggers):
            self._load()
        if self.reconciler.state == reconcile.IDLE:
            self._put_back(restoring.at_once(triggers, self.guard.contents))
        as_published = self.sweep.is_as_published()
        for trigger in triggers:
            # What our own publishing did comes back as an event.
            ours = trigger.detail.startswith(f"{self.path} ") and as_published
            if not ours and (self._is_ours(trigger) or not trigger.detail.endswith("(configuration)")):
                self._triggered([trigger])

    def _is_ours(self, trigger: Trigger) -> bool:
        return config.is_configuration(trigger.detail.partition(" ")[0], self.file)

    def _step(self, event: reconcile.Event) -> None:
        settings = self.loaded.settings
        timing = Timing(settings.settle_s, settings.settle_at_most_s, look_limit_s=settings.look_limit_s)
        self.reconciler, actions = reconcile.step(self.reconciler, event, time.monotonic(), timing, self._backoff)
        for action in actions:
            self._do(action)

    def _backoff(self, attempt: int) -> float:
        from tenacity import RetryCallState, Retrying, wait_random_exponential  # noqa: PLC0415 - few daemons fail

        settings = self.loaded.settings
        call = RetryCallState(Retrying(), None, (), {})
        call.attempt_number = attempt
        longest = wait_random_exponential(multiplier=settings.retry_first_s, max=settings.retry_at_most_s)
        return max(settings.retry_first_s, longest(call))

    def _do(self, action: reconcile.Action) -> None:
        if isinstance(action, reconcile.StartProbe):
            self._ask(action.triggers, action.count)
        elif isinstance(action, reconcile.KillProbe) and self.child:
            self.child.kill(action.why)
        elif isinstance(action, reconcile.ReportStuck) and self.child:
            self._stuck(self.child)

    # A pass

    def _ask(self, triggers: tuple[Trigger, ...], count: int) -> None:
        self.triggers, self.trigger_count, self.asked_at = triggers, count, time.monotonic()
        self._put_back(restoring.after_quiet(triggers, count, self.guard.contents))
        self.reload_running = self.reload_wanted
        self.mig.begin(self.asked_at)
        self.known = remembered.looked(self.path)
        settings = self.loaded.settings
        host = (settings.device_nodes, settings.dev_char_links)
        self.request = Request(settings.choices, True, self.known.fingerprint, *host)
        try:
            self.child, self.answered = probe.start(self.request), False
        except OSError as error:  # no memory, or too many processes: as good as a child that is gone
            self.journal.write(Line(report.ERROR, f"no child can be started: {error.strerror}; trying again later"))
            self._step(reconcile.CHILD_GONE)
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
            verdict = line.judged_answer(child.result, self.request)
            child.close()
            self._finish(remembered.recalled(verdict, self.known))

    def _put_back(self, why: Trigger | None) -> None:
        """Containers that start before the look is done get what they would have got before."""
        if why and not self.sweep.is_as_published():
            self._restored(why)

    def _restored(self, why: Trigger) -> bool:
        if not self.guard.put_back():
            return False
        self.sweep.put_back()
        self._count(restored=1)
        self.journal.write(Line(report.NOTICE, restoring.said(why), "restored", (("CDI_SPEC_PATH", self.path),)))
        self._look_again_unless_it_stands()
        return True

    def _look_again_unless_it_stands(self) -> None:
        """Who wrote between our rename and the sweep's look at it: his event would be taken for our own."""
        if not self.guard.stands():
            self._triggered([Trigger("sweep", f"{self.path} is not what was published")])

    def _somebody_would_write(self) -> None:
        """He waits in open(2), and gets what has just lost its name."""
        why, often = self.guard.writer()
        if why and (not self._restored(why) or often):
            self.guard.yield_to_writers()
            self._triggered([why])

    def _finish(self, verdict: state.Verdict) -> None:
        settings = self.loaded.settings
        verdict = state.under_policy(verdict, settings.on_mismatch)
        ours = not self.looked or self.sweep.is_as_published()
        outcome = line.carried_out(verdict, settings.output, settings.format, ours)
        remembered.note(outcome, self.path)
        self._leave_abandoned()
        self.sweep.set(outcome.verdict.spec, outcome.files)
        stands = outcome.files and self.sweep.is_as_published()
        self.guard.set(dict(outcome.contents) or (self.guard.contents if stands else {}))
        swept = outcome.verdict.state in state.SWEPT
        self.again_at = time.monotonic() + settings.sweep_s if swept else math.inf
        if verdict.seen and verdict.seen.driver.library_dirs != self.library_dirs:
            self.library_dirs = verdict.seen.driver.library_dirs
            self._watch()
        self._report(self._pass(outcome))
        stuck = self.reconciler.state == reconcile.STUCK
        self._step(reconcile.CHILD_GONE if stuck else reconcile.Answered(outcome.verdict.state in state.RETRIED))
        reloaded = self.reload_running
        if reloaded:
            self.reload_wanted = self.reload_running = False
            self._count(reloads=1)
        self._write_state()  # before READY=1: whoever was started after us may ask for our state
        if reloaded:
            self.manager.ready()
        if not self.is_ready and state.is_settled(outcome.verdict):
            self._ready()
        if not self.told_neighbours and outcome.files:
            self.told_neighbours = True
            for finding in neighbours.findings():
                grave = report.DEBUG if finding.severity == "info" else report.WARNING
                self.journal.write(Line(grave, str(finding), "neighbour"))
        self._look_again_unless_it_stands()
        gc.collect()

    def _pass(self, outcome: line.Outcome) -> Pass:
        verdict, seen = outcome.verdict, outcome.verdict.seen
        return Pass(
            state=verdict.state,
            reason=verdict.reason,
            path=self.path,
            stands=bool(outcome.files),
            changed=outcome.changed,
            sha256=remembered.digest(self.path) if outcome.files else "",
            findings=outcome.findings,
            # Those of the spec: one that is kept because a look failed has what it had.
            devices=report.devices(seen) if seen and verdict.spec else self.last.devices if outcome.files else (),
            module_version=seen.presence.module_version if seen else self.last.module_version,
            library_version=(seen.driver.version or seen.driver.files_version) if seen else self.last.library_version,
            triggers=self.triggers,
            trigger_count=self.trigger_count,
            duration_s=time.monotonic() - self.asked_at,
            overtaken=reconcile.is_overtaken(self.reconciler),
        )

    def _leave_abandoned(self) -> None:
        """Where the configuration moved the spec away from: two specs with the same devices hide each other."""
        for path in self.abandoned:
            try:
                if path != self.path and line.withdrawn(path):
                    self.journal.write(
                        Line(report.NOTICE, f"{path} withdrawn: the spec is {self.path} now", "withdrawn")
                    )
            except Fault as fault:
                self.journal.write(Line(report.WARNING, str(fault)))
        self.abandoned.clear()

    # Telling

    def _report(self, done: Pass) -> None:
        before = self.last if self.looked else None
        for told in report.lines(done, before):
            self.journal.write(told)
        done = done._replace(unsaid=report.is_unsaid(done, before))
        same = self.looked and (done.state, done.reason) == (self.last.state, self.last.reason)
        now = utc()
        self.life = self.life._replace(
            since=self.life.since if self.looked and done.state == self.last.state else now,
            repeated=self.life.repeated + 1 if same else 0,
            spec_changed=now if done.changed or not self.life.spec_changed else self.life.spec_changed,
            note=self._note(),
        )
        self._count(
            passes=1,
            failures=int(done.state == "failed"),
            published=int(done.changed and done.stands),
            withdrawn=int(done.changed and not done.stands),
        )
        self.last, self.looked = done, True
        self.manager.status(report.status(done, self.life.repeated, self.life.note))

    def _note(self) -> str:
        notes = [str(finding) for finding in (*self.udev.faults, *self.inotify.faults)]
        notes += ["no udevd runs: events come from the kernel"] if self.udev.source == "kernel" else []
        return "; ".join(notes)

    def _count(self, **more: int) -> None:
        counters = self.life.counters
        more = {name: getattr(counters, name) + number for name, number in more.items()}
        overflows = self.udev.overflows + self.inotify.overflows
        self.life = self.life._replace(counters=counters._replace(overflows=overflows, **more))

    def _write_state(self) -> None:
        try:
            statefile.write(statedoc.document(self.last, self.life, utc()))
        except Fault as fault:
            self.journal.write(Line(report.WARNING, str(fault)))

    def _ready(self) -> None:
        self.is_ready = True
        self.manager.ready()

    def _warn_of_waiting(self) -> None:
        waited_s = self.loaded.settings.ready_wait_s
        if waited_s and (told := report.waited(self.last if self.looked else None, waited_s)):
            self.journal.write(told)

    def _stuck(self, child: Child) -> None:
        text = (
            f"the child (pid {child.pid}) hangs in the driver and cannot be killed; the spec stays; no other is started"
        )
        self._count(stuck=1)
        self.journal.write(Line(report.ERROR, text, "stuck", (("CDI_STATE", "failed"),)))
        self.last = self.last._replace(state="failed", reason=text)
        self.manager.status(report.status(self.last))
        if self.reload_running:
            self.manager.ready()  # systemctl reload must not wait for a driver that hangs
            self.reload_running = False
        self._write_state()

    # Reload

    def _reload(self) -> None:
        self.manager.reloading()
        self.reload_wanted = True
        self._load()
        self._triggered([Trigger("signal", "reload")])

    def _load(self) -> None:
        try:
            self.loaded = config.load(self.file)
        except Fault as fault:
            self.journal.write(Line(report.ERROR, f"{fault}; the old configuration stays in force", "configuration"))
        else:
            self._apply_configuration()

    def _apply_configuration(self) -> None:
        settings = self.loaded.settings
        if self.path not in ("", settings.output):
            self.abandoned.append(self.path)
            self.guard.set({})
        self.path = settings.output
        self.mig, self.sweep = MigPoll(settings.mig_poll_s), Sweep(settings.sweep_s)
        self.mig.begin(time.monotonic())
        self._watch()
        self.journal.priority_at_most = settings.log_level
        for finding in self.loaded.findings:
            self.journal.write(Line(report.WARNING, str(finding), "configuration"))

    def _watch(self) -> None:
        choices = self.loaded.settings.choices
        self.inotify.watch(watches(choices, self.path, config.directories(self.file), self.library_dirs))


def utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
