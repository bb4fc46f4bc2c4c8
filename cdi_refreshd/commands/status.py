"""`cdi-refreshd status`: the daemon's last report. It needs no root, asks no process and wakes no GPU."""

import json
import os
import select
import sys
from collections.abc import Callable

from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.report import health, state_document
from cdi_refreshd.daemon import health_file, state_file

DESCRIPTION = """Print the daemon's state, and why. Exit status: that of the state, as for oneshot (0 ready, degraded,
no GPU; 3 waiting; 4 driver and libraries differ; 1 failed), or 1 if the daemon does not run."""
CHECK = "one line, and the exit status of a Nagios plugin: 0 good, 1 a problem, 2 unknown"
ALIVE = "only whether the daemon is alive, by its heartbeat: 0 it is, 1 it is not"
NOT_RUNNING = Fault("daemon", "is not running: this was its last report", "systemctl start cdi-refreshd")
WATCH_EVERY_S = 1.0
CLEAR = "\033[H\033[2J"


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd status", description=DESCRIPTION, allow_abbrev=False)
    one = parser.add_mutually_exclusive_group()
    one.add_argument("--json", action="store_true", help="state.json, and whether the daemon runs")
    one.add_argument("--check", action="store_true", help=CHECK)
    one.add_argument("--alive", action="store_true", help=ALIVE)
    one.add_argument("--watch", action="store_true", help="print it again whenever it changes")
    parsed = parser.parse_args(argv)
    if parsed.check:
        return check()
    if parsed.alive:
        return alive()
    if parsed.watch:
        return watch()
    document = state_file.read()
    running = state_file.is_running(document.get("pid"))
    if parsed.json:
        json.dump({**document, "running": running}, sys.stdout, indent=2)
        print()
    else:
        print(worded(document, running))
    if not running:
        print(f"cdi-refreshd: {NOT_RUNNING}", file=sys.stderr)
        return 1
    return state_document.exit_status(document)


def worded(document: dict[str, object], running: bool) -> str:
    try:
        return state_document.worded(document, running, colours=has_colours())
    except (KeyError, TypeError, ValueError) as error:
        raise Fault(state_file.PATH, f"is of another version, or damaged ({error!r})", "restart it") from None


def has_colours() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def check() -> int:
    said = health_file.read()
    if said.status != health.UNKNOWN and not state_file.is_running(_pid()):
        said = health.NO_DAEMON
    print(health.shown(said))
    return said.status


def _pid() -> object:
    try:
        return state_file.read().get("pid")
    except Fault:
        return None


def alive() -> int:
    """A daemon whose heartbeat has stopped hangs, whatever process has its lock."""
    age_s = health_file.age_s()
    lives = age_s is not None and -health.EARLY_S <= age_s <= health.STALE_S
    heartbeat = (
        f"its last heartbeat is {age_s:.0f} s old"
        if age_s is not None
        else f"there is no heartbeat, {health_file.PATH}"
    )
    if age_s is not None and age_s < -health.EARLY_S:
        heartbeat = "the clock was set back since its last heartbeat"
    print(f"{'alive' if lives else 'not alive'}: {heartbeat}")
    return 0 if lives else 1


def watch(pause: Callable[[], object] = lambda: select.select([], [], [], WATCH_EVERY_S)) -> int:
    """Until interrupted. `pause` is called between two reads of the file."""
    before = ""
    while True:
        try:
            document = state_file.read()
            text = worded(document, state_file.is_running(document.get("pid")))
        except Fault as fault:
            text = str(fault)
        if text != before:
            print(f"{CLEAR}{text}" if sys.stdout.isatty() else f"{text}\n", flush=True)
        before = text
        pause()
