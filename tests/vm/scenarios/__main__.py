"""Plays the scenarios that are named, or all of them."""

import subprocess
import sys
import time

from . import SCENARIOS
from .telling import QUIET_S


def bare_start_s():
    """How fast this machine is just now: the shortest of three starts of an interpreter that does nothing."""
    took = []
    for _ in range(3):
        started = time.monotonic()
        subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)
        took.append(time.monotonic() - started)
    return round(min(took), 3)


for name in sys.argv[1:] or SCENARIOS:
    time.sleep(QUIET_S)
    SCENARIOS[name].told(bare_start_s())
