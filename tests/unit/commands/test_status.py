"""`status --check`, `--alive` and `--watch`, by the files that a daemon leaves."""

import json
import os
import time

import pytest

from cdi_refreshd.commands import status
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.report import health, state_document
from cdi_refreshd.core.report.lines import Pass
from cdi_refreshd.core.report.state_document import Life
from cdi_refreshd.daemon import health_file, state_file

READY = Pass("ready", "2 GPUs", "/run/cdi/nvidia.yaml", stands=True)


@pytest.fixture
def files(tmp_path, monkeypatch):
    for module, name, file in (
        (health_file, "PATH", "health"),
        (state_file, "PATH", "state.json"),
        (state_file, "LOCK", "lock"),
    ):
        monkeypatch.setattr(module, name, str(tmp_path / file))
    monkeypatch.setattr(state_file, "DIRECTORY", str(tmp_path))
    return tmp_path


@pytest.fixture
def daemon(files):
    """Only its lock, as of a daemon whose pid means nothing here."""
    descriptor = state_file.lock()
    yield
    os.close(descriptor)


def said(state="ready", age_s=0.0):
    health_file.write(health.health(state, "2 GPUs"))
    then = time.time() - age_s
    os.utime(health_file.PATH, (then, then))


def document(done=READY):
    with open(state_file.PATH, "w") as file:
        json.dump(state_document.document(done, Life(1 << 22, "")), file)


@pytest.mark.parametrize(
    ("state", "expected"), [("ready", 0), ("no-gpu", 0), ("degraded", 1), ("waiting-driver", 1), ("failed", 1)]
)
def test_check_prints_one_line_and_exits_as_a_nagios_plugin(daemon, capsys, state, expected):
    said(state)
    assert status.run(["--check"]) == expected
    assert capsys.readouterr().out.split()[0] == health.REASONS[state][1]


def test_check_is_unknown_if_the_daemon_was_killed_whatever_its_file_says(files, capsys):
    said("ready")
    assert status.run(["--check"]) == 2
    assert capsys.readouterr().out == "Unknown cdi-refreshd is not running\n"


def test_check_is_unknown_if_the_daemon_hangs(daemon, capsys):
    said("ready", age_s=301)
    assert status.run(["--check"]) == 2
    assert "nothing for 5 minutes" in capsys.readouterr().out


def test_check_without_a_daemon_is_unknown_and_so_is_a_damaged_file(daemon, files):
    assert status.run(["--check"]) == 2
    (files / "health").write_bytes(b"\xff\n")
    assert status.run(["--check"]) == 2


@pytest.mark.parametrize(("state", "age_s", "expected"), [("failed", 0, 0), ("ready", 301, 1), ("ready", -60, 1)])
def test_alive_depends_on_the_heartbeat_and_never_on_the_state(daemon, state, age_s, expected):
    said(state, age_s)
    assert status.run(["--alive"]) == expected


def test_a_daemon_is_judged_by_its_lock_where_its_pid_means_nothing(daemon, capsys):
    document()
    assert status.run(["--json"]) == 0
    assert json.loads(capsys.readouterr().out)["running"] is True


def test_a_lock_file_without_a_lock_is_not_a_daemon(files, capsys):
    os.close(state_file.lock())
    document()
    assert status.run(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)["running"] is False


def test_status_never_takes_the_lock_from_a_daemon_that_starts(files):
    first = state_file.lock()
    assert state_file.is_running(None)
    os.close(first)
    assert not state_file.is_running(None)
    os.close(state_file.lock())


def test_watch_prints_only_changes(daemon, capsys):
    steps = iter(["same", "changed"])

    def pause():
        step = next(steps, None)
        if step is None:
            raise KeyboardInterrupt
        document(READY._replace(state="degraded") if step == "changed" else READY)

    document()
    with pytest.raises(KeyboardInterrupt):
        status.watch(pause)
    reported = capsys.readouterr().out
    assert [line for line in reported.splitlines() if line.endswith(": 2 GPUs")] == [
        "ready: 2 GPUs",
        "degraded: 2 GPUs",
    ]
    assert "\033" not in reported, "colours where there is no terminal"


def test_watch_goes_on_where_the_daemon_has_not_written_yet(files, capsys):
    def pause():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        status.watch(pause)
    assert "no daemon has run" in capsys.readouterr().out


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_has_colours_unless_they_are_disabled(monkeypatch, variable, value):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert status.has_colours()
    monkeypatch.setenv(variable, value)
    assert not status.has_colours()


def test_a_terminal_gets_our_colours_and_no_control_character_of_foreign_text(daemon, monkeypatch, capsys):
    monkeypatch.setattr(status, "has_colours", lambda: True)
    document(READY._replace(state="failed", reason="a \033[7m b"))
    assert status.run([]) == 1
    first = capsys.readouterr().out.splitlines()[0]
    assert first == f"{state_document.RED}failed{state_document.PLAIN}: a \\x1b[7m b"


def test_colours_do_not_change_the_text():
    findings = (Finding("fatal", "a", "b"), Finding("degraded", "c", "d"), Finding("info", "e", "f"))
    reported = state_document.document(READY._replace(findings=findings), Life(1, ""))
    plain, shown = (state_document.worded(reported, False, colours=colours) for colours in (False, True))
    assert shown.startswith(state_document.GREEN)
    for code in (state_document.GREEN, state_document.YELLOW, state_document.RED, state_document.PLAIN):
        assert code in shown
        shown = shown.replace(code, "")
    assert shown == plain


def test_without_a_daemon_one_line_says_whose_report_it_is_and_what_to_do(files, capsys):
    document()
    assert status.run([]) == 1
    printed = capsys.readouterr()
    assert printed.err == (
        "cdi-refreshd: daemon: is not running: this was its last report; systemctl start cdi-refreshd\n"
    )
    assert printed.out.startswith("ready: 2 GPUs")


def test_alive_names_the_heartbeat_that_is_missing(files, capsys):
    assert status.run(["--alive"]) == 1
    assert capsys.readouterr().out == f"not alive: there is no heartbeat, {health_file.PATH}\n"
