"""When to probe: a table of states and inputs. Time is passed in, in seconds of a monotonic clock.

The caller calls `step` for everything that happens, and with TICK at `next_deadline` at the latest, and carries out
the orders. It may be late, and its clock may jump: that costs time, but no probe is lost.
"""

from collections.abc import Callable
from typing import NamedTuple

from cdi_refreshd.core.refresh.driver_unload import is_sign
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source

KEPT = 8
"""Distinct events remembered until the next probe; the rest is counted."""
SLEPT_S = 5.0
"""A deadline missed by more than this: machine or daemon was suspended, and perhaps the child as well."""
STORM_LEVELS = 20
SUPERSEDED_AT_MOST = 3
"""The most probes in a row that may be superseded: in an endless storm of events each one would be."""

IDLE, SETTLING, PROBING, BEHIND = "idle", "settling", "probing", "behind"
KILLED, STUCK, BACKOFF, STOPPED = "killed", "stuck", "backoff", "stopped"
STATES = {
    IDLE: "nothing to do",
    SETTLING: "something happened, waiting for quiet",
    PROBING: "a child probes",
    BEHIND: "a child probes, and something happened since it began",
    KILLED: "the child took too long, its end is awaited",
    STUCK: "the child does not die",
    BACKOFF: "the last probe was not enough, another is due later",
    STOPPED: "for good",
}
WITH_CHILD = (PROBING, BEHIND, KILLED, STUCK)


class Timing(NamedTuple):
    settle_s: float = 0.05
    """How long it must be quiet after an event, so that events that come together cost one probe."""
    settle_at_most_s: float = 0.5
    """The longest time from the first event to the probe, even if it is never quiet."""
    leaving_s: float = 2.0
    """Instead of `settle_s` while there are only signs that the driver is being unloaded; twice that at most."""
    storm_settle_at_most_s: float = 5.0
    """What the two above may grow to while every probe is superseded by the next event."""
    probe_limit_s: float = 60.0
    """A probe that takes longer is killed."""
    stuck_recheck_s: float = 5.0
    """How long a killed child may take to die before it counts as stuck; also the time between kills of a stuck one."""


class Happened(NamedTuple):
    event: Event


class Tick(NamedTuple):
    """Time has passed."""


class Answered(NamedTuple):
    """The child has ended, and its answer, or the lack of one, was judged and applied."""

    retry: bool
    """The outcome may improve without any event: failed, waiting-userspace."""


class ChildGone(NamedTuple):
    """The child has ended, and there is nothing to judge."""


class Stop(NamedTuple):
    """Nothing is started after this."""


class StartProbe(NamedTuple):
    events: tuple[Event, ...]
    """Why: the first distinct events in order of arrival, at most KEPT; a `retry` if only time has passed."""
    count: int  # type: ignore[assignment]  # nobody counts in it with tuple.count
    """The number of all events, including those not listed."""


class KillProbe(NamedTuple):
    """Kill the child, again if necessary, and report its end: Answered or ChildGone."""

    why: str
    """Goes after `the child`: `did not answer within 60 s`."""


class ReportStuck(NamedTuple):
    """Report that the child does not die. Once for each such child."""


Input = Happened | Tick | Answered | ChildGone | Stop
Order = StartProbe | KillProbe | ReportStuck
Orders = tuple[Order, ...]

TICK, CHILD_GONE, STOP, REPORT_STUCK = Tick(), ChildGone(), Stop(), ReportStuck()


class Pending(NamedTuple):
    """The events that no probe has covered yet."""

    first: tuple[Event, ...] = ()
    number: int = 0
    since_s: float = 0.0
    leaving: bool = False
    """All events are signs of a driver unload."""

    def is_whole(self) -> bool:
        """Whether every distinct event is in `first`."""
        return len(self.first) < KEPT or len(self.first) == self.number


class Scheduler(NamedTuple):
    state: str = IDLE
    due_s: float | None = None
    """The one deadline. The state decides what it is for: probe, kill, kill again, retry."""
    pending: Pending = Pending()
    last_s: float = float("-inf")
    """When the last event came, whether or not it was probed since."""
    storm: int = 0
    """Probes in a row that were superseded by events. Each one doubles the settle times."""
    attempt: int = 0
    """Probes in a row that were not enough."""
    seen_s: float = float("-inf")
    """The time of the last step."""


