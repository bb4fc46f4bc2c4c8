"""A daemon without a machine: a clock that the test turns, and a child that is only a word."""

import math

from cdi_refreshd.core.refresh import scheduler as r
from cdi_refreshd.core.refresh.driver_unload import is_sign
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source

TIMING = r.Timing()
ROUNDING_S = 1e-6


def backoff(attempt):
    return min(0.5 * 2.0 ** (attempt - 1), 60.0)


LEAVING = range(100, 120)
"""Numbers of events that announce a driver's unloading."""


def event(number=0):
    action = Action.REMOVE if number in LEAVING else Action.CHANGE
    return Event(Source.UDEV, Kind.DRM, action, subject=f"card{number}")


def retry(number):
    return Event(Source.RETRY, Kind.DAEMON, Action.DUE, note=f"number {number}")


class World:
    """Drives `step` the way a loop does: it wakes at the deadline as it stood when it went to sleep.

    Every action is held against what the world knows by itself: who lives, who waits, what time it really is.
    """

    def __init__(self, timing=TIMING, backoff=backoff):
        self.timing, self.backoff = timing, backoff
        self.scheduler = r.Scheduler()
        self.real_s, self.skew_s = 0.0, 1000.0
        self.wakes_s = math.inf
        self.log = []
        self.child = self.killed = self.reported = self.stopped = False
        self.began_s = self.ended_s = self.jumped_s = self.forward_s = -math.inf
        self.waiting = []  # (real time, event) that no probe has begun after
        self.leaving = False  # one of them announces the driver's unloading
        self.failures, self.retry_from_s = 0, None
        self.probes = []

    # What happens

    def happen(self, number=0):
        self.waiting.append((self.real_s, event(number)))
        self.leaving = self.leaving or is_sign(event(number))
        return self.step(r.Happened(event(number)))

    def answer(self, retry=False):
        assert self.child
        self._end(retry)
        return self.step(r.Answered(retry))

    def gone(self):
        assert self.child
        self._end(True)
        return self.step(r.CHILD_GONE)

    def stop(self):
        self.stopped = True
        return self.step(r.STOP)

    def jump(self, by_s):
        self.skew_s += by_s
        self.jumped_s = self.real_s
        if by_s > 0:
            self.forward_s = self.real_s

    def pass_time(self, seconds):
        until_s = self.real_s + seconds
        turns = 0
        while self.wakes_s <= until_s + ROUNDING_S:
            self.real_s = max(self.real_s, self.wakes_s)
            before_s = self.wakes_s
            self.step(r.TICK)
            turns = turns + 1 if self.wakes_s <= before_s else 0
            assert turns < 3, "the deadline does not move: the loop would spin"
        self.real_s = max(self.real_s, until_s)
        self._nobody_waits_too_long()

    def run_until_probe(self):
        """Returns how long it took, in real seconds."""
        from_s, probes = self.real_s, len(self.probes)
        while len(self.probes) == probes:
            assert self.wakes_s < math.inf, "nothing will ever start"
            self.pass_time(max(0.0, self.wakes_s - self.real_s))
        return self.real_s - from_s

    # What follows

    def step(self, what):
        now, due_s = self.real_s + self.skew_s, r.next_deadline(self.scheduler)
        if due_s is not None and abs(due_s - now) < ROUNDING_S:
            now = due_s
        self.scheduler, orders = r.step(self.scheduler, what, now, self.timing, self.backoff)
        self.log.append((what, now, orders))
        for order in orders:
            {r.StartProbe: self._started, r.KillProbe: self._kill, r.ReportStuck: self._reported}[type(order)](order)
        deadline = r.next_deadline(self.scheduler)
        self.wakes_s = math.inf if deadline is None else self.real_s + (deadline - now)
        self._small()
        return orders

    def _started(self, order):
        assert not self.child, "two probes at once"
        assert not self.stopped, "started after stop"
        if self.waiting:
            distinct = tuple(dict.fromkeys(t for _, t in self.waiting))
            assert order == r.StartProbe(distinct[: r.KEPT], len(self.waiting)), "not the events that came"
        else:
            assert self.retry_from_s is not None, "started without an event or a failure"
            if self.forward_s < self.retry_from_s:
                waited_s = self.real_s - self.retry_from_s
                assert waited_s >= self.backoff(self.failures) - ROUNDING_S, "tried again before its time"
            assert order == r.StartProbe((retry(self.failures),), 1)
        self.child, self.killed, self.reported = True, False, False
        self.began_s, self.retry_from_s, self.waiting, self.leaving = self.real_s, None, [], False
        self.probes.append((self.real_s, order))

    def _kill(self, order):
        assert self.child, "killed nobody"
        if not self.stopped and not self.killed and self.forward_s < self.began_s:
            assert self.real_s - self.began_s >= self.timing.probe_limit_s - ROUNDING_S, "killed before its time"
        self.killed = True

    def _reported(self, order):
        assert self.child, "nobody is stuck"
        assert not self.reported, "reported twice"
        assert not self.stopped
        self.reported = True

    def _end(self, retry):
        self.child, self.ended_s = False, self.real_s
        self.failures = self.failures + 1 if retry else 0
        self.retry_from_s = self.real_s if retry else None

    def _nobody_waits_too_long(self):
        bound_s = self.timing.storm_settle_at_most_s
        if self.leaving:
            bound_s += 2 * self.timing.leaving_s
        if self.stopped:
            assert self.wakes_s == math.inf, "wakes up after stop"
        elif self.child:
            if not self.killed and not self.reported:
                ran_s = self.real_s - max(self.began_s, self.jumped_s)
                assert ran_s <= 2 * self.timing.probe_limit_s + ROUNDING_S, "probes for ever"
            assert self.wakes_s < math.inf, "nothing watches the child"
        elif self.waiting:
            since_s = max(self.waiting[0][0], self.ended_s)
            # A clock set back can cost the time since the last step once more.
            allowed_s = since_s + bound_s if self.jumped_s < since_s else self.jumped_s + 2 * bound_s
            assert self.real_s <= allowed_s + ROUNDING_S, "an event waits for longer than the bound"
        elif self.retry_from_s is not None and self.jumped_s < self.retry_from_s:
            assert self.real_s <= self.retry_from_s + self.backoff(self.failures) + ROUNDING_S, "no retry"

    def _small(self):
        pending = self.scheduler.pending
        assert len(pending.first) <= r.KEPT, "keeps what it should only count"
        assert self.scheduler.storm <= r.STORM_LEVELS


def burst(gaps_s, probe_s):
    """The world after a burst with those gaps, each probe taking `probe_s`, and a quiet time."""
    world = World()
    for number, gap_s in enumerate(gaps_s):
        world.happen(number)
        pass_answering(world, gap_s, probe_s)
    pass_answering(world, 100.0, probe_s)
    return world


def pass_answering(world, seconds, probe_s):
    until_s = world.real_s + seconds
    while True:
        answers_s = world.began_s + probe_s if world.child else math.inf
        upto_s = min(until_s, max(answers_s, world.real_s), max(world.wakes_s, world.real_s))
        world.pass_time(upto_s - world.real_s)
        if world.child and world.real_s >= world.began_s + probe_s:
            world.answer()
        elif world.real_s >= until_s:
            return
