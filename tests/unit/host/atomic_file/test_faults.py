"""A fault, and a death, before each system call of the publisher: found by tracing it, so that none is forgotten.

strace is required: without it these tests fail.
"""

import concurrent.futures
import os
import re
import subprocess
import sys
from typing import NamedTuple

import pytest

from cdi_refreshd.host.atomic_file import publish, withdraw
from tests.unit.host.atomic_file import child
from tests.unit.host.atomic_file.beside import DEADLINE_S, document, mode_of, read, write

OLD, NEW, NEXT = document(1), document(2), document(3)
STALE = ".nvidia.yaml.0a1b2c.tmp"
KILLED = -9
ERRORS = ["ENOSPC", "EIO", "EACCES", "EROFS", "EINTR"]
MEMORY = {"brk", "mmap", "munmap", "mremap", "madvise"}
"""Calls of the allocator, not of the publisher: they depend on what the interpreter did before."""


class Scenario(NamedTuple):
    """The file before, what is done, and the file after; None for no file."""

    operation: str
    before: bytes | None
    after: bytes | None
    name: str = "nvidia.yaml"
    litter: tuple[str, ...] = ()
    turn: str = r"rename\w*\("
    """The call that makes the change: a publisher that dies before or in it has changed nothing."""


SCENARIOS = {
    "replacing": Scenario("publish", OLD, NEW),
    "replacing beside litter": Scenario("publish", OLD, NEW, litter=(STALE,)),
    "in a directory to be made": Scenario("publish", None, NEW, name="etc/cdi/nvidia.yaml"),
    "the same again": Scenario("publish", NEW, NEW),
    "withdrawing": Scenario("withdraw", OLD, None, turn=r"unlinkat\("),
}


class Step(NamedTuple):
    call: str
    nth: int
    """The number of the call among those of that name since the process began."""
    text: str


def set_up(top, scenario):
    """(path of the spec, path of the content to publish)"""
    home = os.path.join(top, "home")
    os.makedirs(home)
    path, source = os.path.join(home, scenario.name), os.path.join(top, "source")
    write(source, NEW)
    if scenario.before is not None:
        write(path, scenario.before)
    for name in scenario.litter:
        write(os.path.join(home, name), OLD[:1000], 0o600)
    return path, source


