"""How long to wait after probes that were not enough: tenacity's random exponential back-off, one attempt at a time."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tenacity import AttemptManager


class Backoff:
    def __init__(self, first_s: float, at_most_s: float) -> None:
        self._first_s, self._at_most_s = first_s, at_most_s
        self._attempts: Iterator[AttemptManager] | None = None
        self._number, self._wait_s = 0, 0.0

    def wait_s(self, number: int) -> float:
        """After that many probes in a row that were not enough, from 1."""
        if self._attempts is None or number <= self._number:
            self._begin()
        while self._number < number:
            self._fail()
        return max(self._first_s, self._wait_s)

    def _begin(self) -> None:
        from tenacity import Retrying, wait_random_exponential  # noqa: PLC0415 - few daemons fail

        wait = wait_random_exponential(multiplier=self._first_s, max=self._at_most_s)
        self._attempts, self._number = iter(Retrying(wait=wait, sleep=self._sleep)), 0
        self._attempt = next(self._attempts)

    def _sleep(self, wait_s: float) -> None:
        """Not here: the scheduler waits."""
        self._wait_s = wait_s

    def _fail(self) -> None:
        from tenacity import TryAgain  # noqa: PLC0415

        assert self._attempts
        with self._attempt:
            raise TryAgain
        self._attempt = next(self._attempts)
        self._number += 1
