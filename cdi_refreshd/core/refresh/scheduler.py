"""When to look at the machine: a table of states and events. Time is passed in, in seconds of a monotonic clock.

Whoever drives it calls `step` for everything that happens, and with TICK at `next_deadline` at the latest, and carries
out the actions. It may be late, and its clock may jump: that costs time, never a probe that was due.
"""

from collections.abc import Callable
from typing import NamedTuple

from cdi_refreshd.core.refresh.driver_unload import is_sign
from cdi_refreshd.core.refresh.event import Trigger

KEPT = 8
"""Distinct triggers remembered until the next probe; the rest is counted."""
SLEPT_S = 5.0
"""A deadline missed by more than this was slept through: machine or daemon stood still, and the child may have too."""
STORM_LEVELS = 20
SUPERSEDED_AT_MOST = 3
"""Looks in a row whose word does not count because something has happened since: in an endless storm each would be."""

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
    """Quiet that is waited for after a trigger, so that what comes together is looked at once."""
    settle_at_most_s: float = 0.5
    """From the first trigger to the probe, though it be never quiet."""
    leaving_s: float = 2.0
    """Instead of `settle_s` while there are only signs that the driver is being taken away; twice that at most."""
    storm_settle_at_most_s: float = 5.0
    """What the two above may grow to while every probe is superseded by the next trigger."""
    probe_limit_s: float = 60.0
    """A probe that takes longer is killed."""
    stuck_recheck_s: float = 5.0
    """How long a killed child may take before it counts as stuck, and the time between two kills of a stuck one."""


class Triggered(NamedTuple):
    trigger: Trigger


class Tick(NamedTuple):
    """Time has passed."""


class Answered(NamedTuple):
    """The child has ended, and its answer, or the lack of one, was judged and carried out."""

    retry: bool
    """The outcome may get better without any trigger: failed, waiting-userspace."""


class ChildGone(NamedTuple):
    """The child has ended, and there is nothing to judge."""


class ChildStuck(NamedTuple):
    """The child was killed and lives."""


class Stop(NamedTuple):
    """Nothing is started after this."""


class StartProbe(NamedTuple):
    triggers: tuple[Trigger, ...]
    """Why: the first distinct ones, in the order they came, KEPT at most; a `retry` where time alone is the reason."""
    count: int  # type: ignore[assignment]  # nobody counts in it with tuple.count
    """All of them, those not named included."""


class KillProbe(NamedTuple):
    """Kill the child, again if need be, and tell what became of it: Answered, ChildGone or ChildStuck."""

    why: str
    """Goes after `the child`: `did not answer within 60 s`."""


class ReportStuck(NamedTuple):
    """Tell people that the child does not die. Comes once for each such child."""


Event = Triggered | Tick | Answered | ChildGone | ChildStuck | Stop
Action = StartProbe | KillProbe | ReportStuck
Actions = tuple[Action, ...]

TICK, CHILD_GONE, CHILD_STUCK, STOP, REPORT_STUCK = Tick(), ChildGone(), ChildStuck(), Stop(), ReportStuck()


class Pending(NamedTuple):
    """What no probe has answered yet."""

    first: tuple[Trigger, ...] = ()
    number: int = 0
    since_s: float = 0.0
    leaving: bool = False
    """Nothing else has happened than that parts of the driver went."""

    def is_whole(self) -> bool:
        """Whether every distinct trigger is in `first`."""
        return len(self.first) < KEPT or len(self.first) == self.number


class Counters(NamedTuple):
    triggers: int = 0
    probes: int = 0
    retries: int = 0
    """Probes that were started by the back-off alone."""
    killed: int = 0
    stuck: int = 0


class Reconciler(NamedTuple):
    state: str = IDLE
    due_s: float | None = None
    """The one deadline. What it is for, the state says: probe, kill, kill again, try again."""
    pending: Pending = Pending()
    last_s: float = float("-inf")
    """When the last trigger came, whether or not it was looked at since."""
    storm: int = 0
    """Looks in a row that were superseded by triggers. Each doubles the settle times."""
    attempt: int = 0
    """Looks in a row that were not enough."""
    seen_s: float = float("-inf")
    """The time of the last step."""
    counters: Counters = Counters()


class Moment(NamedTuple):
    event: Event
    now: float
    timing: Timing
    backoff: Callable[[int], float]


Do = Callable[[Reconciler, Moment], tuple[Reconciler, Actions]]
Guard = Callable[[Reconciler, Moment], bool]


