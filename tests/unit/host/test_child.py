"""The probe's child: whatever it does, its parent gets one answer or one fault, and nothing is left of it."""

import contextlib
import errno
import json
import os
import resource
import select
import signal
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.findings import Fault, UsageFault
from cdi_refreshd.host import child
from cdi_refreshd.host.child import ANSWERS_BY, Child

from .children import LONG_S, answer

FOREVER_S = 1000
SOON_S = 0.2


def hang():
    time.sleep(FOREVER_S)
    return b""


def fault_of(work, limit_s=LONG_S):
    with pytest.raises(Fault) as fault:
        answer(work, limit_s)
    assert "\n" not in str(fault.value)
    return str(fault.value)


def write_answer(text, status=0):
    def work():
        os.write(ANSWERS_BY, text)
        os._exit(status)

    return work


def gone(pid):
    """Waits until a process that is not our child is dead."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    with contextlib.closing(os.fdopen(descriptor)):
        return bool(select.select([descriptor], [], [], LONG_S)[0])


def test_an_answer_arrives_completely_whatever_its_size():
    text = os.urandom(3 << 20)
    assert answer(lambda: text) == text


def test_an_empty_answer_is_an_answer():
    assert answer(lambda: b"") == b""


def test_a_fault_arrives_as_it_was_raised():
    def work():
        raise Fault("/dev/x", "is odd\u2028", "mend it")

    with pytest.raises(Fault) as fault:
        answer(work)
    assert fault.value.finding[1:4] == ("/dev/x", "is odd\u2028", "mend it")
    assert not isinstance(fault.value, UsageFault)


def test_a_usage_fault_arrives_as_a_usage_fault():
    def work():
        raise UsageFault("--mode", "there is no such thing")

    with pytest.raises(UsageFault, match=r"^--mode: there is no such thing$"):
        answer(work)


def test_any_other_exception_is_reported_in_one_line():
    def work():
        raise RuntimeError("first\nsecond")

    assert fault_of(work) == "probe: RuntimeError: first second"


def test_a_hanging_child_is_killed_at_the_limit():
    assert "did not answer within 0.2 s" in fault_of(hang, SOON_S)


def test_a_child_that_ignores_every_signal_is_killed_all_the_same():
    def work():
        for number in range(1, signal.NSIG):
            with contextlib.suppress(OSError, ValueError):
                signal.signal(number, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_SETMASK, range(1, signal.NSIG))
        return hang()

    assert "did not answer within" in fault_of(work, SOON_S)


def test_an_answer_is_not_kept_back_until_the_child_has_ended():
    reader, writer = os.pipe()

    def work():
        os.write(ANSWERS_BY, b"answer 2\nok")
        os.read(0, 1)
        os._exit(0)

    try:
        conversation = Child(work, reader)
        assert conversation.answer(LONG_S) == b"ok"
    finally:
        os.close(writer)
        os.close(reader)
    assert conversation.end() == 0


def test_a_child_that_answers_and_then_does_not_end_is_killed(monkeypatch):
    monkeypatch.setattr(child, "GRACE_S", SOON_S)

    def work():
        os.write(ANSWERS_BY, b"answer 2\nok")
        os.close(ANSWERS_BY)
        return hang()

    assert "did not end within 0.2 s of its answer" in fault_of(work)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGSEGV, "SIGSEGV"), (signal.SIGKILL, "SIGKILL")])
def test_a_crashed_child_is_reported_with_the_name_of_the_signal(number, name):
    assert f"died by {name}" in fault_of(lambda: os.kill(os.getpid(), number))


def test_a_crashed_child_leaves_no_core_file():
    assert answer(lambda: repr(resource.getrlimit(resource.RLIMIT_CORE)).encode()) == b"(0, 0)"


@pytest.mark.parametrize("status", [0, 1, 77])
def test_a_child_that_ends_without_an_answer_is_reported(status):
    assert "ended without an answer" in fault_of(lambda: os._exit(status))


@pytest.mark.parametrize(
    "text",
    [
        b"junk",
        b"answer",
        b"answer 5\nfour",
        b"answer 3\nfour",
        b"answer x\nfour",
        b"other 4\nfour",
        b"\n",
        b"#\xff" * 99,
        b"fault 2\n[]",
        b"fault 2\n{}",
        b"usage 4\nnull",
        b'fault 9\n["a","b"]',
        b'fault 13\n["a","b",{},1]',
        b'fault 11\n["a","b",1]',
        b"fault 200000\n" + b"[" * 200_000,
        b"fault 60000\n" + b"[" * 60_000,
        b"fault 1\n\xff",
    ],
)
def test_junk_instead_of_an_answer_is_reported(text):
    assert "answered nonsense" in fault_of(write_answer(text))


def test_junk_before_the_answer_is_reported():
    def work():
        os.write(ANSWERS_BY, b"# not an answer\n")
        return b"ok"

    assert "answered nonsense" in fault_of(work)


def test_a_child_reads_empty_input_and_its_output_is_discarded(capfd):
    def work():
        for descriptor in (1, 2):
            os.write(descriptor, b"junk")
        return os.read(0, 10)

    assert answer(work) == b""
    assert capfd.readouterr() == ("", "")


def test_a_child_that_answers_too_much_is_stopped(monkeypatch):
    monkeypatch.setattr(child, "ANSWER_AT_MOST_BYTES", 1 << 20)

    def work():
        while True:
            os.write(ANSWERS_BY, bytes(1 << 16))

    assert "answered more than 1 MiB" in fault_of(work)


def test_a_child_whose_answer_is_too_long_is_not_reported_as_surviving_its_kill(monkeypatch):
    monkeypatch.setattr(child, "ANSWER_AT_MOST_BYTES", 4)

    def work():
        os.write(ANSWERS_BY, b"answer 2\nok")
        return hang()

    assert "does not die" not in fault_of(work)


def test_a_child_has_a_session_of_its_own():
    sessions = answer(lambda: b"%d %d" % (os.getsid(0), os.getpid())).split()
    assert sessions[0] == sessions[1] != b"%d" % os.getsid(0)


def test_a_child_keeps_no_descriptor_but_the_one_for_its_answer(tmp_path):
    with open(tmp_path / "inherited", "w") as file:
        os.set_inheritable(file.fileno(), True)
        names = answer(lambda: " ".join(os.listdir("/proc/self/fd")).encode()).split()
    listing = 1
    assert len(names) == 4 + listing
    assert {b"0", b"1", b"2", b"3"} <= set(names)


def test_a_child_that_cannot_be_forked_leaves_no_descriptor(monkeypatch):
    """The fixture of all tests here counts them."""

    def full():
        raise BlockingIOError("no process left")

    monkeypatch.setattr(os, "fork", full)
    with pytest.raises(BlockingIOError):
        Child(hang)


def test_a_child_is_stopped_by_signals_that_its_parent_handles():
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        assert "died by SIGTERM" in fault_of(lambda: os.kill(os.getpid(), signal.SIGTERM))
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_processes_that_a_child_started_are_killed_with_it():
    reader, writer = os.pipe()

    def work():
        grandchild = os.fork()
        if grandchild:
            with open(f"/proc/{os.getppid()}/fd/{writer}", "wb") as pipe:
                pipe.write(b"%d\n" % grandchild)
        return hang()

    try:
        conversation = Child(work)
        grandchild = int(os.read(reader, 100))
        with pytest.raises(Fault, match="did not answer"):
            conversation.answer(SOON_S)
        assert gone(grandchild)
    finally:
        os.close(reader)
        os.close(writer)


@given(st.sampled_from([b"answer", b"fault", b"usage", b""]), st.integers(-1, 12) | st.none(), st.binary(max_size=12))
def test_any_bytes_from_a_child_are_a_result_a_fault_or_refused(kind, size, rest):
    head = kind if size is None else b"%s %d" % (kind, size)
    understood = child._understood(head + b"\n" + rest)
    assert understood is None or isinstance(understood, (bytes, Fault))


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=3), st.lists, max_leaves=9))
def test_a_fault_with_other_than_three_texts_is_refused(words):
    text = json.dumps(words).encode()
    understood = child._understood(b"fault %d\n%s" % (len(text), text))
    three = isinstance(words, list) and len(words) == 3 and all(isinstance(word, str) for word in words)
    assert (understood.finding[1:4] == tuple(words)) if three else understood is None


def leave_behind(answered, setsid=True):
    """The child's work: it forks a process that keeps its pipe, may answer with its pid, and ends."""

    def work():
        reader, writer = os.pipe()
        grandchild = os.fork()
        if not grandchild:
            if setsid:
                os.setsid()
            os.write(writer, b"x")
            hang()
        os.read(reader, 1)
        if answered:
            return b"%d" % grandchild
        os._exit(7)

    return work


