"""What is reported of a pass to the journal, systemd and state.json: one record, rendered for each."""

from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Annotations
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia.inventory import Inventory
from cdi_refreshd.core.refresh.event import Event
from cdi_refreshd.core.report.wording import sentence

ERROR, WARNING, NOTICE, INFO, DEBUG = 3, 4, 5, 6, 7
"""Priorities of syslog."""
LEVELS = {ERROR: "error", WARNING: "warning", NOTICE: "notice", INFO: "info", DEBUG: "debug"}

PRIORITY = {
    "no-gpu": INFO,
    "waiting-driver": NOTICE,
    "waiting-userspace": NOTICE,
    "driver-mismatch": WARNING,
    "ready": INFO,
    "degraded": WARNING,
    "failed": ERROR,
}
# For `journalctl MESSAGE_ID=...`. Their meaning never changes.
MESSAGE_IDS = {
    "published": "21f4aa7f6a9a4136b946534ed56753a0",
    "restored": "fbd15c03658e4aa88e8859def72ecfac",
    "withdrawn": "efa9e86d357540ba9318a54c5b44d70b",
    "kept": "3606eb5d887d4d22b958436dc4b565a9",
    "devices": "f97fcbb0851742eb8acc2f79ad810d67",
    "moved": "27f39f0edb3f489bb0202be5866500e4",
    "stuck": "c3ac1c7ed4ae43e5baf04557e4bcb22e",
    "configuration": "d6dadd3ffb5f4772875f7bf547f40411",
    "neighbour": "8e705f3f9b4e42d9be25a7ae015d45a7",
    "held": "9ffd19bbc2514ade8788556ab85b6a96",
    "started": "7dd361b38bcb4aa3adbcde7fc6499ea3",
    "stopped": "f531cdda68d14e09b20bf6c575538f66",
}


class Line(NamedTuple):
    """One line of the journal."""

    priority: int
    text: str
    kind: str = ""
    """A key of MESSAGE_IDS, "" for none."""
    fields: Annotations = ()
    """Journal fields; a name may occur more than once."""


class Pass(NamedTuple):
    """The report of one pass."""

    state: str
    reason: str
    path: str = ""
    """Of the spec."""
    stands: bool = False
    """There is a spec now."""
    changed: bool = False
    """The file on disk differs from the one before the pass."""
    sha256: str = ""
    """SHA-256 of the spec's bytes, "" if there is none."""
    findings: tuple[Finding, ...] = ()
    in_reason: tuple[Finding, ...] = ()
    """Findings that the reason already contains."""
    devices: Annotations = ()
    """Name by index and UUID of each GPU and MIG device that may be used, sorted."""
    module_version: str = ""
    library_version: str = ""
    events: tuple[Event, ...] = ()
    """Why it was probed: the first distinct events."""
    event_count: int = 0
    """The number of all events."""
    duration_s: float = 0.0
    superseded: bool = False
    """Something has happened since it began: the next pass is due, and decides."""
    unsaid: bool = False
    """It would have warned if it had not been superseded."""


def devices(inventory: Inventory) -> Annotations:
    whole = [(str(gpu.number), gpu.uuid) for gpu in inventory.gpus if not gpu.mig_enabled]
    return tuple(sorted(whole + [(f"{mig.parent}:{mig.number}", mig.uuid) for mig in inventory.migs]))


def what_became(done: Pass) -> str:
    """Of the spec, in a word."""
    if done.stands:
        return "published" if done.changed else "unchanged" if done.state in ("ready", "degraded") else "kept"
    return "withdrawn" if done.changed else "no spec"


def status(done: Pass, repeated: int = 0, note: str = "") -> str:
    """STATUS= for `systemctl status`: one sentence in ASCII, since sdnotify sends nothing else."""
    times = f" (seen {repeated + 1} times)" if repeated and PRIORITY[done.state] < INFO else ""
    text = f"{done.state}: {done.reason}{times}" + (f"; {note}" if note else "")
    return " ".join(text.encode("ascii", "replace").decode().split())[:400]