def step(
    now_state: Reconciler, event: Event, now: float, timing: Timing, backoff: Callable[[int], float]
) -> tuple[Reconciler, Actions]:
    """What follows from `event` at `now`. An event that has no row in the table changes nothing.

    `backoff`: seconds to wait after that many looks in a row that were not enough, from 1.
    """
    before = _on_this_clock(now_state, now)
    moment = Moment(event, now, timing, backoff)
    for row in MOVES.get((before.state, type(event)), ()):
        if row.when(before, moment):
            after, actions = row.do(before, moment)
            return after._replace(state=row.to or before.state), actions
    return before, ()


def next_deadline(r: Reconciler) -> float | None:
    """When to step with TICK at the latest; None: not before something happens. May have passed already."""
    return r.due_s


def is_superseded(r: Reconciler) -> bool:
    """Whether another probe is due anyway and soon, so that the outcome of this one is of before."""
    return r.pending.number > 0 and r.storm <= SUPERSEDED_AT_MOST


def _on_this_clock(r: Reconciler, now: float) -> Reconciler:
    """A clock that was set back would move every deadline away by as much, so they are set back with it."""
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


def _probe_due_s(r: Reconciler, timing: Timing) -> float:
    settle_s = _settle_s(r.storm, timing)
    at_most_s = min(timing.settle_at_most_s * 2.0**r.storm, timing.storm_settle_at_most_s)
    if r.pending.leaving:
        settle_s, at_most_s = max(settle_s, timing.leaving_s), max(at_most_s, 2 * timing.leaving_s)
    return min(r.last_s + settle_s, r.pending.since_s + at_most_s)


def _storm(r: Reconciler, now: float, timing: Timing) -> int:
    """Of the first trigger since a probe began.

    Superseded is a probe not only while it lasts: short ones fit between two drops of the same rain. The quiet time
    grows with its bound because a probe may itself cause what triggers the next, every time, and never in a burst.
    """
    superseded = r.state in WITH_CHILD or now - r.last_s < _settle_s(r.storm, timing)
    return min(r.storm + 1, STORM_LEVELS) if superseded else 0