def test_a_process_that_keeps_the_pipe_open_delays_no_answer_and_is_killed_and_reported():
    conversation = Child(leave_behind(True))
    grandchild = int(conversation.answer(LONG_S))
    assert conversation.end() == 1
    assert conversation.left == (grandchild,)
    assert gone(grandchild)


def test_an_answer_is_complete_though_the_processes_that_hold_the_pipe_cannot_be_found(monkeypatch):
    listed = os.listdir

    def refuse(path):
        if path == "/proc":
            raise OSError(errno.EIO, "Input/output error")
        return listed(path)

    monkeypatch.setattr(os, "listdir", refuse)
    conversation = Child(leave_behind(True))
    grandchild = int(conversation.answer(LONG_S))
    assert conversation.end() == 0
    os.kill(grandchild, signal.SIGKILL)
    assert gone(grandchild)


def test_a_process_of_the_childs_group_that_outlives_it_is_killed_and_counted(monkeypatch):
    killpg = os.killpg
    conversation = Child(leave_behind(True, setsid=False))
    grandchild = int(conversation.answer(LONG_S))

    def kill_and_wait(group, number):
        killpg(group, number)
        assert gone(grandchild)

    monkeypatch.setattr(os, "killpg", kill_and_wait)
    assert conversation.end() == 1
    assert conversation.left == (grandchild,)


