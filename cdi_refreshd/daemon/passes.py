"""From events to outcomes: one pass at a time, as the scheduler says, and what keeps the spec in place between them."""

import contextlib
import gc
import math
import time
from collections.abc import Callable, Iterable, Mapping

from cdi_refreshd import last_pass, pipeline
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.checks.registry import RuleFinding
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh import removed_gpus, restore_policy, scheduler, states
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import EventSource
from cdi_refreshd.core.refresh.scheduler import Pending, Scheduler, Timing
from cdi_refreshd.core.refresh.states import Verdict
from cdi_refreshd.core.report.lines import Pass
from cdi_refreshd.daemon.backoff import Backoff
from cdi_refreshd.daemon.configuration import Configuration
from cdi_refreshd.daemon.hold import Hold
from cdi_refreshd.daemon.loop import Loop
from cdi_refreshd.daemon.other_specs import OtherSpecs
from cdi_refreshd.daemon.published_spec import PublishedSpec
from cdi_refreshd.daemon.refresh import Refresh
from cdi_refreshd.daemon.reporter import Reporter
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.inspect.published import before_publishing
from cdi_refreshd.pipeline import Known, Outcome
from cdi_refreshd.probe import machine
from cdi_refreshd.probe.request import Request

HANGS_AFTER_S = 1.0
"""After a probe has lasted this long, what needs no probe is done without it."""
WITHDRAWN_RECHECK_S = 5.0
"""A spec withdrawn by mistake is missed at once, so the host is probed once more soon after."""


