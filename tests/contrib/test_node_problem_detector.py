"""node-problem-detector's plugin contract, by running the script: a status, and one line of at most 79 characters."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from cdi_refreshd.core.refresh.states import EXIT_STATUS
from cdi_refreshd.core.report import health

FOLDER = Path(__file__).parents[2] / "contrib/node-problem-detector"
PLUGIN = FOLDER / "cdi-refreshd-health"
SHELLS = [[shell] for shell in ("dash", "bash") if shutil.which(shell)] + (
    [["busybox", "sh"]] if shutil.which("busybox") else []
)
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


def test_a_dead_daemon_is_unknown_by_the_age_of_its_file(tmp_path):
    file = tmp_path / "health"
    file.write_text("0 Ready 2 GPUs\n")
    long_ago = file.stat().st_mtime - 6 * 60
    os.utime(file, (long_ago, long_ago))
    assert ran(file) == (2, "Unknown cdi-refreshd has said nothing for 5 minutes")
    assert ran(file, "10") == (0, "Ready 2 GPUs")


def test_where_no_daemon_runs_and_before_its_first_probe_it_is_unknown(tmp_path):
    assert ran(tmp_path / "health") == (2, "Unknown cdi-refreshd is not running")
    (tmp_path / "health").write_text(health.line(health.NOT_PROBED))
    assert ran(tmp_path / "health") == (2, "Unknown the first probe has not ended")


def test_a_file_of_another_kind_is_unknown(tmp_path):
    (tmp_path / "health").write_text("fine thanks\n")
    assert ran(tmp_path / "health")[0] == 2
    (tmp_path / "health").write_text("")
    assert ran(tmp_path / "health")[0] == 2


@pytest.mark.parametrize(("line", "status"), [("0 Ready x\n", 1), ("1 Failed x\n", 0), ("2 Unknown x\n", 2)])
def test_for_a_condition_that_is_good_when_true_the_statuses_are_exchanged(tmp_path, line, status):
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
