"""`cdi-refreshd hold`: keep the daemon off the driver for a while."""

import os
import select
import sys
import time
from typing import Any

from cdi_refreshd.command_line import Parser
from cdi_refreshd.commands.oneshot import seconds
from cdi_refreshd.core.findings import Fault, UsageFault
from cdi_refreshd.daemon import hold, state_file

DESCRIPTION = f"""Keep the daemon from probing for a while, so that it does not have the driver open:
before a driver is unloaded, a GPU reset or given to a virtual machine. Waits until a probe that is under way has ended.
The spec stays as it is. `cdi-refreshd refresh` ends it, and so does a restart of the daemon; at most
{hold.AT_MOST_S:.0f} seconds. Exit status: 0 held; 1 if no daemon runs or its probe does not end."""
LIMIT_S = 75.0
POLL_S = 0.02


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd hold", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("seconds", metavar="SECONDS", nargs="?", default="60", help="for how long (default 60)")
    held_s = seconds("SECONDS", parser.parse_args(argv).seconds)
    if not 0 < held_s <= hold.AT_MOST_S:
        fact = f"{held_s:g} is not in range: more than 0, and at most {hold.AT_MOST_S:.0f}"
        raise UsageFault("SECONDS", fact, "write 60, for a minute; cdi-refreshd refresh ends a hold")
    if not state_file.is_running(state().get("pid")):
        raise Fault("daemon", "is not running", "it does not have the driver open; go ahead")
    if os.geteuid():
        raise Fault("daemon", "permission denied", "use sudo")
    wanted = hold.Wanted.of(held_s)
    limit_s = min(LIMIT_S, held_s)
    ends_at = time.monotonic() + limit_s
    while time.monotonic() < ends_at:
        wanted.ask()  # again, in case a daemon that has just started ignored it as one from before its start
        if state().get("held") == wanted.until:
            print(f"cdi-refreshd: no probe until {wanted.until}; cdi-refreshd refresh ends it", file=sys.stderr)
            return 0
        select.select([], [], [], POLL_S)
    raise Fault("daemon", f"its probe has not ended within {limit_s:g} s", "see cdi-refreshd status")


def state() -> dict[str, Any]:
    """A daemon that has just started has no state file yet."""
    try:
        return state_file.read()
    except Fault:
        return {}
