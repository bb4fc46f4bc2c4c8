"""node-problem-detector's plugin contract, by running the script: a status, and one line of at most 79 characters."""

import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

from cdi_refreshd.core.refresh.states import EXIT_STATUS
from cdi_refreshd.core.report import health

FOLDER = Path(__file__).parents[2] / "contrib/node-problem-detector"
PLUGIN = FOLDER / "cdi-refreshd-health"
SHELLS = [[shell] for shell in ("dash", "bash") if shutil.which(shell)] + (
    [["busybox", "sh"]] if shutil.which("busybox") else []
)
UNREADABLE = f"Unknown {health.UNREADABLE.text}"
REASON = "the loaded nvidia module is 580.95.05, the libraries are 590.10; reboot, or reload the module, and then wait"


def ran(file, *words, shell=("sh",)):
    done = subprocess.run([*shell, PLUGIN, file, *words], check=False, capture_output=True, text=True)
    assert done.stderr == ""
    (line,) = done.stdout.splitlines()
    assert len(line) < 80 and line.isascii()
    return done.returncode, line


@pytest.mark.parametrize("state", EXIT_STATUS)
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_for_each_state_it_prints_one_short_line_and_exits_with_its_status(tmp_path, state, shell):
    file = tmp_path / "health"
    file.write_text(health.line(health.health(state, REASON)))
    status, line = ran(file, shell=shell)
    assert (status, line.split()[0]) == health.REASONS[state]
    assert status == (0 if state in ("ready", "no-gpu") else 1)


def test_health_is_unknown_where_the_health_file_is_too_old(tmp_path):
    file = tmp_path / "health"
    file.write_text("0 Ready 2 GPUs\n")
    long_ago = file.stat().st_mtime - 6 * 60
    os.utime(file, (long_ago, long_ago))
    assert ran(file) == (2, "Unknown cdi-refreshd has said nothing for 5 minutes")
    assert ran(file, "10") == (0, "Ready 2 GPUs")


def test_health_is_unknown_without_a_daemon_and_before_its_first_probe(tmp_path):
    assert ran(tmp_path / "health") == (2, "Unknown cdi-refreshd is not running")
    (tmp_path / "health").write_text(health.line(health.NOT_PROBED))
    assert ran(tmp_path / "health") == (2, "Unknown the first probe has not ended")


ODD = (
    "",
    "0 Ready cut",
    *(f"{text}\n" for text in ("fine thanks", "", "0", "1 ", "3 Odd x", "01 Ready x", "0ready x")),
)


@pytest.mark.parametrize("line", ODD)
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_health_is_unknown_where_the_file_is_not_a_health_file(tmp_path, shell, line):
    (tmp_path / "health").write_text(line)
    for words in ((), ("5", "ready")):
        assert ran(tmp_path / "health", *words, shell=shell) == (2, UNREADABLE)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_a_message_is_cut_to_one_short_line_and_its_escapes_are_printed_literally(tmp_path, shell):
    (tmp_path / "health").write_text("1 Odd \\c %s " + "x" * 100 + "\n0 Ready x\n")
    assert ran(tmp_path / "health", shell=shell) == (1, "Odd \\c %s " + "x" * 69)


@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_health_is_unknown_where_the_heartbeat_is_in_the_future(tmp_path, shell):
    file = tmp_path / "health"
    file.write_text("0 Ready 2 GPUs\n")
    later = file.stat().st_mtime + 60
    os.utime(file, (later, later))
    assert ran(file, shell=shell) == (2, f"Unknown {health.SET_BACK.text}")


@pytest.mark.root
@pytest.mark.parametrize("shell", SHELLS, ids=" ".join)
def test_health_is_unknown_where_the_file_cannot_be_read(shell):
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "health")
        file.write_text("0 Ready 2 GPUs\n")
        file.chmod(0)
        shutil.copy(PLUGIN, folder)
        Path(folder).chmod(0o755)
        command = ["setpriv", "--reuid=65534", "--clear-groups", *shell, f"{folder}/{PLUGIN.name}", file]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        assert (done.returncode, done.stdout, done.stderr) == (2, f"{UNREADABLE}\n", "")


@pytest.mark.parametrize(("line", "status"), [("0 Ready x\n", 1), ("1 Failed x\n", 0), ("2 Unknown x\n", 2)])
def test_a_condition_that_is_good_when_true_has_inverted_statuses(tmp_path, line, status):
    (tmp_path / "health").write_text(line)
    assert ran(tmp_path / "health", "5", "ready")[0] == status


@pytest.mark.parametrize(
    ("name", "condition", "file", "expected"),
    [
        ("cdi-spec-problem.json", "CDISpecProblem", "1 Failed x\n", 1),
        ("gpu-ready.json", "nvidia.com/GPUReady", "0 Ready x\n", 1),
    ],
)
def test_each_configuration_runs_the_plugin_and_makes_its_condition_true(tmp_path, name, condition, file, expected):
    config = json.loads((FOLDER / name).read_text())
    assert [one["type"] for one in config["conditions"]] == [condition]
    assert config["pluginConfig"]["max_output_length"] >= health.TEXT_AT_MOST
    (rule,) = config["rules"]
    assert (rule["condition"], rule["type"], Path(rule["path"]).name) == (condition, "permanent", PLUGIN.name)
    for text in (*(one["message"] for one in config["conditions"]), rule["reason"]):
        assert len(text) < 80
    (tmp_path / "health").write_text(file)
    assert ran(tmp_path / "health", *rule["args"][1:])[0] == expected