def test_what_a_hanging_child_has_started_does_not_survive_its_closing():
    reader, writer = os.pipe()

    def work():
        os.write(0, leave_behind(True)())
        return hang()

    conversation = Child(work, writer)
    grandchild = int(os.read(reader, 32))
    conversation.close()
    os.close(reader)
    os.close(writer)
    assert conversation.left == (grandchild,)
    assert gone(grandchild)


def test_other_processes_are_not_inspected_if_nobody_keeps_the_pipe(monkeypatch):
    inspected = []
    monkeypatch.setattr(child, "_kill_holders", lambda pipe: inspected.append(pipe) or ())
    assert answer(lambda: b"ok") == b"ok"
    assert inspected == []


def test_an_end_without_an_answer_is_reported_at_once_though_another_process_keeps_the_pipe():
    conversation = Child(leave_behind(False))
    with pytest.raises(Fault, match="ended without an answer"):
        conversation.answer(LONG_S)
    assert gone(*conversation.left)


def test_poll_reports_the_whole_answer_and_the_childs_end():
    conversation = Child(leave_behind(True))
    poll = select.poll()
    poll.register(conversation, select.POLLIN)
    while not conversation.read():
        assert poll.poll(LONG_S * 1000)
    while not conversation.gone():
        select.select([], [], [], 0.001)
    assert (int(conversation.result()),) == conversation.left
    conversation.close()


def test_a_child_that_leaves_no_process_behind_is_reported_with_0_of_them():
    conversation = Child(lambda: b"ok")
    assert conversation.answer(LONG_S) == b"ok"
    assert conversation.end() == 0


def test_another_child_that_was_forked_meanwhile_does_not_count_as_left_behind():
    reader, writer = os.pipe()

    def work():
        with open(f"/proc/{os.getppid()}/fd/{reader}", "rb", buffering=0) as pipe:
            pipe.read(1)
        if not os.fork():  # so that the pipe is still open when it ends
            os.setsid()
            hang()
        return b"ok"

    first = Child(work)
    second = os.fork()
    if not second:
        hang()  # with the first one's pipe, to read from
    try:
        os.write(writer, b"x")
        assert first.answer(LONG_S) == b"ok"
        assert first.end() == 1
        assert second not in first.left
    finally:
        os.kill(second, signal.SIGKILL)
        os.waitpid(second, 0)
        os.close(reader)
        os.close(writer)


def test_a_child_that_is_killed_early_is_reported_with_the_reason():
    conversation = Child(hang)
    conversation.kill("is in the way")
    assert gone(conversation.pid)
    conversation.close()
    with pytest.raises(Fault, match="is in the way;"):
        conversation.result()


def test_a_child_dies_with_its_parent():
    program = """if True:
        import os, time
        from cdi_refreshd.host.child import Child
        reader, writer = os.pipe()
        def work():
            with open(f"/proc/{os.getppid()}/fd/{writer}", "wb") as pipe:
                pipe.write(b"%d" % os.getpid())
            time.sleep(1000)
        Child(work)
        print(os.read(reader, 100).decode(), flush=True)
        time.sleep(1000)
    """
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True) as parent:
        pid = int(parent.stdout.readline())
        assert os.path.exists(f"/proc/{pid}")
        parent.kill()
        assert gone(pid)