class Passes:
    """`begins` is called before each pass, and `ended` after each: with whether waiting would not change its state."""

    def __init__(
        self, configuration: Configuration, loop: Loop, sources: Iterable[EventSource], reporter: Reporter, hold: Hold
    ) -> None:
        self.configuration, self.loop, self.reporter, self.hold = configuration, loop, reporter, hold
        self.published = PublishedSpec(lambda path: pipeline.read(path) is not None)
        self.sources = (*sources, self.published)
        self.scheduler = Scheduler()
        self.refresh: Refresh | None = None
        self.others = OtherSpecs()
        self.begins: Callable[[], None] = lambda: None
        self.ended: Callable[[bool], None] = lambda _: None
        self.again_at_s = self.meanwhile_at_s = math.inf

    def wire(self) -> None:
        """The timers, in the order in which they act if several are due."""
        for source in self.sources:
            if source.fileno() >= 0:
                self.loop.listen(source.fileno(), lambda source=source: self.heard(source.read()))  # type: ignore[misc]
            self.loop.at(source.due_at, lambda now, source=source: self.heard(source.poll(now)))  # type: ignore[misc]
        self.loop.at(lambda _: self.meanwhile_at_s, self._meanwhile)
        self.loop.at(lambda _: self.again_at_s, self._again)
        self.loop.at(self.others.due_at, lambda _: self.others.kill())
        self.loop.at(lambda now: now if self.refresh and self.refresh.is_without_child else math.inf, self._child_spoke)
        self.loop.at(lambda _: self.refresh.ends_by_s if self.refresh else math.inf, self._kill_late)
        self.loop.at(self._due_at, lambda _: self.step(scheduler.TICK))

    def configure(self) -> None:
        settings, scope = self.configuration.settings, self.configuration.scope()
        self.backoff = Backoff(settings.retry_first_s, settings.retry_at_most_s)
        for source in self.sources:
            source.configure(scope)

    def close(self) -> None:
        if self.refresh:
            self.refresh.close()
        self.others.close()
        for source in self.sources:
            source.close()

    # Events

    def heard(self, events: Iterable[Event]) -> None:
        """Reads a source. Our own publishing makes events, too."""
        events = tuple(events)
        self._restore_at_once(events)
        for event in events:
            if event.kind is Kind.HOLD:
                self.read_hold()
            elif event.kind is Kind.CONFIGURATION and not self.configuration.concerns(event):
                continue
            elif not self.published.is_echo(event):
                self.configuration.is_stale |= event.kind is Kind.CONFIGURATION
                self.happened(event)
        if events and (self.refresh or self.is_held()):
            self.meanwhile_at_s = min(self.meanwhile_at_s, time.monotonic() + self.configuration.settings.settle_s)

    def happened(self, event: Event) -> None:
        self.reporter.event(event)
        self.step(scheduler.Happened(event))

    def recover(self, error: BaseException) -> None:
        """Recovers from an error anywhere: what was under way counts as lost, and everything is probed again."""
        self.meanwhile_at_s = time.monotonic()  # the child may have ended unheard
        if self.refresh is None and self.scheduler.state in scheduler.WITH_CHILD:
            self.step(scheduler.CHILD_GONE)
        words = f"everything is probed again, after {type(error).__name__}: {error}"
        self.happened(Event(Source.SWEEP, Kind.DAEMON, Action.DUE, note=words))

    def _again(self, now: float) -> None:
        self.again_at_s = math.inf
        self.happened(Event(Source.SWEEP, Kind.DAEMON, Action.DUE, note=f"still {self.reporter.last.state}"))

    # A hold

    def is_held(self) -> bool:
        return time.monotonic() < self.hold.until_s

    def read_hold(self) -> None:
        if self.hold.read() and self.refresh is None:  # otherwise the command would wait for its end
            self.reporter.held(self.hold.until)

    def end_hold(self) -> None:
        if self.hold.until:
            self.hold.end()
            self.reporter.held("")
            self.happened(Event(Source.SIGNAL, Kind.DAEMON, Action.DUE, note="the hold is over"))

    # The scheduler

    def _due_at(self, now: float) -> float:
        """What has happened during a hold is remembered; a probe that is under way may end."""
        if now < self.hold.until_s and self.scheduler.state in (scheduler.SETTLING, scheduler.BACKOFF):
            return math.inf
        due_s = scheduler.next_deadline(self.scheduler)
        return math.inf if due_s is None else due_s

    def step(self, what: scheduler.Input) -> None:
        settings = self.configuration.settings
        timing = Timing(settings.settle_s, settings.settle_at_most_s, probe_limit_s=settings.probe_limit_s)
        now = time.monotonic()
        self.scheduler, orders = scheduler.step(self.scheduler, what, now, timing, self.backoff.wait_s)
        for order in orders:
            if isinstance(order, scheduler.StartProbe):
                self._begin(order)
            elif isinstance(order, scheduler.KillProbe) and self.refresh:
                self.refresh.kill(order.why)
                self.meanwhile_at_s = now
            elif isinstance(order, scheduler.ReportStuck) and self.refresh:
                self._stuck(self.refresh)

    # A pass

    def _begin(self, order: scheduler.StartProbe) -> None:
        self.begins()
        happened = Pending(order.events, order.count)
        if restore_policy.nothing_else(happened, self.published.files):
            self._restore(happened)
        settings, target = self.configuration.settings, self.configuration.target
        known = Known(last_pass.read(target.path), self._examine, lambda: self.others.conflicts, self._is_ours())
        host = (settings.device_nodes, settings.dev_char_links)
        request = Request(settings.here, True, known.last.fingerprint, *host)
        now = time.monotonic()
        for source in self.sources:
            source.pass_begins(now)
        self.meanwhile_at_s = now + HANGS_AFTER_S
        self.refresh = Refresh(order.events, order.count, request, target, known)
        if not self.refresh.is_without_child:  # else the loop ends it in its next turn
            self.loop.listen(self.refresh.fileno(), self.child_spoke)

    def _examine(self, written: Mapping[str, Spec]) -> list[RuleFinding]:
        """By the rules about our own specs; OtherSpecs checks what others do to them."""
        return [*before_publishing(written, (), probed=True), *self.others.conflicts]

    def _is_ours(self) -> bool:
        return not self.reporter.has_probed or self.published.is_as_published()

    def _child_spoke(self, _: float) -> None:
        self.child_spoke()

    def _kill_late(self, _: float) -> None:
        if self.refresh:
            self.refresh.kill_late()

    def child_spoke(self) -> None:
        refresh = self.refresh
        if refresh is None:
            return
        if refresh.fileno() >= 0 and refresh.read():
            self.loop.ignore(refresh.fileno())
        if refresh.is_over():
            self.refresh, self.meanwhile_at_s = None, math.inf
            try:
                made = pipeline.draft(refresh, refresh.request, refresh.target, refresh.known)
            finally:
                refresh.close()
            self._end(refresh, made)

    def _end(self, refresh: Refresh, made: Verdict) -> None:
        # The host is unchanged: the published spec is still right, whatever happened to its file meanwhile.
        if made.action == states.KEEP:
            self._restore(Pending())
        known = refresh.known._replace(is_ours=self._is_ours())
        outcome = pipeline.apply(pipeline.complete(made, refresh.target, known), refresh.target)
        pipeline.remember(outcome)
        self._take(outcome)
        self.reporter.held(self.hold.until)
        self._report(outcome, refresh.events, refresh.count, refresh.began_s)
        stuck = self.scheduler.state == scheduler.STUCK
        self.step(scheduler.CHILD_GONE if stuck else scheduler.Answered(outcome.verdict.state in states.RETRIED))
        self.ended(states.is_settled(outcome.verdict))
        if outcome.stands and self.others.may_differ(refresh.events, self.published.files):
            self._ask_others()
        gc.collect()

    def _take(self, outcome: Outcome) -> None:
        """Takes over what the outcome changes for later passes."""
        verdict = outcome.verdict
        for left in self.published.leave(outcome, pipeline.withdrawn):
            self.reporter.left(left, outcome.path)
        self.published.take(outcome)
        for source in self.sources:
            source.pass_ends(verdict.spec if outcome.files else None, outcome.stands)
        wait_s = self.configuration.settings.sweep_s if verdict.state in states.SWEPT else math.inf
        wait_s = min(wait_s, WITHDRAWN_RECHECK_S) if outcome.changed and not outcome.stands else wait_s
        self.again_at_s = time.monotonic() + wait_s
        if verdict.seen and verdict.seen.driver.library_dirs != self.configuration.library_dirs:
            self.configuration.library_dirs = verdict.seen.driver.library_dirs
            self.configure()

    def _report(self, outcome: Outcome, events: tuple[Event, ...], count: int, began_s: float) -> None:
        superseded = scheduler.is_superseded(self.scheduler)
        took_s = time.monotonic() - began_s
        done = Pass("", "", events=events, event_count=count, duration_s=took_s, superseded=superseded)
        if outcome.stands:
            done = done._replace(sha256=self.published.sha256(), devices=self.published.devices())
        self.reporter.outcome(outcome, done)

    def _stuck(self, refresh: Refresh) -> None:
        self.reporter.stuck(refresh.pid)
        self.ended(False)

    # Other specs

    def _ask_others(self) -> None:
        """Only after a pass: it takes longer than the probe."""
        descriptor = self.others.ask()
        if descriptor >= 0:
            self.loop.listen(descriptor, self.others_spoke)

    def others_spoke(self) -> None:
        descriptor, conflicts = self.others.fileno(), self.others.conflicts
        if descriptor < 0 or not self.others.read():
            return
        self.loop.ignore(descriptor)
        self.reporter.other_specs(self.others.take())
        if self.others.conflicts != conflicts:
            words = "conflicts with other specs have changed"
            self.happened(Event(Source.SWEEP, Kind.DAEMON, Action.DUE, note=words))

    # Between passes, and while one hangs

    def _restore_at_once(self, events: tuple[Event, ...]) -> None:
        """Containers that start before the probe is done get the previous spec."""
        why = restore_policy.written_to(events, self.published.files)
        if why and not self.published.was_restored_just_now() and self.published.lost():
            self._restore(Pending((why,), 1))

    def _restore(self, happened: Pending) -> None:
        loss = self.published.lost()
        if loss and not self.published.restore():
            self.reporter.restored(restore_policy.reason(happened, loss))

    def _meanwhile(self, now: float) -> None:
        """While a child probes, perhaps for a minute, or is stuck for days; and while probes are held back."""
        self.meanwhile_at_s = math.inf
        self.child_spoke()
        if (not self.refresh and not self.is_held()) or self._withdraw_removed():
            return
        pending, loss = self.scheduler.pending, self.published.lost()
        hangs_from_s = self.refresh.began_s + HANGS_AFTER_S if self.refresh else math.inf
        only = restore_policy.nothing_else(pending, self.published.files)
        if loss and (only or loss.action is Action.DAMAGED or now >= hangs_from_s):
            self._restore(pending)
        elif loss and self.refresh:
            self.meanwhile_at_s = hangs_from_s

    def _withdraw_removed(self) -> bool:
        """Removed GPUs are detected without a probe. Returns whether the spec has changed."""
        choices, target = self.configuration.settings.here, self.configuration.target
        if not self.refresh or not self.published.files or choices.mode not in removed_gpus.GATED_MODES:
            return False
        with contextlib.suppress(Fault, OSError):  # without it nothing is known
            seen = machine.presence(Tree(choices.driver_root))
            made = states.absence(seen)
            left = removed_gpus.without_removed(self.published.inventory, seen) if not made else None
            if left:
                made = states.draft(left, choices, True)
            if made and made.action != states.KEEP:
                known = Known(examine=self._examine, conflicts=lambda: self.others.conflicts, refuses=False)
                outcome = pipeline.apply(pipeline.complete(made, target, known), target)
                self._take(outcome)
                self._report(outcome, self.scheduler.pending.first or self.refresh.events, 1, self.refresh.began_s)
                self.reporter.state()
                return True
        return False