def trace(top, scenario, path, source, *options):
    """(finished process, lines of its trace)"""
    log = os.path.join(top, "trace")
    publisher = [sys.executable, "-I", "-S", "-B", child.__file__, scenario.operation, path, source]
    done = subprocess.run(
        ["strace", "-f", "-qq", "-o", log, *options, *publisher],
        check=False, capture_output=True, text=True, timeout=DEADLINE_S, umask=0o077, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    with open(log, errors="replace") as file:
        return done, [re.sub(r"^\d+ +", "", line) for line in file]


def steps_of(lines):
    """The system calls between the publisher's two marks."""
    counts, found, inside = {}, [], False
    for line in lines:
        call = line.partition("(")[0]
        counts[call] = counts.get(call, 0) + 1
        if child.END in line:
            return found
        if inside and call not in MEMORY:
            found.append(Step(call, counts[call], line))
        inside = inside or child.BEGIN in line
    raise AssertionError(f"the publisher does not come to its end: {''.join(lines[-5:])}")


def clean_steps(top, scenario):
    path, source = set_up(top, scenario)
    done, lines = trace(top, scenario, path, source, "-y")
    assert done.returncode == 0, done.stderr
    return steps_of(lines)


def standing(path):
    return read(path) if os.path.lexists(path) else None


def litter_of(path):
    return set(os.listdir(os.path.dirname(path))) - {os.path.basename(path)}


def check_words(done, path):
    """Either it succeeded, or it reported in one line why not."""
    assert done.stderr == ""
    if done.returncode:
        assert done.returncode == child.FAULT_STATUS, done
        assert re.fullmatch(rf"{re.escape(os.path.dirname(path))}.*: .*\n", done.stdout), done.stdout


def check_interrupted(top, scenario, step, passed, fault):
    """Runs it with one fault at one step; `passed`: the step comes after the turn."""
    path, source = set_up(top, scenario)
    done, lines = trace(
        top, scenario, path, source, "-e", f"trace={step.call},access,faccessat,faccessat2",
        "-e", f"inject={step.call}:{fault}:when={step.nth}",
    )  # fmt: skip
    upto = next(at for at, line in enumerate(lines) if child.BEGIN in line)
    assert not any("INJECTED" in line for line in lines[:upto]), "too early"
    if "KILL" in fault:
        assert done.returncode == KILLED
        assert not any(child.END in line for line in lines), "too late"
    else:
        assert any("INJECTED" in line for line in steps_to_end(lines[upto:])), "not at all"
        check_words(done, path)
    assert standing(path) == (scenario.after if passed or done.returncode == 0 else scenario.before)
    if standing(path) is not None:
        assert mode_of(path) == 0o644
    check_aftermath(path, scenario, killed=done.returncode == KILLED)


def steps_to_end(lines):
    return lines[: next(at for at, line in enumerate(lines) if child.END in line)]


def check_aftermath(path, scenario, killed):
    directory = os.path.dirname(path)
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    while os.path.basename(directory) != "home":
        assert os.stat(directory).st_mode & 0o7777 == 0o755, "a directory that readers cannot enter"
        directory = os.path.dirname(directory)
    if not killed and os.path.isdir(os.path.dirname(path)):
        assert litter_of(path) <= set(scenario.litter), "a temporary is left by a publisher that lived"
    assert publish(path, NEXT) is True
    assert (read(path), mode_of(path)) == (NEXT, 0o644)
    assert litter_of(path) == set(), "a temporary is left after the next publish"


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_an_error_or_a_kill_at_any_system_call_leaves_the_old_document_or_the_new_one_intact(tmp_path, scenario):
    steps = clean_steps(os.path.join(tmp_path, "clean"), scenario)
    turn = next((at for at, step in enumerate(steps) if re.match(scenario.turn, step.text)), len(steps))
    cases = [(at, fault) for at in range(len(steps)) for fault in [*(f"error={e}" for e in ERRORS), "signal=KILL"]]

    def run(number):
        at, fault = cases[number]
        try:
            check_interrupted(os.path.join(tmp_path, str(number)), scenario, steps[at], at > turn, fault)
        except AssertionError as error:
            return f"{fault} at {steps[at].text.strip()[:150]}: {error}"
        return None

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        wrong = list(filter(None, pool.map(run, range(len(cases)))))
    assert not wrong, "\n".join([f"{len(wrong)} of {len(cases)}", *wrong])


def in_order(steps, *patterns):
    """Whether each of these comes, in this order."""
    texts = iter(step.text for step in steps)
    return [pattern for pattern in patterns if not any(re.search(pattern, text) for text in texts)]


def test_bytes_and_mode_are_on_disk_before_the_rename_and_the_rename_before_success_is_reported(tmp_path):
    steps = clean_steps(os.path.join(tmp_path, "clean"), SCENARIOS["replacing"])
    temporary = r"/home/\.nvidia\.yaml\.[0-9a-f]{6}\.tmp>"
    assert not in_order(
        steps,
        r"openat\(\d+</.*/home>, \"\.nvidia\.yaml\.\w{6}\.tmp\", (?=.*O_CREAT)(?=.*O_EXCL)(?=.*O_NOFOLLOW).*O_CLOEXEC",
        rf"flock\(\d+<.*{temporary}, LOCK_EX",
        rf"write\(\d+<.*{temporary}",
        rf"fchmod\(\d+<.*{temporary}, 0644",
        rf"fsync\(\d+<.*{temporary}",
        r"rename\w*\(\d+<.*/home>, \"\.nvidia.*\.tmp\", \d+<.*/home>, \"nvidia\.yaml\"",
        r"fsync\(\d+<.*/home>\)",
    )


def test_a_withdrawal_is_on_disk_before_success_is_reported(tmp_path):
    steps = clean_steps(os.path.join(tmp_path, "clean"), SCENARIOS["withdrawing"])
    assert not in_order(steps, r"unlinkat\(\d+<.*/home>, \"nvidia\.yaml\"", r"fsync\(\d+<.*/home>\)")


def test_a_new_directory_is_on_disk_before_anything_is_put_into_it(tmp_path):
    steps = clean_steps(os.path.join(tmp_path, "clean"), SCENARIOS["in a directory to be made"])
    assert not in_order(
        steps, r"mkdirat\(.*\"etc\"", r"fsync\(\d+<.*/home>", r"mkdirat\(.*\"cdi\"", r"fsync\(\d+<.*/etc>"
    )


@pytest.mark.parametrize("call", ["openat", "flock", "write", "fchmod", "fsync", "read"])
def test_a_call_that_a_signal_interrupts_is_made_again(tmp_path, call):
    scenario = SCENARIOS["the same again" if call == "read" else "replacing"]
    steps = clean_steps(os.path.join(tmp_path, "clean"), scenario)
    nth = next(step.nth for step in steps if step.call == call)
    path, source = set_up(os.path.join(tmp_path, "again"), scenario)
    done, lines = trace(tmp_path, scenario, path, source, "-e", f"inject={call}:error=EINTR:when={nth}")
    assert any("INJECTED" in line for line in lines)
    assert (done.returncode, done.stdout, read(path)) == (0, "\n", NEW)


@pytest.mark.parametrize("second", ["error=EIO", "signal=KILL"])
def test_a_publisher_that_cannot_clean_up_leaves_the_old_spec_and_the_next_one_cleans_up(tmp_path, second):
    scenario = SCENARIOS["replacing"]
    steps = clean_steps(os.path.join(tmp_path, "clean"), scenario)
    nth = next(step.nth for step in steps if step.call == "write")
    path, source = set_up(os.path.join(tmp_path, "again"), scenario)
    inject = ["-e", f"inject=write:error=ENOSPC:when={nth}", "-e", f"inject=unlinkat:{second}:when=1"]
    done, _ = trace(tmp_path, scenario, path, source, *inject)
    assert done.returncode in (child.FAULT_STATUS, KILLED)
    assert len(litter_of(path)) == 1
    assert read(path) == OLD
    publish(path, OLD)
    assert litter_of(path) == set()
    assert withdraw(path)
