"""The scheduler by example."""

from itertools import pairwise

import pytest

from cdi_refreshd.core.refresh import scheduler as r
from tests.unit.core.refresh.world import LEAVING, TIMING, World, backoff, burst, event, pass_answering, retry


@pytest.fixture
def world():
    return World()


@pytest.fixture
def probing(world):
    """A world whose first probe has just begun."""
    world.happen(0)
    world.run_until_probe()
    return world


def near(seconds):
    return pytest.approx(seconds, abs=1e-6)


def test_without_events_there_is_no_deadline(world):
    world.pass_time(1e6)
    assert world.log == []
    assert r.next_deadline(world.scheduler) is None


def test_a_lone_event_is_probed_after_the_settle_time(world):
    world.happen(7)
    assert world.run_until_probe() == near(TIMING.settle_s)
    assert world.probes[0][1] == r.StartProbe((event(7),), 1)


def test_each_event_of_a_group_waits_for_the_next(world):
    for number in range(4):
        world.happen(number)
        world.pass_time(0.04)
    assert world.run_until_probe() == near(0.01)
    assert world.probes[0][1] == r.StartProbe(tuple(event(n) for n in range(4)), 4)


def test_an_endless_group_is_probed_within_half_a_second_of_its_first(world):
    for number in range(100):
        if world.probes:
            break
        world.happen(number)
        world.pass_time(0.04)
    assert world.probes[0][0] == near(TIMING.settle_at_most_s)


def test_a_driver_that_is_unloaded_piece_by_piece_postpones_the_probe(world):
    for number in LEAVING[:3]:
        world.happen(number)
        world.pass_time(1.0)
    assert world.probes == []
    assert world.run_until_probe() == near(1.0)


def test_a_driver_that_unloads_without_end_is_probed_all_the_same(world):
    while not world.probes:
        world.happen(LEAVING[0])
        world.pass_time(1.5)
    assert world.probes[0][0] == near(2 * TIMING.leaving_s)


def test_other_events_during_an_unload_are_probed_as_usual(world):
    world.happen(LEAVING[0])
    world.pass_time(1.9)
    world.happen(0)
    world.happen(LEAVING[1])
    assert world.run_until_probe() == near(TIMING.settle_s)


def test_the_first_eight_different_events_are_named_in_order_and_all_are_counted(world):
    for number in (3, 1, 3, 1, 2, *range(1000)):
        world.happen(number)
    world.run_until_probe()
    named = tuple(event(n) for n in (3, 1, 2, 0, 4, 5, 6, 7))
    assert world.probes[0][1] == r.StartProbe(named, 1005)


def test_ten_thousand_events_in_two_seconds_cost_three_probes_and_the_last_comes_after_them(world):
    stormed = burst([2 / 10_000] * 10_000, probe_s=0.1)
    assert len(stormed.probes) == 3
    assert stormed.probes[-1][0] >= 2
    assert sum(order.count for _, order in stormed.probes) == 10_000


def test_ten_thousand_events_at_once_cost_one_probe():
    assert len(burst([0.0] * 10_000, probe_s=0.1).probes) == 1


def test_the_bound_doubles_in_a_storm_up_to_five_seconds(world):
    while world.real_s < 25:
        world.happen()
        pass_answering(world, 0.01, probe_s=0.2)
    begun_s = [at_s for at_s, _ in world.probes]
    between_s = [b - a for a, b in pairwise(begun_s)]
    assert begun_s[0] == near(0.5)
    assert between_s == [pytest.approx(bound_s, abs=0.02) for bound_s in (1, 2, 4, 5, 5, 5)]


def test_after_a_storm_a_lone_event_is_served_at_once_again(world):
    while world.real_s < 10:
        world.happen()
        pass_answering(world, 0.01, probe_s=0.2)
    pass_answering(world, 10, probe_s=0.2)
    world.happen()
    assert world.run_until_probe() == near(TIMING.settle_s)


def test_an_event_while_a_probe_lasts_causes_exactly_one_more(probing):
    for number in range(1, 4):
        probing.pass_time(0.1)
        probing.happen(number)
    probing.pass_time(0.3)
    assert len(probing.probes) == 1
    probing.answer()
    assert probing.run_until_probe() == near(0)
    assert probing.probes[1][1] == r.StartProbe((event(1), event(2), event(3)), 3)
    probing.answer()
    probing.pass_time(1e4)
    assert len(probing.probes) == 2


def test_a_probe_that_takes_too_long_is_killed(probing):
    probing.pass_time(TIMING.probe_limit_s - 0.001)
    assert not probing.killed
    probing.pass_time(0.001)
    assert probing.log[-1][2] == (r.KillProbe("did not answer within 60 s"),)


def test_a_probe_that_was_killed_is_tried_again_after_the_back_off(probing):
    probing.pass_time(TIMING.probe_limit_s)
    probing.gone()
    assert probing.run_until_probe() == near(backoff(1))


def test_events_while_a_killed_child_dies_are_probed_after_its_end(probing):
    probing.pass_time(TIMING.probe_limit_s)
    probing.happen(5)
    probing.pass_time(2)
    probing.answer(retry=True)
    assert probing.run_until_probe() == near(0)
    assert probing.probes[-1][1] == r.StartProbe((event(5),), 1)


