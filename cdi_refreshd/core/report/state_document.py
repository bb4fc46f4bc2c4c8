"""state.json, the daemon's published state, and how `status` prints it. Version 1.

    {"version": 1, "pid": 812, "started": "2026-01-02T03:04:05Z", "stopped": "", "held": "", "state": "ready",
     "reason": "...", "since": "...", "repeated": 0,
     "last_pass": {"at": "...", "duration_ms": 21, "triggers": ["udev: pci bind 0000:65:00.0"]},
     "spec": {"path": "/var/run/cdi/nvidia.yaml", "stands": true, "sha256": "...", "changed": "..."},
     "driver": {"module": "580.95.05", "libraries": "580.95.05"},
     "devices": [{"name": "0", "uuid": "GPU-..."}],
     "findings": [{"severity": "degraded", "place": "...", "fact": "...", "hint": "..."}],
     "counters": {"passes": 3, ...}, "events": "udev"}

Times are UTC. Keys may be added; none changes its meaning within a version.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from cdi_refreshd.core.findings import Finding, printable, reported
from cdi_refreshd.core.refresh import states
from cdi_refreshd.core.report import wording
from cdi_refreshd.core.report.lines import Pass

VERSION = 1


class Counters(NamedTuple):
    passes: int = 0
    failures: int = 0
    """Passes that ended in state failed."""
    published: int = 0
    withdrawn: int = 0
    restored: int = 0
    """Specs that something else overwrote or deleted and that were restored without a probe."""
    triggers: int = 0
    overflows: int = 0
    """Overflows of a kernel queue of events, after which everything was probed again."""
    stuck: int = 0
    """Children that did not die."""
    reloads: int = 0


class Life(NamedTuple):
    """What outlives a pass. Times are texts."""

    pid: int
    started: str
    since: str = ""
    """When the state began."""
    probed: str = ""
    """When the last pass ended."""
    held: str = ""
    """Until when a hold keeps probes from starting; "" for no hold."""
    stopped: str = ""
    """When the daemon ended, "" while it runs. A killed one leaves it empty, but its pid is gone."""
    repeated: int = 0
    """Passes since then with the same state and reason, less one."""
    spec_changed: str = ""
    events: str = ""
    """Where events come from: udev, or kernel if no udevd runs."""
    note: str = ""
    """Problems of the daemon itself, "" for none."""
    counters: Counters = Counters()


def document(done: Pass, life: Life) -> dict[str, Any]:
    return {
        "version": VERSION,
        "pid": life.pid,
        "started": life.started,
        "stopped": life.stopped,
        "held": life.held,
        "state": done.state,
        "reason": done.reason,
        "since": life.since,
        "repeated": life.repeated,
        "note": life.note,
        "last_pass": {
            "at": life.probed,
            "duration_ms": round(done.duration_s * 1000),
            "triggers": [wording.sentence(event) for event in done.events],
        },
        "spec": {"path": done.path, "stands": done.stands, "sha256": done.sha256, "changed": life.spec_changed},
        "driver": {"module": done.module_version, "libraries": done.library_version},
        "devices": [{"name": name, "uuid": uuid} for name, uuid in done.devices],
        "findings": [reported(finding) for finding in done.findings],
        "counters": life.counters._asdict(),
        "events": life.events,
    }


def is_one(document: object) -> bool:
    """Whether this has the keys that clients wait for, which every release has."""
    if not isinstance(document, dict):
        return False
    texts = (document.get(key, "") for key in ("state", "reason", "held"))
    counters = document.get("counters")
    numbers = (document.get("pid"), counters.get("reloads") if isinstance(counters, dict) else None)
    return all(isinstance(text, str) for text in texts) and all(
        type(number) is int and 0 <= number < 1 << 63 for number in numbers
    )


def exit_status(document: dict[str, Any]) -> int:
    """As for oneshot. Of a document that may be damaged."""
    found = document.get("findings")
    severities = [one.get("severity") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return states.exit_status(str(document.get("state")), [Finding(str(one), "", "") for one in severities])


GREEN, YELLOW, RED, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[0m"
COLOURS = {"ready": GREEN, "no-gpu": GREEN, "failed": RED}
"""By state; the others are yellow."""
SEVERITY_COLOURS = {"fatal": RED, "degraded": YELLOW}


def worded(document: dict[str, Any], alive: bool, *, colours: bool = False) -> str:
    """The output of `status`, without the control characters of foreign text; `colours` are for a terminal.

    Raises KeyError, TypeError or ValueError if `document` is not such a document.
    """
    state = str(document["state"])
    painted = [(COLOURS.get(state, YELLOW), state, f": {document['reason']}")]
    painted += [(colour, line, "") for colour, line in _lines(document, alive)]
    return "\n".join(
        f"{colour}{printable(begin)}{PLAIN}{printable(rest)}" if colour and colours else printable(begin + rest)
        for colour, begin, rest in painted
    )


def _lines(document: dict[str, Any], alive: bool) -> Iterator[tuple[str, str]]:
    """Below the state: colour, "" for none, and text."""
    driver, spec, last = document["driver"], document["spec"], document["last_pass"]
    repeated = document["repeated"] and document["state"] != "ready"
    yield "", f"  since    {document['since']}" + (f", seen {document['repeated'] + 1} times" if repeated else "")
    yield "", f"  spec     {spec['path']}, " + (f"changed {spec['changed']}" if spec["stands"] else "none")
    yield "", f"  driver   module {driver['module'] or 'not loaded'}, libraries {driver['libraries'] or 'unknown'}"
    yield "", f"  probed   {last['at']}, {last['duration_ms']} ms ({', '.join(last['triggers']) or 'asked'})"
    daemon = f"  daemon   pid {document['pid']}, events from {document['events'] or 'nowhere'}"
    yield ("", daemon) if alive else (RED, f"{daemon}, NOT RUNNING")
    for device in document["devices"]:
        yield "", f"  device   {device['name']:<6} {device['uuid']}"
    for finding in document["findings"]:
        hint = f"; {finding['hint']}" if finding["hint"] else ""
        text = f"{finding['place']}: {finding['fact']}{hint}"
        if text != document["reason"]:  # else the first line has it
            yield SEVERITY_COLOURS.get(finding["severity"], ""), f"  {finding['severity']:<8} {text}"
    if document.get("held"):
        yield "", f"  held     no probe until {document['held']}; cdi-refreshd refresh ends it"
    if document["note"]:
        yield "", f"  note     {document['note']}"
