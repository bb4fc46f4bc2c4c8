"""Plays the scenarios that are named."""

import sys
import time

from . import SCENARIOS
from .telling import QUIET_S, bare_start_s

for name in sys.argv[1:]:
    time.sleep(QUIET_S)
    SCENARIOS[name].told(bare_start_s())