class Moment(NamedTuple):
    input: Input
    now: float
    timing: Timing
    backoff: Callable[[int], float]


Do = Callable[[Scheduler, Moment], tuple[Scheduler, Orders]]
Guard = Callable[[Scheduler, Moment], bool]


def step(
    now_state: Scheduler, what: Input, now: float, timing: Timing, backoff: Callable[[int], float]
) -> tuple[Scheduler, Orders]:
    """The next state and the orders after `what` at `now`. Input without a row in the table changes nothing.

    `backoff`: seconds to wait after that many probes in a row that were not enough, from 1.
    """
    before = _on_this_clock(now_state, now)
    moment = Moment(what, now, timing, backoff)
    for row in MOVES.get((before.state, type(what)), ()):
        if row.when(before, moment):
            after, orders = row.do(before, moment)
            return after._replace(state=row.to or before.state), orders
    return before, ()


def next_deadline(r: Scheduler) -> float | None:
    """When to step with TICK at the latest; None: not before an event. It may have passed already."""
    return r.due_s


def is_superseded(r: Scheduler) -> bool:
    """Whether another probe is due soon anyway, so that the outcome of this one is superseded."""
    return r.pending.number > 0 and r.storm <= SUPERSEDED_AT_MOST


def _on_this_clock(r: Scheduler, now: float) -> Scheduler:
    """A clock that was set back would delay every deadline by as much, so they are set back as well."""
    back_s = r.seen_s - now
    if back_s <= 0:
        return r._replace(seen_s=now)
    return r._replace(
        seen_s=now,
        due_s=None if r.due_s is None else r.due_s - back_s,
        last_s=r.last_s - back_s,
        pending=r.pending._replace(since_s=r.pending.since_s - back_s),
    )


def _settle_s(storm: int, timing: Timing) -> float:
    return min(timing.settle_s * 2.0**storm, timing.storm_settle_at_most_s)


def _probe_due_s(r: Scheduler, timing: Timing) -> float:
    settle_s = _settle_s(r.storm, timing)
    at_most_s = min(timing.settle_at_most_s * 2.0**r.storm, timing.storm_settle_at_most_s)
    if r.pending.leaving:
        settle_s, at_most_s = max(settle_s, timing.leaving_s), max(at_most_s, 2 * timing.leaving_s)
    return min(r.last_s + settle_s, r.pending.since_s + at_most_s)


def _storm(r: Scheduler, now: float, timing: Timing) -> int:
    """Of the first event since a probe began.

    A probe can be superseded after its end, too: short ones fit between two events of one storm. The settle time
    grows with its bound because a probe may cause the event that causes the next one, each time and never in a burst.
    """
    superseded = r.state in WITH_CHILD or now - r.last_s < _settle_s(r.storm, timing)
    return min(r.storm + 1, STORM_LEVELS) if superseded else 0


