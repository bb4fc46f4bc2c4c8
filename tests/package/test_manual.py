"""Man pages and completions know every command, option and key, and man and the shells take them without complaint."""

import importlib.util
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_refreshd.cli import COMMANDS
from cdi_refreshd.core.config.schema import KEYS, SECTIONS

TOP = Path(__file__).resolve().parents[2]
PAGE, CONF = TOP / "man/cdi-refreshd.8", TOP / "man/cdi-refreshd.conf.5"
BASH, ZSH = TOP / "completion/cdi-refreshd.bash", TOP / "completion/_cdi-refreshd"
README = TOP / "README.md"
FISH = TOP / "completion/cdi-refreshd.fish"
GENERATED = {
    CONF: ["man/generate.py"],
    BASH: ["completion/generate.py", "bash"],
    ZSH: ["completion/generate.py", "zsh"],
    FISH: ["completion/generate.py", "fish"],
}


def generator():
    spec = importlib.util.spec_from_file_location("completion_generate", TOP / "completion/generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


OPTIONS = {command: generator().options(command) for command in COMMANDS}


@pytest.mark.parametrize("file", GENERATED, ids=lambda file: file.name)
def test_generated_files_match_the_tables(file):
    command = [sys.executable, *GENERATED[file]]
    made = subprocess.run(command, check=True, cwd=TOP, capture_output=True, text=True).stdout
    assert file.read_text() == made, "make generated"


def test_the_page_has_every_command_and_option():
    text = PAGE.read_text().replace("\\-", "-")
    missing = [command for command in COMMANDS if not re.search(rf"^\.It Cm {command}$", text, re.MULTILINE)]
    flags = {flag for options in OPTIONS.values() for option in options for flag in option.flags}
    # Fl and similar macros print the first dash.
    described = {
        f"-{word}" for line in text.splitlines() if "Fl " in line for word in re.findall(r"(?<=\s)-?[\w.-]+", line)
    }
    assert not missing
    assert flags - described - {"-h"} == set()


def test_the_readme_has_a_row_for_every_command():
    rows = re.findall(r"^\| `([\w-]+)[^|]*` \|", README.read_text(), re.MULTILINE)
    assert set(COMMANDS) - set(rows) == set()


def test_diff_does_not_promise_to_write():
    (output,) = (option for option in OPTIONS["diff"] if "--output" in option.flags)
    assert "write" not in output.help


def test_the_configuration_page_has_every_section_and_key():
    text = CONF.read_text().replace("\\-", "-")
    assert re.findall(r"^\.Sh \[(.*)\]$", text, re.MULTILINE) == list(SECTIONS)
    assert re.findall(r"^\.It Cm (.*)$", text, re.MULTILINE) == [key.name for key in KEYS]


@pytest.mark.parametrize("page", [PAGE, CONF], ids=lambda page: page.name)
def test_man_formats_the_page_without_a_warning(page):
    if not shutil.which("man"):
        pytest.skip("no man here")
    command = ["man", "--warnings", "--encoding=UTF-8", "--local-file", str(page)]
    env = {"PATH": "/usr/bin:/bin", "MANROFFOPT": "-Wbreak"}  # a default may be longer than a line
    done = subprocess.run(command, check=True, capture_output=True, text=True, env=env)
    assert done.stderr == ""


def completed(*words):
    """What bash offers while the last of the words is typed."""
    typed = " ".join(f"'{word}'" for word in ("cdi-refreshd", *words))
    script = f"""
        compopt() {{ :; }}
        source {BASH}
        COMP_WORDS=({typed}); COMP_CWORD={len(words)}
        _cdi_refreshd
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(["bash", "-c", script], check=True, cwd=TOP, capture_output=True, text=True)
    assert not done.stderr
    return done.stdout.split()


def test_bash_completes_every_command():
    assert set(completed("")) == {*COMMANDS, "--help", "--version"}
    assert completed("ones") == ["oneshot"]


@pytest.mark.parametrize("command", COMMANDS)
def test_bash_completes_the_options_of_each_command(command):
    assert completed(command, "-") == [flag for option in OPTIONS[command] for flag in option.flags]


def test_bash_completes_values_lists_and_paths():
    assert completed("generate", "--mode", "n") == ["nvml", "nvswitch"]
    assert completed("generate", "--mode", "=", "nvm") == ["nvml"]
    assert completed("cdi", "generate", "--format", "=") == ["yaml", "json"]
    assert completed("oneshot", "--disable-hook", "chmod,enable") == ["chmod,enable-cuda-compat"]
    assert completed("validate", "READ") == ["README.md"]
    assert completed("install-units", "--root", "systemd/nvidia") == ["systemd/nvidia-cdi-refresh.service.d"]


def test_zsh_knows_every_command_and_option():
    text = ZSH.read_text()
    for command, options in OPTIONS.items():
        assert f"'{command}:" in text.replace("\\", "")
        block = text[text.index(f"        {command})\n") :].split(";;")[0]
        for flag in (flag for option in options for flag in option.flags):
            assert re.search(rf"'\*{flag}=?\[", block), f"{command} {flag}"
    if shutil.which("zsh"):
        subprocess.run(["zsh", "-n", ZSH], check=True)


def offered(line):
    """What fish offers at the end of a command line."""
    if not shutil.which("fish"):
        pytest.skip("no fish here")
    script = f"source {FISH}; complete -C '{line}'"
    done = subprocess.run(["fish", "--no-config", "-c", script], check=True, cwd=TOP, capture_output=True, text=True)
    assert done.stderr == ""
    return [entry.partition("\t")[0] for entry in done.stdout.splitlines()]


def test_fish_knows_every_command_and_option():
    lines = FISH.read_text().splitlines()
    assert [command for command in COMMANDS if not any(f" -a {command} -d " in line for line in lines)] == []
    for command, options in OPTIONS.items():
        own = [line for line in lines if f"'__fish_seen_subcommand_from {command}'" in line]
        for flag in (flag for option in options for flag in option.flags):
            word = f"-l {flag[2:]} " if flag.startswith("--") else f"-s {flag[1:]} "
            assert any(word in f"{line} " for line in own), f"{command} {flag}"


def test_fish_completes_commands_options_values_and_lists():
    assert offered("cdi-refreshd ones") == ["oneshot"]
    assert {"--json", "--level"} <= set(offered("cdi-refreshd check --"))
    assert offered("cdi-refreshd generate --mode nv") == ["nvml", "nvswitch"]
    assert "chmod,enable-cuda-compat" in offered("cdi-refreshd oneshot --disable-hook chmod,enable")
    assert "systemd/" in offered("cdi-refreshd install-units --root syst")
