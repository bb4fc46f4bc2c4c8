"""`cdi-refreshd status`: what the daemon last said of itself. Without root; asks nobody and wakes nothing."""

import json
import os
import sys

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh import states
from cdi_refreshd.core.report import state_document
from cdi_refreshd.daemon import state_file
from cdi_refreshd.options import Parser

DESCRIPTION = """Tell the daemon's state, and why. Exit status: that of the state, as for oneshot (0 ready, degraded, no
GPU; 3 waiting; 4 driver and libraries differ; 1 failed), or 1 where the daemon does not run."""


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd status", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--json", action="store_true", help="state.json as it is")
    parsed = parser.parse_args(argv)
    told = state_file.read()
    alive = state_file.is_daemon(told.get("pid"))
    if parsed.json:
        json.dump({**told, "running": alive}, sys.stdout, indent=2)
        print()
    else:
        try:
            print(state_document.worded(told, alive))
        except (KeyError, TypeError, ValueError) as error:
            raise Fault(state_file.PATH, f"is of another version, or damaged ({error!r})", "restart it") from None
    if not alive:
        print(f"cdi-refreshd: {os.path.basename(state_file.PATH)} is of a daemon that does not run", file=sys.stderr)
        return 1
    return states.EXIT_STATUS.get(str(told.get("state")), 1)
