"""Waits for descriptors and timers, and calls their handlers. It does no work of its own."""

import select
import time
from collections.abc import Callable
from typing import NamedTuple

IDLE_S = 3600.0


class Timer(NamedTuple):
    due_at: Callable[[float], float]
    """now -> when to act: math.inf for never. Called in each turn."""
    act: Callable[[float], None]
    """Given the time. It changes the result of `due_at`."""


class Loop:
    """Times are of the monotonic clock, in seconds."""

    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: list[Timer] = []

    def listen(self, descriptor: int, read: Callable[[], None]) -> None:
        self._readers[descriptor] = read
        self._poll.register(descriptor, select.POLLIN)

    def ignore(self, descriptor: int) -> None:
        if self._readers.pop(descriptor, None):
            self._poll.unregister(descriptor)

    def at(self, due_at: Callable[[float], float], act: Callable[[float], None]) -> None:
        """Timers that are due together act in the order in which they were given."""
        self._timers.append(Timer(due_at, act))

    def turn(self) -> None:
        now = time.monotonic()
        soonest = min((timer.due_at(now) for timer in self._timers), default=now + IDLE_S)
        wait_s = max(0.0, min(soonest - now, IDLE_S))
        # Rounded up: poll() counts milliseconds, and waking too early would cost another turn.
        for descriptor, _ in self._poll.poll(int(wait_s * 1000) + 1):
            read = self._readers.get(descriptor)
            if read:
                read()
        now = time.monotonic()
        for timer in self._timers:
            if now >= timer.due_at(now):
                timer.act(now)