def test_a_child_that_does_not_die_is_reported_once_and_no_other_is_started(probing):
    probing.pass_time(TIMING.probe_limit_s)
    for number in range(20):
        probing.happen(number)
        probing.pass_time(100)
    assert probing.scheduler.state == r.STUCK
    assert sum(order == r.REPORT_STUCK for _, _, orders in probing.log for order in orders) == 1
    assert len(probing.probes) == 1


@pytest.mark.parametrize("end", [World.gone, World.answer])
def test_when_a_stuck_child_is_gone_at_last_remembered_events_are_probed(probing, end):
    probing.pass_time(TIMING.probe_limit_s)
    probing.happen(1)
    probing.pass_time(1000)
    end(probing)
    assert probing.run_until_probe() == near(0)
    assert probing.probes[-1][1] == r.StartProbe((event(1),), 1)


def test_when_a_stuck_child_is_gone_and_nothing_happened_the_probe_is_still_owed(probing):
    probing.pass_time(1000)
    probing.gone()
    assert probing.run_until_probe() == near(backoff(1))


def test_a_stuck_child_is_killed_again_every_few_seconds(probing):
    probing.pass_time(TIMING.probe_limit_s + TIMING.stuck_recheck_s)
    assert probing.reported
    before = len(probing.log)
    probing.pass_time(10 * TIMING.stuck_recheck_s)
    assert [orders for _, _, orders in probing.log[before:]] == [(r.KillProbe("did not answer within 60 s"),)] * 10


def test_pauses_grow_and_a_good_answer_resets_them(probing):
    for attempt in (1, 2, 3, 4):
        probing.answer(retry=True)
        assert probing.run_until_probe() == near(backoff(attempt))
        assert probing.probes[-1][1] == r.StartProbe((retry(attempt),), 1)
    probing.answer(retry=False)
    probing.pass_time(1e4)
    assert probing.scheduler.state == r.IDLE
    probing.happen()
    probing.run_until_probe()
    probing.answer(retry=True)
    assert probing.run_until_probe() == near(backoff(1))


def test_an_event_ends_the_pause_of_the_back_off_and_does_not_reset_it(probing):
    for _ in range(6):
        probing.answer(retry=True)
        probing.run_until_probe()
    probing.answer(retry=True)
    probing.pass_time(1)
    probing.happen(9)
    assert probing.run_until_probe() == near(TIMING.settle_s)
    assert probing.probes[-1][1] == r.StartProbe((event(9),), 1)
    probing.answer(retry=True)
    assert probing.run_until_probe() == near(backoff(8))


@pytest.mark.parametrize("seconds", [0, 0.02, 0.3, 62, 70], ids=str)
def test_after_stop_nothing_is_started_and_nothing_is_waited_for(world, seconds):
    world.happen()
    world.pass_time(seconds)
    world.stop()
    before = len(world.probes)
    world.happen()
    if world.child:
        world.answer(retry=True)
    world.pass_time(1e6)
    assert len(world.probes) == before
    assert r.next_deadline(world.scheduler) is None


def test_stop_kills_the_probing_child(probing):
    assert probing.stop() == (r.KillProbe("is no longer needed"),)


@pytest.mark.parametrize("by_s", [-1e9, -100, -0.03])
def test_a_clock_set_back_does_not_postpone_a_probe(world, by_s):
    world.happen()
    world.pass_time(0.02)
    world.jump(by_s)
    assert world.run_until_probe() <= 2 * TIMING.settle_s


def test_a_clock_set_back_in_a_group_without_end_does_not_undo_its_bound(world):
    for number in range(25):
        if number == 5:
            world.jump(-1000)
        world.happen(number)
        world.pass_time(0.04)
    assert world.probes[0][0] <= TIMING.settle_at_most_s + 0.05


def test_a_clock_set_back_makes_no_storm_of_a_lone_event(probing):
    probing.answer()
    probing.pass_time(10)
    probing.step(r.TICK)  # the last step by the old clock
    probing.jump(-1000)
    probing.happen()
    assert probing.run_until_probe() == near(TIMING.settle_s)


@pytest.mark.parametrize("by_s", [-1e9, -1000])
def test_a_clock_set_back_postpones_neither_kill_nor_retry(probing, by_s):
    probing.jump(by_s)
    probing.pass_time(2 * TIMING.probe_limit_s)
    assert probing.killed
    probing.gone()
    probing.jump(by_s)
    assert probing.run_until_probe() <= 2 * backoff(1) + 1e-6


def test_a_probe_during_a_suspend_gets_its_full_time_again(probing):
    probing.pass_time(10)
    probing.jump(3600)
    probing.step(r.TICK)
    assert not probing.killed
    probing.pass_time(TIMING.probe_limit_s - 1)
    assert not probing.killed
    probing.pass_time(1)
    assert probing.killed


def test_a_machine_that_slept_right_after_the_kill_does_not_make_the_child_stuck(probing):
    probing.pass_time(TIMING.probe_limit_s)
    probing.jump(3600)
    probing.step(r.TICK)
    assert not probing.reported
    probing.pass_time(TIMING.stuck_recheck_s)
    assert probing.reported


def test_a_retry_that_was_slept_through_comes_at_once(probing):
    for _ in range(8):
        probing.answer(retry=True)
        probing.run_until_probe()
    probing.answer(retry=True)
    probing.jump(3600)
    assert r.StartProbe((retry(9),), 1) in probing.step(r.TICK)
