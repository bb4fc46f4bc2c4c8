"""What holds for all events, in any order, by any clock."""

import math
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from cdi_refreshd.core.refresh import scheduler as r
from tests.unit.core.refresh.world import LEAVING, TIMING, World, backoff, burst, event

PAUSES = st.sampled_from([0.0, 0.001, 0.02, 0.049, 0.05, 0.2, 0.5, 1.0, 5.0, 61.0, 200.0]) | st.floats(0, 8)
JUMPS = st.sampled_from([-1e6, -60.0, -3.0, -0.3, -0.01, 0.04, 1.0, 70.0, 1e6])


class AnyLife(RuleBasedStateMachine):
    """The assertions are in World: they compare every order with what the world knows."""

    def __init__(self):
        super().__init__()
        self.world = World()

    @rule(number=st.integers(0, 20) | st.sampled_from(LEAVING))
    def something_happens(self, number):
        self.world.happen(number)

    @rule(number=st.integers(0, 20), times=st.integers(2, 12), gap_s=st.sampled_from([0.0, 0.01, 0.04]))
    def much_happens(self, number, times, gap_s):
        for i in range(times):
            self.world.happen(number + i)
            self.world.pass_time(gap_s)

    @rule(seconds=PAUSES)
    def time_passes(self, seconds):
        self.world.pass_time(seconds)

    @rule()
    def a_loop_wakes_for_other_reasons(self):
        self.world.step(r.TICK)

    @precondition(lambda self: self.world.child)
    @rule(retry=st.booleans())
    def the_child_answers(self, retry):
        self.world.answer(retry)

    @precondition(lambda self: self.world.child)
    @rule()
    def the_child_dies(self):
        self.world.gone()

    @precondition(lambda self: not self.world.child)
    @rule(what=st.sampled_from([r.Answered(True), r.Answered(False), r.CHILD_GONE]))
    def old_news_of_a_child_that_is_gone(self, what):
        before = self.world.scheduler
        assert self.world.step(what) == ()
        after = self.world.scheduler
        assert (after.state, after.attempt, after.storm) == (before.state, before.attempt, before.storm)

    @rule(by_s=JUMPS)
    def the_clock_jumps(self, by_s):
        self.world.jump(by_s)

    @precondition(lambda self: len(self.world.log) > 15)
    @rule()
    def stop(self):
        self.world.stop()

    @invariant()
    def a_killed_child_that_lives_is_stuck_and_told_in_time(self):
        world = self.world
        if world.child and world.killed and not world.stopped and not world.reported:
            assert world.scheduler.state == r.KILLED

    def teardown(self):
        """Whatever happened before: in a quiet time, everything that waits is served."""
        world = self.world
        if world.child and not world.stopped:
            world.answer(False)
        world.pass_time(3 * TIMING.storm_settle_at_most_s + 100)
        assert not world.waiting or world.stopped
        replayed = r.Scheduler()
        for what, now, orders in world.log:
            replayed, again = r.step(replayed, what, now, world.timing, world.backoff)
            assert again == orders, "not the same twice"
        assert replayed == world.scheduler


AnyLife.TestCase.settings = settings(max_examples=100, stateful_step_count=60, deadline=None)
TestWhateverHappens = AnyLife.TestCase


GAPS = st.lists(st.floats(0.0, 0.04), min_size=1, max_size=80)


@settings(deadline=None)
@given(GAPS, st.sampled_from([0.0, 0.001, 0.03, 0.2, 1.0, 3.0]))
def test_a_burst_of_up_to_three_seconds_costs_at_most_three_probes(gaps_s, probe_s):
    world = burst(gaps_s, probe_s)
    assert 1 <= len(world.probes) <= 3
    assert world.probes[-1][0] >= sum(gaps_s[:-1])
    assert sum(order.count for _, order in world.probes) == len(gaps_s)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.005, 0.045), st.floats(5, 60), st.sampled_from([0.0, 0.03, 0.4]))
def test_a_storm_that_goes_on_is_probed_every_few_seconds_and_not_more_often(gap_s, lasts_s, probe_s):
    world = burst([gap_s] * int(lasts_s / gap_s), probe_s)
    begun_s = [at_s for at_s, _ in world.probes]
    assert len(begun_s) <= 4 + lasts_s / TIMING.storm_settle_at_most_s
    longest_s = max(b - a for a, b in pairwise(begun_s))
    assert longest_s <= TIMING.storm_settle_at_most_s + probe_s + gap_s + 1e-6


@settings(deadline=None)
@given(st.lists(st.floats(0.06, 0.3), min_size=30, max_size=60))
def test_probes_that_cause_events_are_slowed_down(probes_s):
    """Each probe makes one event, as a node that NVML creates would, and is quiet otherwise."""
    world = World()
    world.happen()
    world.run_until_probe()
    for probe_s in probes_s:
        world.pass_time(probe_s / 2)
        world.happen()
        world.pass_time(probe_s / 2)
        world.answer()
        world.run_until_probe()
    begun_s = [at_s for at_s, _ in world.probes]
    assert all(b - a >= 4.9 for a, b in pairwise(begun_s[9:]))


@given(st.integers(1, 40), st.lists(st.floats(0.5, 100.0), min_size=40, max_size=40))
def test_retries_wait_for_exactly_what_the_back_off_says(failures, waits_s):
    asked = []

    def jittered(attempt):
        asked.append(attempt)
        return waits_s[attempt - 1]

    world = World(backoff=jittered)
    world.happen()
    world.run_until_probe()
    for attempt in range(1, failures + 1):
        world.answer(retry=True)
        assert math.isclose(world.run_until_probe(), waits_s[attempt - 1], rel_tol=1e-6)
        assert world.scheduler.attempt == attempt
    assert set(asked) == set(range(1, failures + 1))


@given(
    st.sampled_from(sorted(r.STATES)),
    st.sampled_from([r.Happened(event()), r.TICK, r.Answered(True), r.Answered(False), r.CHILD_GONE, r.STOP]),
    st.floats(-1e9, 1e9),
    st.none() | st.floats(-1e9, 1e9),
    st.integers(0, 2),
)
def test_every_input_in_every_state_leads_to_a_state_of_the_table(state, what, now, due_s, count):
    pending = r.Pending((event(1),) * min(count, 1), count, now)
    after, orders = r.step(r.Scheduler(state, due_s, pending), what, now, TIMING, backoff)
    assert after.state in r.STATES
    started = [order for order in orders if isinstance(order, r.StartProbe)]
    assert bool(started) == (after.state == r.PROBING and state not in r.WITH_CHILD)
    assert after.state == r.STOPPED or state != r.STOPPED
    assert (after.due_s is None) or after.state not in (r.IDLE, r.STOPPED) or after.due_s == due_s
