"""The health line: one line for node-problem-detector, Nagios and probes, which have no Python and no JSON.

`STATUS REASON TEXT`: the status is the exit status of a plugin (0 good, 1 a problem, 2 unknown), the reason is a word
as in a Kubernetes node condition, and what a plugin prints is at most 79 characters. The file's age shows whether the
daemon runs: it is written at each heartbeat.
"""

from typing import NamedTuple

OK, PROBLEM, UNKNOWN = 0, 1, 2
TEXT_AT_MOST = 79
"""node-problem-detector reads 80 bytes of a plugin's output."""
STALE_S = 300.0
"""An older heartbeat means that the daemon hangs or is gone. One in the future was written before the clock was set
back: its age is unknown until the next heartbeat, within a minute."""
EARLY_S = 1.0
"""Tolerance for heartbeats in the future: file times are those of the kernel's last tick."""
REASONS = {
    "no-gpu": (OK, "NoGPU"),
    "waiting-driver": (PROBLEM, "WaitingDriver"),
    "waiting-userspace": (PROBLEM, "WaitingUserspace"),
    "driver-mismatch": (PROBLEM, "DriverMismatch"),
    "ready": (OK, "Ready"),
    "degraded": (PROBLEM, "Degraded"),
    "failed": (PROBLEM, "Failed"),
}


class Health(NamedTuple):
    status: int
    reason: str
    text: str = ""
    """What a plugin prints after the reason."""


NOT_PROBED = Health(UNKNOWN, "Unknown", "the first probe has not ended")
NO_DAEMON = Health(UNKNOWN, "Unknown", "cdi-refreshd is not running")
UNREADABLE = Health(UNKNOWN, "Unknown", "the health file cannot be read, or is of another version")
SET_BACK = Health(UNKNOWN, "Unknown", "the clock was set back, and cdi-refreshd has said nothing since")
STALE = Health(UNKNOWN, "Unknown", f"cdi-refreshd has said nothing for {STALE_S / 60:.0f} minutes")


def health(state: str, reason: str, module: str = "", libraries: str = "") -> Health:
    """`state` and `reason` are the daemon's, with the versions of the kernel module and of the driver libraries."""
    status, word = REASONS[state]
    if state == "driver-mismatch" and module and libraries and module != libraries:
        reason = f"module {module} libraries {libraries}"  # 79 characters are too few for the reason with its hint
    return Health(status, word, reason)


def shown(of: Health) -> str:
    """What a plugin prints: ASCII, one line, at most 79 characters."""
    line = " ".join(f"{of.reason} {of.text}".encode("ascii", "replace").decode().split())
    line = "".join(character if character.isprintable() else "?" for character in line)
    return line if len(line) <= TEXT_AT_MOST else f"{line[: TEXT_AT_MOST - 3]}..."


def line(of: Health) -> str:
    """What the file holds."""
    return f"{of.status} {shown(of)}\n"


def parsed(line: str) -> Health | None:
    """None if it is not a health line."""
    status, _, rest = line.strip("\n").partition(" ")
    reason, _, text = rest.partition(" ")
    if status not in ("0", "1", "2") or not reason or "\n" in rest:
        return None
    return Health(int(status), reason, text)
