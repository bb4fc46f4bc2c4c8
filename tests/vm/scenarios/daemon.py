"""What the daemon reports, and what systemd reports of it."""

import json
from pathlib import Path

from . import owner
from .scenario import expect, seconds_until

UNIT = "cdi-refreshd.service"
STATE = Path("/run/cdi-refreshd/state.json")


def systemctl(*words, **options):
    return owner.do("systemctl", *words, **options).strip()


def shown(name):
    """A property of the unit, as systemd knows it."""
    return systemctl("show", "--property", name, "--value", UNIT)


def state_document():
    """state.json; {} before there is one."""
    try:
        return json.loads(STATE.read_text())
    except FileNotFoundError:
        return {}


def state():
    return state_document().get("state")


def passes():
    return state_document()["counters"]["passes"]


def failures():
    return state_document()["counters"]["failures"]


def becomes(wanted):
    return seconds_until(lambda: state() == wanted, lambda: f"the state is {state()}: {state_document().get('reason')}")


def pid():
    return int(shown("MainPID"))


def is_up():
    return shown("ActiveState") == "active" and shown("SubState") == "running"


def journal(unit=UNIT):
    """(priority, message) of each line of the unit in this boot, systemd's own about it included."""
    lines = owner.do("journalctl", "--boot", "--unit", unit, "--output", "json").splitlines()
    entries = (json.loads(line) for line in lines if line.startswith("{"))
    return [(int(entry["PRIORITY"]), entry["MESSAGE"]) for entry in entries]


def holds_nothing_of_nvidias():
    """The daemon has neither a device nor a library open: modules could not be unloaded, nor GPUs reset."""
    process = Path("/proc") / str(pid())
    held = [str(entry.readlink()) for entry in (process / "fd").iterdir()]
    mapped = {line.split()[-1] for line in (process / "maps").read_text().splitlines()}
    for path in (*held, *mapped):
        expect(not path.startswith("/dev/nvidia"), f"it holds {path}")
        expect("libnvidia" not in path and "libcuda" not in path, f"it maps {path}")
