import os
import select
import time

import pytest

from cdi_refreshd.core.refresh.event import Kind
from cdi_refreshd.core.refresh.watch_list import EACH, Watch
from cdi_refreshd.core.report.wording import words
from cdi_refreshd.events.inotify import DirectoryWatches

LIMIT_S = 120


class Watched:
    """The source under test, watching one more directory: an event there shows that all events before it were read."""

    def __init__(self, top):
        self.marks = top / "marks"
        self.marks.mkdir()
        self.source = DirectoryWatches()

    def watch(self, *wanted):
        self.source.watch((Watch(str(self.marks), (), Kind.FIRMWARE), *wanted))

    def spec_dir(self, directory):
        self.watch(Watch(str(directory), ("nvidia*.yaml",), Kind.SPEC, EACH))

    def events(self):
        """All events until now."""
        mark = self.marks / f"{time.monotonic_ns()}"
        mark.touch()
        reported = []
        for more in until(self.source):
            reported += more
            if any(mark.name in line for line in more):
                return [line for line in reported if str(self.marks) not in line]
        raise AssertionError(f"the mark is not reported, but {reported}")


def until(source, limit_s=LIMIT_S):
    """The source's events, each time that there are some, until the deadline."""
    poll, deadline = select.poll(), time.monotonic() + limit_s
    poll.register(source.fileno(), select.POLLIN)
    while time.monotonic() < deadline:
        if poll.poll(max(0, (deadline - time.monotonic()) * 1000)):
            yield [words(event) for event in source.read()]


@pytest.fixture
def watched(tmp_path):
    made = Watched(tmp_path)
    yield made
    made.source.close()


@pytest.fixture(autouse=True)
def no_descriptor_is_left():
    before = len(os.listdir("/proc/self/fd"))
    yield
    assert len(os.listdir("/proc/self/fd")) == before
