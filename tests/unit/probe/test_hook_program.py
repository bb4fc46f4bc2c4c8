"""The hook program is asked once, and again when it was replaced."""

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.probe import hook_program
from tests.machine.hook_programs import RELEASES, script


class Installed:
    def __init__(self, folder):
        self.path, self.log = folder / "nvidia-cdi-hook", folder / "asked"

    def put(self, release, mode=0o755):
        text = script(release).replace("#!/bin/sh\n", f'#!/bin/sh\necho "$*" >> {self.log}\n', 1)
        self.path.write_text(text)
        self.path.chmod(mode)

    def found(self, keep=True, **choices):
        return hook_program.found(Choices(hook_path=str(self.path), **choices), keep)

    def questions(self):
        return len(self.log.read_text().splitlines()) if self.log.exists() else 0


@pytest.fixture
def installed(tmp_path, monkeypatch):
    monkeypatch.setattr(hook_program, "CACHE", str(tmp_path / "state" / "hook-program.json"))
    return Installed(tmp_path)


def test_the_hook_program_reports_its_version_and_its_hooks(installed):
    installed.put("1.17.8")
    assert installed.found() == HookProgram(str(installed.path), True, "1.17.8", RELEASES["1.17.8"])


def test_the_hook_program_is_asked_once_and_again_after_it_was_replaced(installed):
    installed.put("1.17.8")
    assert installed.found() == installed.found()
    assert installed.questions() == 2
    installed.put("1.20.0")
    assert installed.found().version == "1.20.0"
    assert installed.questions() == 4


def test_an_answer_kept_by_another_release_of_ours_is_not_used(installed, monkeypatch):
    installed.put("1.17.8")
    installed.found()
    monkeypatch.setattr(hook_program, "__version__", "0")
    installed.found()
    assert installed.questions() == 4


def test_printing_a_spec_leaves_no_files(installed, tmp_path):
    installed.put("1.17.8")
    installed.found(keep=False)
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize("text", ["", "{", "[]", '["0",[1,2,3],["",true,"",[]]]'])
def test_a_damaged_state_file_is_ignored(installed, tmp_path, text):
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "hook-program.json").write_text(text)
    installed.put("1.17.8")
    assert installed.found().version == "1.17.8"


def test_a_missing_or_not_executable_program_does_not_run(installed):
    assert not installed.found().runs
    installed.put("1.17.8", mode=0o644)
    assert not installed.found().runs
    installed.path.write_text("neither ELF nor script")
    installed.path.chmod(0o755)
    assert not installed.found().runs


def test_modes_without_hooks_ask_no_hook_program(installed):
    installed.put("1.17.8")
    assert not installed.found(mode="imex").version
    assert installed.questions() == 0
