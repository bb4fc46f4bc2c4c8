"""The child's parent: it opens no device, maps no library of NVIDIA's, starts one child and leaves nothing."""

import glob
import os
import re
import subprocess
import time
from pathlib import Path

import pytest

from cdi_refreshd import pipeline
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.refresh import states
from cdi_refreshd.host.child import Child
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request

from .hosts import GPU, HOOK, PROGRAM, case

pytestmark = pytest.mark.root


def traced(host, command, calls):
    """Lines of strace: the program's own, and those of all other processes."""
    strace = ["strace", "-f", "-qq", "-e", f"trace={calls}", "-e", "signal=none", "-o", "/run/trace"]
    done = host.machine.run([*strace, *PROGRAM, command])
    assert done.returncode == 0, done.stderr
    lines = host.path("/run/trace").read_text().splitlines()
    first = lines[0].split()[0]
    return [call for call in lines if call.split()[0] == first], [call for call in lines if call.split()[0] != first]


@pytest.mark.parametrize("command", ["generate", "oneshot"])
def test_only_the_child_opens_nvidias_files(host, command):
    host.become(case(GPU))
    ours, childs = traced(host, command, "openat,open")
    nvidia = re.compile(r'"(/dev/nvidia[^"]*|[^"]*/libnvidia-ml[^"]*)"')
    assert not [call for call in ours if nvidia.search(call)]
    found = " ".join(childs)
    assert "/dev/nvidiactl" in found
    assert "libnvidia-ml.so" in found


def test_one_child_is_started_which_executes_nothing_but_the_hook_program(host):
    host.become(case(GPU))
    ours, childs = traced(host, "oneshot", "execve,fork,vfork,clone,clone3,setsid")
    assert len([call for call in ours if re.search(r"\b(v?fork|clone3?)\(", call)]) == 1
    executed = [call for call in childs if "execve(" in call]
    assert executed
    assert all(f'execve("{HOOK}"' in call for call in executed)
    assert [call for call in childs if "setsid()" in call]


def test_while_the_child_hangs_its_parent_has_no_hold_on_the_driver(host):
    host.become(case(GPU, nvml=["hang nvmlDeviceGetCount_v2 1000"]))
    ends_at = time.monotonic() + 60
    with host.machine.popen([*PROGRAM, "generate"], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as parent:
        try:
            child = ""
            while "libnvidia-ml" not in text(child, "maps"):
                assert parent.poll() is None
                assert time.monotonic() < ends_at
                child = text(parent.pid, f"task/{parent.pid}/children").strip()
            assert "libnvidia" not in text(parent.pid, "maps")
            folder = f"/proc/{parent.pid}/fd"
            links = [text_of_link(path) for path in glob.glob(f"{folder}/*")]
            # Not our own core/nvidia, which the parent imports meanwhile.
            assert not [link for link in links if "/dev/nvidia" in link or "libnvidia" in link]
        finally:
            parent.kill()


def text(pid, name):
    try:
        return Path(f"/proc/{pid}/{name}").read_text()
    except OSError:
        return ""


def text_of_link(path):
    try:
        return os.readlink(path)
    except OSError:  # closed meanwhile
        return ""


def judged(child, limit_s=60):
    target = pipeline.Target("/nowhere/nvidia.yaml", "yaml")
    return pipeline.judge(runner.Waiting(child, limit_s), Request(Choices()), target)


def test_a_child_that_hangs_is_a_failure_that_keeps_the_spec():
    verdict = judged(Child(lambda: time.sleep(1000)), 0.1)
    assert (verdict.state, verdict.action) == ("failed", states.KEEP)
    assert "did not answer within 0.1 s; see dmesg for NVRM lines" in verdict.reason


def test_an_answer_that_is_not_an_inventory_is_a_failure_that_keeps_the_spec():
    verdict = judged(Child(lambda: b'{"gpus": 8}'))
    assert (verdict.state, verdict.action) == ("failed", states.KEEP)
    assert verdict.reason == "probe: the child's answer is not an inventory (Inventory expected)"