def _note(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    assert isinstance(m.event, Triggered)
    trigger, pending, storm = m.event.trigger, r.pending, r.storm
    leaving = is_sign(trigger.detail)
    if not pending.number:
        pending, storm = Pending(since_s=m.now, leaving=leaving), _storm(r, m.now, m.timing)
    elif pending.leaving and not leaving:
        pending = pending._replace(since_s=m.now, leaving=False)
    known = trigger in pending.first or len(pending.first) == KEPT
    first = pending.first if known else (*pending.first, trigger)
    return r._replace(
        pending=pending._replace(first=first, number=pending.number + 1),
        last_s=m.now,
        storm=storm,
        counters=r.counters._replace(triggers=r.counters.triggers + 1),
    ), ()


def _settle(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    noted, actions = _note(r, m)
    return noted._replace(due_s=_probe_due_s(noted, m.timing)), actions


def _start(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    return r._replace(
        due_s=m.now + m.timing.probe_limit_s,
        pending=Pending(),
        counters=r.counters._replace(probes=r.counters.probes + 1),
    ), (StartProbe(r.pending.first, r.pending.number),)


def _retry(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    started, _ = _start(r, m)
    counters = started.counters._replace(retries=r.counters.retries + 1)
    return started._replace(counters=counters), (StartProbe((Trigger("retry", f"number {r.attempt}"),), 1),)


def _attempt(r: Reconciler, event: Event) -> int:
    return r.attempt + 1 if not isinstance(event, Answered) or event.retry else 0


def _rest(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    return r._replace(due_s=None, attempt=_attempt(r, m.event)), ()


def _back_off(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    attempt = _attempt(r, m.event)
    return r._replace(due_s=m.now + m.backoff(attempt), attempt=attempt), ()


def _again(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    return r._replace(due_s=_probe_due_s(r, m.timing), attempt=_attempt(r, m.event)), ()


def _renew(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    limit_s = m.timing.stuck_recheck_s if r.state == KILLED else m.timing.probe_limit_s
    return r._replace(due_s=m.now + limit_s), ()


def _kill(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    counters = r.counters._replace(killed=r.counters.killed + (r.state != STUCK))
    killed = KillProbe(f"did not answer within {m.timing.probe_limit_s:g} s")
    return r._replace(due_s=m.now + m.timing.stuck_recheck_s, counters=counters), (killed,)


def _report(r: Reconciler, m: Moment) -> tuple[Reconciler, Actions]:
    counters = r.counters._replace(stuck=r.counters.stuck + 1)
    return r._replace(due_s=m.now + m.timing.stuck_recheck_s, counters=counters), (REPORT_STUCK,)


def _stop(r: Reconciler, _: Moment) -> tuple[Reconciler, Actions]:
    kill = (KillProbe("is not needed any more"),) if r.state in (PROBING, BEHIND) else ()
    return r._replace(due_s=None, pending=Pending()), kill


def _always(_: Reconciler, __: Moment) -> bool:
    return True


def _due(r: Reconciler, m: Moment) -> bool:
    return r.due_s is not None and m.now >= r.due_s


def _slept(r: Reconciler, m: Moment) -> bool:
    return r.due_s is not None and m.now - r.due_s > SLEPT_S


def _pending(r: Reconciler, _: Moment) -> bool:
    return r.pending.number > 0


def _not_enough(_: Reconciler, m: Moment) -> bool:
    return isinstance(m.event, Answered) and m.event.retry


class Row(NamedTuple):
    """The first row whose guard holds is taken."""

    states: tuple[str, ...]
    event: type[Event]
    to: str
    """Empty: the state stays."""
    do: Do
    why: str
    """What the diagram says on the arrow."""
    when: Guard = _always


RUNNING = tuple(state for state in STATES if state != STOPPED)
TABLE = (
    Row((IDLE,), Triggered, SETTLING, _settle, "something happened"),
    Row((BACKOFF,), Triggered, SETTLING, _settle, "something happened, sooner than the next try"),
    Row((SETTLING,), Triggered, "", _settle, "more of it"),
    Row((SETTLING,), Tick, PROBING, _start, "quiet, or waited long enough", _due),
    Row((BACKOFF,), Tick, PROBING, _retry, "time for the next try", _due),
    Row((PROBING,), Triggered, BEHIND, _note, "something happened meanwhile"),
    Row((BEHIND, KILLED, STUCK), Triggered, "", _note, "remembered for the next probe"),
    Row((BEHIND, KILLED, STUCK), Answered, SETTLING, _again, "an answer, but of before", _pending),
    Row((PROBING, KILLED, STUCK), Answered, BACKOFF, _back_off, "an answer, but not enough", _not_enough),
    Row((PROBING, KILLED, STUCK), Answered, IDLE, _rest, "an answer"),
    Row((PROBING, BEHIND, KILLED), Tick, "", _renew, "the limit was slept through, so it begins anew", _slept),
    Row((PROBING, BEHIND), Tick, KILLED, _kill, "the limit has passed", _due),
    Row((STUCK,), Tick, "", _kill, "killed once more", _due),
    Row((KILLED,), Tick, STUCK, _report, "lives on", _due),
    Row((PROBING, BEHIND, KILLED), ChildStuck, STUCK, _report, "does not die"),
    Row((BEHIND, KILLED, STUCK), ChildGone, SETTLING, _again, "gone, and something happened", _pending),
    Row((PROBING, KILLED, STUCK), ChildGone, BACKOFF, _back_off, "gone without an answer"),
    Row(RUNNING, Stop, STOPPED, _stop, "asked to stop"),
)
MOVES: dict[tuple[str, type[Event]], tuple[Row, ...]] = {
    (state, event): rows
    for state in STATES
    for event in (Triggered, Tick, Answered, ChildGone, ChildStuck, Stop)
    if (rows := tuple(row for row in TABLE if state in row.states and row.event is event))
}


def diagram() -> str:
    """The table as a Mermaid state diagram."""
    lines = ["stateDiagram-v2", "    [*] --> running", "    state running {"]
    lines += [f'        state "{state}, {STATES[state]}" as {state}' for state in RUNNING]
    lines += [f"        [*] --> {IDLE}"]
    for row in TABLE:
        if row.states != RUNNING:
            label = f"{row.event.__name__}, {row.why}"
            lines += [f"        {state} --> {row.to or state}: {label}" for state in row.states]
    lines += ["    }"]
    for row in TABLE:
        if row.states == RUNNING:
            lines += [f"    running --> {row.to}: {row.event.__name__}, {row.why}"]
    return "\n".join([*lines, f"    {STOPPED} --> [*]", ""])
