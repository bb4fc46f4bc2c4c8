"""Plays the scenarios that are named."""

import sys
import time

from . import SCENARIOS
from .scenario import QUIET_S, bare_start_s

for name in sys.argv[1:]:
    time.sleep(QUIET_S)
    SCENARIOS[name].report(bare_start_s())