def _note(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    assert isinstance(m.input, Happened)
    event, pending, storm = m.input.event, r.pending, r.storm
    leaving = is_sign(event)
    if not pending.number:
        pending, storm = Pending(since_s=m.now, leaving=leaving), _storm(r, m.now, m.timing)
    elif pending.leaving and not leaving:
        pending = pending._replace(since_s=m.now, leaving=False)
    known = event in pending.first or len(pending.first) == KEPT
    first = pending.first if known else (*pending.first, event)
    return r._replace(
        pending=pending._replace(first=first, number=pending.number + 1),
        last_s=m.now,
        storm=storm,
    ), ()


def _settle(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    noted, orders = _note(r, m)
    return noted._replace(due_s=_probe_due_s(noted, m.timing)), orders


def _start(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    return r._replace(
        due_s=m.now + m.timing.probe_limit_s,
        pending=Pending(),
    ), (StartProbe(r.pending.first, r.pending.number),)


def _retry(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    started, _ = _start(r, m)
    return started, (StartProbe((Event(Source.RETRY, Kind.DAEMON, Action.DUE, note=f"number {r.attempt}"),), 1),)


def _attempt(r: Scheduler, what: Input) -> int:
    return r.attempt + 1 if not isinstance(what, Answered) or what.retry else 0


def _rest(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    return r._replace(due_s=None, attempt=_attempt(r, m.input)), ()


def _back_off(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    attempt = _attempt(r, m.input)
    return r._replace(due_s=m.now + m.backoff(attempt), attempt=attempt), ()


def _again(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    return r._replace(due_s=_probe_due_s(r, m.timing), attempt=_attempt(r, m.input)), ()


def _renew(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    limit_s = m.timing.stuck_recheck_s if r.state == KILLED else m.timing.probe_limit_s
    return r._replace(due_s=m.now + limit_s), ()


def _kill(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    killed = KillProbe(f"did not answer within {m.timing.probe_limit_s:g} s")
    return r._replace(due_s=m.now + m.timing.stuck_recheck_s), (killed,)


def _report(r: Scheduler, m: Moment) -> tuple[Scheduler, Orders]:
    return r._replace(due_s=m.now + m.timing.stuck_recheck_s), (REPORT_STUCK,)


def _stop(r: Scheduler, _: Moment) -> tuple[Scheduler, Orders]:
    kill = (KillProbe("is no longer needed"),) if r.state in (PROBING, BEHIND) else ()
    return r._replace(due_s=None, pending=Pending()), kill


def _always(_: Scheduler, __: Moment) -> bool:
    return True


def _due(r: Scheduler, m: Moment) -> bool:
    return r.due_s is not None and m.now >= r.due_s


def _slept(r: Scheduler, m: Moment) -> bool:
    return r.due_s is not None and m.now - r.due_s > SLEPT_S


def _pending(r: Scheduler, _: Moment) -> bool:
    return r.pending.number > 0


def _not_enough(_: Scheduler, m: Moment) -> bool:
    return isinstance(m.input, Answered) and m.input.retry


class Row(NamedTuple):
    """The first row whose guard holds applies."""

    states: tuple[str, ...]
    input: type[Input]
    to: str
    """Empty: the state stays."""
    do: Do
    why: str
    """The label of the arrow in the diagram."""
    when: Guard = _always


RUNNING = tuple(state for state in STATES if state != STOPPED)
TABLE = (
    Row((IDLE,), Happened, SETTLING, _settle, "something happened"),
    Row((BACKOFF,), Happened, SETTLING, _settle, "something happened before the next try"),
    Row((SETTLING,), Happened, "", _settle, "another event"),
    Row((SETTLING,), Tick, PROBING, _start, "quiet, or the bound is reached", _due),
    Row((BACKOFF,), Tick, PROBING, _retry, "the next try is due", _due),
    Row((PROBING,), Happened, BEHIND, _note, "something happened meanwhile"),
    Row((BEHIND, KILLED, STUCK), Happened, "", _note, "remembered for the next probe"),
    Row((BEHIND, KILLED, STUCK), Answered, SETTLING, _again, "an answer, superseded", _pending),
    Row((PROBING, KILLED, STUCK), Answered, BACKOFF, _back_off, "an answer, but not enough", _not_enough),
    Row((PROBING, KILLED, STUCK), Answered, IDLE, _rest, "an answer"),
    Row((PROBING, BEHIND, KILLED), Tick, "", _renew, "suspended past the limit, so it starts again", _slept),
    Row((PROBING, BEHIND), Tick, KILLED, _kill, "the limit has passed", _due),
    Row((STUCK,), Tick, "", _kill, "killed once more", _due),
    Row((KILLED,), Tick, STUCK, _report, "lives on", _due),
    Row((BEHIND, KILLED, STUCK), ChildGone, SETTLING, _again, "ended, and something happened", _pending),
    Row((PROBING, KILLED, STUCK), ChildGone, BACKOFF, _back_off, "ended without an answer"),
    Row(RUNNING, Stop, STOPPED, _stop, "asked to stop"),
)
MOVES: dict[tuple[str, type[Input]], tuple[Row, ...]] = {
    (state, kind): rows
    for state in STATES
    for kind in (Happened, Tick, Answered, ChildGone, Stop)
    if (rows := tuple(row for row in TABLE if state in row.states and row.input is kind))
}


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> running", "    state running {"]
    lines += [f'        state "{state}, {STATES[state]}" as {state}' for state in RUNNING]
    lines += [f"        [*] --> {IDLE}"]
    for row in TABLE:
        if row.states != RUNNING:
            label = f"{row.input.__name__}, {row.why}"
            lines += [f"        {state} --> {row.to or state}: {label}" for state in row.states]
    lines += ["    }"]
    for row in TABLE:
        if row.states == RUNNING:
            lines += [f"    running --> {row.to}: {row.input.__name__}, {row.why}"]
    return "\n".join([*lines, f"    {STOPPED} --> [*]", ""])
