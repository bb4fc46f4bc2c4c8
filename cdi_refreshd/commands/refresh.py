"""`cdi-refreshd refresh`: ask the running daemon for a full pass, and wait until it is done. For scripts and hooks."""

import os
import select
import signal
import sys
import time

from cdi_refreshd.command_line import Parser
from cdi_refreshd.commands.oneshot import seconds
from cdi_refreshd.core.findings import Fault, printable
from cdi_refreshd.core.report import state_document
from cdi_refreshd.daemon import state_file

DESCRIPTION = """Make the running daemon read its configuration again and probe, and wait until it has.
Exit status: that of the state, as for oneshot, or 0 with --quiet; 1 if no daemon runs or it does not answer in
time."""
POLL_S = 0.02


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd refresh", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--no-block", action="store_true", help="do not wait")
    # For ExecReload=: the daemon has logged it already, and a GPU that fails is not a reload that failed.
    parser.add_argument("--quiet", action="store_true", help="do not print the state, and exit 0 whatever it is")
    parser.add_argument("--timeout", metavar="SECONDS", default="75", help="how long to wait (default 75)")
    parsed = parser.parse_args(argv)
    limit_s = seconds("--timeout", parsed.timeout)
    before = state_file.read()
    pid = int(before.get("pid") or 0)
    if not state_file.is_daemon(pid):
        raise Fault("daemon", "is not running", "systemctl start cdi-refreshd, or use cdi-refreshd oneshot")
    try:
        os.kill(pid, signal.SIGHUP)
    except PermissionError:
        raise Fault(f"daemon (pid {pid})", "permission denied", "use sudo") from None
    if parsed.no_block:
        return 0
    ends_at = time.monotonic() + limit_s
    while time.monotonic() < ends_at:
        document = state_file.read()
        if document["counters"]["reloads"] > before["counters"]["reloads"] or document["pid"] != pid:
            if parsed.quiet:
                return 0
            print(printable(f"cdi-refreshd: {document['state']}: {document['reason']}"), file=sys.stderr)
            return state_document.exit_status(document)
        select.select([], [], [], POLL_S)
    raise Fault(f"daemon (pid {pid})", f"has not probed within {limit_s:g} s", "see cdi-refreshd status")
