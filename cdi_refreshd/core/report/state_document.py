"""state.json: what the daemon tells whoever asks, and how `status` words it. Version 1.

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

from typing import Any, NamedTuple

from cdi_refreshd.core.findings import Finding, reported
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
    """Times that what somebody else wrote over or took away was put back before a probe."""
    triggers: int = 0
    overflows: int = 0
    """Times that a kernel queue of events ran over and everything was looked at anew."""
    stuck: int = 0
    """Children that did not die."""
    reloads: int = 0


class Life(NamedTuple):
    """What outlives a pass. Times are texts."""

    pid: int
    started: str
    since: str = ""
    """When the state became what it is."""
    probed: str = ""
    """When the last pass ended."""
    held: str = ""
    """Until when no probe begins, because somebody asked for it; "" for nothing."""
    stopped: str = ""
    """When the daemon ended, "" while it runs; one that was killed cannot say so, but its pid is gone."""
    repeated: int = 0
    """Passes since then with the same state and reason, less one."""
    spec_changed: str = ""
    events: str = ""
    """Where events come from: udev, or kernel where no udevd runs."""
    note: str = ""
    """What is the matter with the daemon itself, "" for nothing."""
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


def is_one(told: object) -> bool:
    """Whether this has what those who wait for a daemon look at: enough to be one of any release."""
    if not isinstance(told, dict):
        return False
    texts = (told.get(key, "") for key in ("state", "reason", "held"))
    counters = told.get("counters")
    numbers = (told.get("pid"), counters.get("reloads") if isinstance(counters, dict) else None)
    return all(isinstance(text, str) for text in texts) and all(
        type(number) is int and 0 <= number < 1 << 63 for number in numbers
    )


def exit_status(told: dict[str, Any]) -> int:
    """As for oneshot. Of a document that may be damaged."""
    found = told.get("findings")
    severities = [one.get("severity") for one in found if isinstance(one, dict)] if isinstance(found, list) else []
    return states.exit_status(str(told.get("state")), [Finding(str(one), "", "") for one in severities])


def worded(told: dict[str, Any], alive: bool) -> str:
    """For a person, ten seconds. Raises KeyError, TypeError or ValueError where `told` is no such document."""
    driver, spec, last = told["driver"], told["spec"], told["last_pass"]
    lines = [
        f"{told['state']}: {told['reason']}",
        f"  since    {told['since']}"
        + (f", seen {told['repeated'] + 1} times" if told["repeated"] and told["state"] != "ready" else ""),
        f"  spec     {spec['path']}, " + (f"changed {spec['changed']}" if spec["stands"] else "none"),
        f"  driver   module {driver['module'] or 'not loaded'}, libraries {driver['libraries'] or 'unknown'}",
        f"  probed   {last['at']}, {last['duration_ms']} ms ({', '.join(last['triggers']) or 'asked'})",
        f"  daemon   pid {told['pid']}, events from {told['events'] or 'nowhere'}" + ("" if alive else ", NOT RUNNING"),
    ]
    lines += [f"  device   {device['name']:<6} {device['uuid']}" for device in told["devices"]]
    for finding in told["findings"]:
        hint = f"; {finding['hint']}" if finding["hint"] else ""
        lines.append(f"  {finding['severity']:<8} {finding['place']}: {finding['fact']}{hint}")
    lines += [f"  held     no probe until {told['held']}; cdi-refreshd refresh ends it"] if told.get("held") else []
    lines += [f"  note     {told['note']}"] if told["note"] else []
    return "\n".join(lines)


GREEN, YELLOW, RED, PLAIN = "\033[32m", "\033[33m", "\033[31m", "\033[0m"
COLOURS = {"ready": GREEN, "no-gpu": GREEN, "failed": RED}
"""By state; the others are yellow."""


def coloured(text: str) -> str:
    """What `worded` made, for a terminal: the state, findings by their severity, and a daemon that does not run."""
    first, *rest = text.split("\n")
    state, colon, reason = first.partition(":")
    lines = [f"{COLOURS.get(state, YELLOW)}{state}{PLAIN}{colon}{reason}"]
    for line in rest:
        word = line.split()[0] if line.strip() else ""
        colour = RED if word == "fatal" or line.endswith(" NOT RUNNING") else YELLOW if word == "degraded" else ""
        lines.append(f"{colour}{line}{PLAIN}" if colour else line)
    return "\n".join(lines)
