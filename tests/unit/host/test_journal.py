"""Lines for the journal: they arrive where journald takes them, and block nothing where it does not."""

import json
import os
import re
import signal
import socket

import pytest

from cdi_refreshd.core.report.lines import INFO, MESSAGE_IDS, WARNING, Line
from cdi_refreshd.host import journal
from cdi_refreshd.host.journal import Journal

LONG_S = 120
MANY = 50
"""Lines: more than the kernel queues for one that reads none."""


@pytest.fixture
def journald(tmp_path, monkeypatch, capfd):
    """A socket that only the test reads, and our stderr is its stream."""
    path = str(tmp_path / "socket")
    monkeypatch.setattr(journal, "SOCKET", path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as peer:
        peer.bind(path)
        peer.setblocking(False)
        stderr = os.fstat(2)
        monkeypatch.setenv("JOURNAL_STREAM", f"{stderr.st_dev}:{stderr.st_ino}")
        yield peer


@pytest.fixture
def ours(journald):
    made = Journal()
    yield made
    made.close()


@pytest.fixture
def deadline():
    def late(*_):
        pytest.fail("held up")

    before = signal.signal(signal.SIGALRM, late)
    signal.alarm(LONG_S)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def write(ours, *texts):
    for text in texts:
        ours.write(Line(INFO, text))


def messages(journald):
    """The lines in the socket, which are removed from it."""
    found = []
    while True:
        try:
            datagram = journald.recv(1 << 16)
        except BlockingIOError:
            return found
        found.append(datagram.decode().partition("\n")[0].removeprefix("MESSAGE="))


def test_a_line_arrives_with_its_fields(journald, ours):
    ours.write(Line(INFO, "hello", "published", (("CDI_STATE", "ready"), ("CDI_REASON", "two\nlines"))))
    fields = journald.recv(1 << 16)
    assert fields.startswith(b"MESSAGE=hello\nPRIORITY=6\nSYSLOG_IDENTIFIER=cdi-refreshd\nMESSAGE_ID=21f4aa7f")
    assert fields.endswith(b"\nCDI_STATE=ready\nCDI_REASON\n\x09\0\0\0\0\0\0\0two\nlines\n")


def test_a_journald_that_reads_nothing_blocks_nothing_and_its_stream_is_not_used(journald, ours, deadline, capfd):
    write(ours, *map(str, range(MANY)))
    taken = messages(journald)
    assert taken == [str(number) for number in range(len(taken))] and 0 < len(taken) < MANY
    assert capfd.readouterr().err == ""


def test_a_journald_that_reads_nothing_is_waited_for_once_and_not_for_each_line(journald, ours, deadline):
    write(ours, *map(str, range(MANY)))
    ours._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bytes(16))  # from now on a wait has no end
    write(ours, "more")


def test_lines_that_are_written_after_journald_reads_again_arrive(journald, ours, deadline):
    write(ours, *map(str, range(MANY)))
    messages(journald)
    write(ours, *map(str, range(MANY)))
    again = messages(journald)
    assert again == [str(number) for number in range(len(again))] and again


@pytest.mark.parametrize("removed", [False, True], ids=["it is there, and refuses", "it is gone"])
def test_lines_go_to_stderr_while_journald_restarts(journald, ours, capfd, removed):
    journald.close()
    if removed:
        os.unlink(journal.SOCKET)
    write(ours, "two\nlines")
    assert capfd.readouterr().err == "<6>two lines\n"


def test_lines_below_the_log_level_are_dropped(journald, ours):
    ours.priority_at_most = INFO - 1
    write(ours, "nobody's business")
    assert messages(journald) == []


def test_outside_of_the_journal_a_line_begins_with_the_name_of_its_level(capfd):
    Journal(form="plain").write(Line(WARNING, "two\nlines"))
    assert capfd.readouterr().err == "warning: two lines\n"


def test_as_json_a_line_is_one_object_with_its_fields(capfd):
    fields = (("CDI_STATE", "ready"), ("GPU_UUID", "GPU-1"), ("GPU_UUID", "GPU-2"), ("CDI_DEVICE", "0"))
    Journal(form="json").write(Line(INFO, "two\nlines", "published", fields))
    (line,) = capfd.readouterr().err.splitlines()
    reported = json.loads(line)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", reported.pop("time"))
    assert reported == {
        "level": "info",
        "message": "two\nlines",
        "message_id": MESSAGE_IDS["published"],
        "cdi_state": "ready",
        "gpu_uuid": ["GPU-1", "GPU-2"],
        "cdi_device": ["0"],
    }


def test_on_request_lines_go_to_journald_whatever_stderr_is(journald, monkeypatch, capfd):
    monkeypatch.delenv("JOURNAL_STREAM")
    made = Journal(form="journal")
    made.write(Line(INFO, "hello"))
    made.close()
    assert messages(journald) == ["hello"]
    assert capfd.readouterr().err == ""
