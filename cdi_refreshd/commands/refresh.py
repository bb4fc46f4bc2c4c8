"""`cdi-refreshd refresh`: ask the running daemon for a full pass, and wait until it is done. For scripts and hooks."""

import os
import select
import signal
import sys
import time

from cdi_refreshd.commands.oneshot import seconds
from cdi_refreshd.core.findings import Fault, printable
from cdi_refreshd.core.report import state_document
from cdi_refreshd.daemon import state_file
from cdi_refreshd.options import Parser

DESCRIPTION = """Have the running daemon read its configuration again and look at the machine, and wait until it has.
Exit status: that of the state, as for oneshot, or 0 with --quiet; 1 where no daemon runs or it does not answer in
time."""
POLL_S = 0.02


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd refresh", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--no-block", action="store_true", help="do not wait")
    # For ExecReload=: the daemon has told the journal already, and a GPU that fails is no reload that failed.
    parser.add_argument("--quiet", action="store_true", help="say nothing of the state, and exit 0 whatever it is")
    parser.add_argument("--timeout", metavar="SECONDS", default="75", help="how long to wait (default 75)")
    parsed = parser.parse_args(argv)
    limit_s = seconds("--timeout", parsed.timeout)
    before = state_file.read()
    pid = int(before.get("pid") or 0)
    if not state_file.is_daemon(pid):
        raise Fault("cdi-refreshd", "no daemon runs", "systemctl start cdi-refreshd, or use cdi-refreshd oneshot")
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise Fault(f"daemon (pid {pid})", "may not be signalled by you", "use sudo") from None
    if parsed.no_block:
        return 0
    ends_at = time.monotonic() + limit_s
    while time.monotonic() < ends_at:
        told = state_file.read()
        if told["counters"]["reloads"] > before["counters"]["reloads"] or told["pid"] != pid:
            if parsed.quiet:
                return 0
            print(printable(f"cdi-refreshd: {told['state']}: {told['reason']}"), file=sys.stderr)
            return state_document.exit_status(told)
        select.select([], [], [], POLL_S)
    raise Fault(f"daemon (pid {pid})", f"has not probed within {limit_s:g} s", "see cdi-refreshd status")
