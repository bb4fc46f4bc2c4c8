"""Scenarios: how one is declared, how one ends."""

import json
import os
import platform
import subprocess
import sys
import time
from typing import NamedTuple

LIMIT_S = 1.5
PATIENCE_S = 15.0
"""Longer than any limit, so that a late result has its time, too."""
QUIET_S = float(os.environ.get("QUIET", "3"))
POLL_S = 0.01


class Wrong(Exception):
    """Something is not as it should be."""


class Scenario(NamedTuple):
    name: str
    play: object
    limit_s: float
    debian: tuple = (12, 13)
    """The releases of Debian that it is played on."""
    machine: str = "owner"
    """Scenarios of one machine are played one after the other; each machine is booted for them."""

    def report(self, bare_start_s):
        """Plays it and prints the result, and how fast the machine was."""
        seconds, wrong = None, ""
        try:
            seconds = round(self.play(), 3)
            if seconds > self.limit_s:
                wrong = f"took longer than {self.limit_s:g} s"
        except Wrong as found:
            wrong = str(found)
        except Exception as error:  # the other scenarios are still to be played
            wrong = f"{type(error).__name__}: {error}"
        line = {"scenario": self.name, "seconds": seconds, "limit_s": self.limit_s, "wrong": wrong}
        print(json.dumps(line | {"bare_start_s": bare_start_s, "debian": debian()}), flush=True)


SCENARIOS = {}


def scenario(play=None, *, limit_s=LIMIT_S, debian=(12, 13), machine="owner"):
    """Scenarios are played in the order of their declaration; each finds the machine as the last one left it."""
    if play is None:
        return lambda given: scenario(given, limit_s=limit_s, debian=debian, machine=machine)
    SCENARIOS[play.__name__] = Scenario(play.__name__, play, limit_s, debian, machine)
    return play


def played(debian):
    """What a release plays: machine -> the names of its scenarios."""
    named = [(one.machine, name) for name, one in SCENARIOS.items() if debian in one.debian]
    return {machine: [name for of, name in named if of == machine] for machine, _ in named}


def debian():
    """The release that this is."""
    return int(platform.freedesktop_os_release()["VERSION_ID"])


def seconds_until(truth, what, patience_s=PATIENCE_S):
    """From now until it is true. `what` is a sentence, or makes one, for when it never is."""
    started = time.monotonic()
    while not truth():
        if time.monotonic() - started > patience_s:
            raise Wrong(f"not within {patience_s:g} s: {what() if callable(what) else what}")
        time.sleep(POLL_S)
    return time.monotonic() - started


def seconds_after(act, truth, what):
    """From the action until it is true. It must not be true before, else nothing would be shown."""
    if truth():
        raise Wrong(f"so it was before: {what() if callable(what) else what}")
    act()
    return seconds_until(truth, what)


def expect(condition, otherwise):
    if not condition:
        raise Wrong(otherwise)


def bare_start_s():
    """How fast this machine is just now: the shortest of three starts of an interpreter that does nothing."""
    took = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        took.append(time.monotonic() - started)
    return round(min(took), 3)
