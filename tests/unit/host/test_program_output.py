"""Asking a program for its version."""

import os
import time

import pytest

from cdi_refreshd.host.program_output import SIZE_LIMIT_BYTES, Answer, ask, identity, is_roots


@pytest.fixture
def program(tmp_path):
    def write(text, mode=0o755):
        path = tmp_path / "program"
        path.write_text(text)
        path.chmod(mode)
        return str(path)

    return write


def test_each_call_returns_the_standard_output_of_the_program(program):
    path = program('#!/bin/sh\necho "$0 said $*"; echo noise >&2\n')
    assert [answer.text for answer in ask(path, [("hook", "--help"), ("--version",)])] == [
        f"{path} said hook --help\n",
        f"{path} said --version\n",
    ]


def test_the_program_gets_nothing_of_our_environment(program, monkeypatch):
    monkeypatch.setenv("LD_PRELOAD_OF_OURS", "x")
    [answer] = ask(program("#!/usr/bin/env -S env\n"), [()])
    assert answer == Answer(True, "")


def test_the_program_has_a_session_of_its_own_and_no_input(program):
    [answer] = ask(program("#!/bin/sh\nread word < /dev/stdin || echo none; cut -d' ' -f1,6 /proc/$$/stat\n"), [()])
    said, numbers = answer.text.splitlines()
    assert said == "none"
    pid, session = numbers.split()
    assert pid == session != str(os.getsid(0))


def test_a_hanging_program_is_killed_with_the_processes_that_it_started(program, tmp_path):
    mark = tmp_path / "pid"
    path = program(f"#!/bin/sh\nsleep 1000 & echo $! > {mark}; echo COMMANDS; wait\n")
    [answer] = ask(path, [()], limit_s=2)
    assert answer == Answer(True, "COMMANDS\n")
    ends_at = time.monotonic() + 120
    while os.path.exists(f"/proc/{mark.read_text().strip()}/exe") and time.monotonic() < ends_at:
        os.sched_yield()
    assert not os.path.exists(f"/proc/{mark.read_text().strip()}/exe")


def test_a_program_that_prints_endlessly_is_cut_short(program):
    [answer] = ask(program("#!/bin/sh\nexec yes\n"), [()])
    assert len(answer.text) == SIZE_LIMIT_BYTES


@pytest.mark.parametrize("text", ["no program at all", "#!/none/interpreter\n", "#!/bin/sh\nexit 127\n", ""])
def test_a_program_that_cannot_be_executed_differs_from_one_without_output(program, text):
    [answer] = ask(program(text), [()])
    assert not answer.runs
    [answer] = ask(program("#!/bin/sh\nexit 1\n"), [()])
    assert answer == Answer(True, "")


def test_a_replaced_program_has_another_identity(program):
    path = program("#!/bin/sh\n")
    before = identity(path)
    assert before == identity(path)
    program("#!/bin/sh\n#\n")
    assert identity(path) != before
    assert identity("/none") is None


@pytest.mark.parametrize(("mode", "expected"), [(0o755, True), (0o775, False), (0o757, False)])
def test_a_program_that_other_users_may_write_does_not_count_as_roots(program, mode, expected):
    assert is_roots(program("", mode)) == (expected and os.geteuid() == 0)
    assert not is_roots("/none")
