import math

import pytest

from cdi_refreshd.core.report.wording import sentence
from cdi_refreshd.events.mig import IDLE_S, MigPoll


@pytest.fixture
def top(tmp_path):
    """As in /proc/driver/nvidia/capabilities."""
    (tmp_path / "mig").mkdir()
    (tmp_path / "mig" / "config").touch()
    return tmp_path


def able(top, gpu=0):
    (top / f"gpu{gpu}" / "mig").mkdir(parents=True)
    return top / f"gpu{gpu}" / "mig"


def instance(mig, gi, ci=0):
    (mig / f"gi{gi}" / f"ci{ci}").mkdir(parents=True)
    (mig / f"gi{gi}" / "access").touch(0o000)


def said(poll, now):
    return [sentence(event) for event in poll.poll(now)]


def test_an_instance_that_is_made_changed_or_destroyed_is_reported_once(top):
    mig = able(top)
    poll = MigPoll(5, str(top))
    poll.pass_begins(100)
    instance(mig, 1)
    assert said(poll, 105) == ["mig: +gpu0/mig/gi1 +gpu0/mig/gi1/ci0"]
    assert said(poll, 110) == []
    (mig / "gi1" / "ci1").mkdir()
    (mig / "gi1" / "ci0").rmdir()
    assert said(poll, 115) == ["mig: +gpu0/mig/gi1/ci1 -gpu0/mig/gi1/ci0"]
    (mig / "gi1" / "ci1").rmdir()
    (mig / "gi1" / "access").unlink()
    (mig / "gi1").rmdir()
    assert said(poll, 120) == ["mig: -gpu0/mig/gi1 -gpu0/mig/gi1/ci1"]


def test_many_changes_at_once_are_one_short_line(top):
    poll = MigPoll(5, str(top))
    poll.pass_begins(0)
    mig = able(top)
    for gi in range(7):
        instance(mig, gi)
    (line,) = said(poll, IDLE_S)
    assert line.endswith(" and 11 more") and len(line) < 120


def test_nothing_is_listed_before_it_is_due(top):
    mig = able(top)
    poll = MigPoll(5, str(top))
    poll.pass_begins(100)
    assert poll.due_at(101) == 105
    instance(mig, 1)
    assert said(poll, 104.9) == []
    assert said(poll, 105) != []
    assert poll.due_at(105) == 110


def test_a_machine_without_mig_is_polled_once_a_minute(top):
    poll = MigPoll(5, str(top))
    assert said(poll, 100) == []
    assert poll.due_at(100) == 100 + IDLE_S
    assert MigPoll(5, str(top / "nowhere")).poll(0) == []


def test_a_gpu_that_supports_mig_is_polled_often_from_the_next_pass_on(top):
    poll = MigPoll(5, str(top))
    poll.pass_begins(100)
    mig = able(top)
    poll.pass_begins(101)
    assert poll.due_at(101) == 106
    instance(mig, 3)
    assert said(poll, 106) == ["mig: +gpu0/mig/gi3 +gpu0/mig/gi3/ci0"]


def test_an_instance_that_a_pass_has_seen_is_not_an_event_after_it(top):
    mig = able(top)
    poll = MigPoll(5, str(top))
    poll.pass_begins(100)
    instance(mig, 1)
    poll.pass_begins(101)
    assert said(poll, 106) == []


def test_the_instances_of_an_unloaded_driver_are_reported_as_removed(top):
    instance(able(top), 1)
    poll = MigPoll(5, str(top))
    poll.pass_begins(0)
    (top / "gpu0").rename(top / "elsewhere")
    assert said(poll, 5) == ["mig: -gpu0/mig -gpu0/mig/gi1 -gpu0/mig/gi1/ci0"]
    assert poll.due_at(5) == 5 + IDLE_S


def test_the_first_poll_is_due_at_once_and_no_later_one_in_the_past(top):
    poll = MigPoll(5, str(top))
    assert poll.due_at(7) == 7
    assert poll.due_at(1e9) < math.inf
