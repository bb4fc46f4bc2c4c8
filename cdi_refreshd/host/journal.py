"""Lines for the journal: with fields where journald listens, else on stderr in one of three forms.

Source: journald's native protocol (systemd.io/JOURNAL_NATIVE_PROTOCOL): a datagram of NAME=VALUE lines, or of NAME, a
line end, the length as 64 bits and the value where that has line ends itself.
"""

import os
import socket
import struct
import sys
import time

from cdi_refreshd.core.config.settings import AUTO, JOURNAL, JSON, PLAIN
from cdi_refreshd.core.report.lines import LEVELS, MESSAGE_IDS, Line

SOCKET = "/run/systemd/journal/socket"
IDENTIFIER = "cdi-refreshd"
VALUE_AT_MOST_BYTES = 4096
TAKEN_WITHIN_S = 1
"""How long a full queue is waited for. After that journald hangs, and no line is worth a watchdog timeout."""


class Journal:
    """`priority_at_most`: lines of lower importance (higher numbers) are dropped.

    So are those that journald does not take while it hangs. It is waited for once; from then on it takes a line at once
    or not at all, until it has taken one.
    """

    def __init__(self, priority_at_most: int = 6, form: str = AUTO) -> None:
        self.priority_at_most, self.form = priority_at_most, form
        self._socket: socket.socket | None = None
        self._hangs = False
        if form == JOURNAL or (form == AUTO and _stderr_is_journal()):
            self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
            # Not settimeout(): poll(2) reports only our own queue, and would spin while journald's is full.
            limit = struct.pack("@ll", TAKEN_WITHIN_S, 0)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def write(self, line: Line) -> None:
        if line.priority > self.priority_at_most:
            return
        if self._socket and self._send(self._socket, line):
            return
        try:
            print(self._text(line), file=sys.stderr, flush=True)
        except OSError:
            return  # the reader is gone, and the spec matters more than the line

    def close(self) -> None:
        if self._socket:
            self._socket.close()

    def _text(self, line: Line) -> str:
        if self.form == JSON:
            return _object(line)
        text = line.text.replace("\n", " ")
        if self.form == PLAIN:
            return f"{LEVELS[line.priority]}: {text}"
        return f"cdi-refreshd: {text}" if sys.stderr.isatty() else f"<{line.priority}>{text}"

    def _send(self, journal: socket.socket, line: Line) -> bool:
        """False if the line must go to stderr instead."""
        try:
            journal.sendto(datagram(line), socket.MSG_DONTWAIT if self._hangs else 0, SOCKET)
        except BlockingIOError:
            self._hangs = True
            return True  # lost: stderr is a stream to the same journald, and has no limit
        except OSError:
            return False  # journald restarts
        self._hangs = False
        return True


def datagram(line: Line) -> bytes:
    fields = [("MESSAGE", line.text), ("PRIORITY", str(line.priority)), ("SYSLOG_IDENTIFIER", IDENTIFIER)]
    if line.kind:
        fields.append(("MESSAGE_ID", MESSAGE_IDS[line.kind]))
    return b"".join(_field(name, value) for name, value in (*fields, *line.fields))


def _object(line: Line) -> str:
    """One line of JSON. A field that occurs more than once is a list."""
    import json  # noqa: PLC0415 - only here

    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    document: dict[str, object] = {"time": at, "level": LEVELS[line.priority], "message": line.text}
    if line.kind:
        document["message_id"] = MESSAGE_IDS[line.kind]
    values: dict[str, list[str]] = {}
    for name, value in line.fields:
        values.setdefault(name.lower(), []).append(value)
    lists = ("cdi_trigger", "cdi_device", "gpu_uuid")
    return json.dumps({**document, **{name: all_ if name in lists else all_[0] for name, all_ in values.items()}})


def _field(name: str, value: str) -> bytes:
    raw = value.encode("utf-8", "replace")[:VALUE_AT_MOST_BYTES]
    if b"\n" in raw:
        return b"%s\n%s%s\n" % (name.encode(), struct.pack("<Q", len(raw)), raw)
    return b"%s=%s\n" % (name.encode(), raw)


def _stderr_is_journal() -> bool:
    """systemd passes device and inode of the journal's stream; after a redirection stderr is another file."""
    stream = os.environ.get("JOURNAL_STREAM", "")
    try:
        seen = os.fstat(2)
    except OSError:
        return False
    return stream == f"{seen.st_dev}:{seen.st_ino}" and os.path.exists(SOCKET)