def lines(done: Pass, before: Pass | None) -> list[Line]:
    """The outcome if it is news, the changes among the devices, and each new finding.

    What was reported before and still holds is a debug line: repeated failures are counted, not repeated. A pass that
    was superseded does not warn: a driver that is being loaded has nodes missing. The next one does, as if it was news.
    """
    fields = _fields(done)
    outcome, *findings = _outcome_lines(done, before)
    moves = _device_lines(dict(before.devices), dict(done.devices), fields) if before else []
    written = [outcome._replace(fields=fields), *moves, *findings]
    return [_hushed(line) if done.superseded and line not in moves else line for line in written]


def is_unsaid(done: Pass, before: Pass | None) -> bool:
    """Whether `lines` lowered the level of a line that the next pass must report as a warning if it still holds."""
    return done.superseded and any(line.priority < INFO for line in _outcome_lines(done, before))


def _outcome_lines(done: Pass, before: Pass | None) -> list[Line]:
    said = before if before and not before.unsaid else None
    news = said is None or (said.state, said.reason) != (done.state, done.reason) or done.changed
    became = what_became(done)
    kind = {"published": "published", "withdrawn": "withdrawn"}.get(became, "kept")
    text = f"{done.state}: {done.reason}" + (f"; {done.path} {became}" if became != "no spec" else "")
    written = [Line(PRIORITY[done.state] if news else DEBUG, f"{text} ({because(done)})", kind)]
    known = said.findings if said else ()
    for finding in done.findings:
        new = finding not in known and finding not in done.in_reason
        level = WARNING if finding.severity != "info" else DEBUG
        written.append(Line(level if new else DEBUG, str(finding), "", (("CDI_STATE", done.state),)))
    return written


def _hushed(line: Line) -> Line:
    return line._replace(priority=max(line.priority, INFO))


def waited(last: Pass | None, waited_s: float) -> Line | None:
    """For a boot that waited in vain; None if a warning was already reported. `last` None: no probe has ended."""
    if last and PRIORITY[last.state] <= WARNING:
        return None
    why = f"{last.state}: {last.reason}" if last else "the first probe has not ended"
    hint = "; modprobe nvidia, or see dmesg for why it fails" if last and last.state == "waiting-driver" else ""
    return Line(WARNING, f"not ready after {waited_s:g} s, and the boot goes on; {why}{hint}", "kept")


def because(done: Pass) -> str:
    """The first event, how many more, and how long the pass took. The fields have more of them."""
    first = sentence(done.events[0]) if done.events else "asked"
    more = f" and {done.event_count - 1} more" if done.event_count > 1 else ""
    return f"{first}{more}; {done.duration_s * 1000:.0f} ms"


def _device_lines(before: dict[str, str], after: dict[str, str], fields: Annotations) -> list[Line]:
    if before == after:
        return []
    # By UUID: if GPU 1 of three is gone, the indices of the others change.
    was, now = _by_identity(before), _by_identity(after)
    parts = [f"+ {name} ({after[name]})" for one, name in now.items() if one not in was]
    parts += [f"- {name} ({before[name]})" for one, name in was.items() if one not in now]
    moved = [(name, before[name], after[name]) for name in after if name in before and before[name] != after[name]]
    written = [Line(NOTICE, "devices: " + ", ".join(parts), "devices", fields)] if parts else []
    for name, old, new in moved:
        text = f"device {name} is another one now: {new}, no longer {old}; whoever names GPUs by index gets it"
        written.append(Line(WARNING, text, "moved", (*fields, ("GPU_UUID", new))))
    return written


def _by_identity(devices: dict[str, str]) -> dict[str, str]:
    """UUID -> name; a device without UUID counts by its name."""
    return {uuid or name: name for name, uuid in devices.items()}


def _fields(done: Pass) -> Annotations:
    found = [
        ("CDI_STATE", done.state),
        ("CDI_REASON", done.reason),
        ("CDI_SPEC_PATH", done.path),
        ("CDI_SPEC_SHA256", done.sha256),
        ("CDI_DURATION_MS", f"{done.duration_s * 1000:.0f}"),
        *(("CDI_TRIGGER", sentence(event)) for event in done.events),
        *(("CDI_DEVICE", name) for name, _ in done.devices),
        *(("GPU_UUID", uuid) for _, uuid in done.devices),
    ]
    return tuple((name, value) for name, value in found if value)
