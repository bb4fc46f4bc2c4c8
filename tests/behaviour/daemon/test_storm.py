"""Uevents on a real netlink socket, in a network namespace of the daemon's own, with the test as udevd."""

import signal
import subprocess
import sys

import pytest

from tests.behaviour.daemon.running import CASE

pytestmark = pytest.mark.root
# Of the second GPU only its node is left, which is what inotify would see: only a uevent reports that it is gone.
ONE_LEFT = {**CASE, "gpus": [{}], "extra_nodes": {"nvidia1": [195, 1]}}


@pytest.fixture
def daemon(machine, start):
    machine.path("/run/udev").mkdir()
    machine.path("/run/udev/control").touch()
    running = start(prefix=("unshare", "-n"))
    running.until_notified("READY=1")
    running.until_devices("0", "1")
    running.until_quiet()
    assert running.state()["events"] == "udev"
    return running


def send(daemon, count, action="change"):
    command = [
        "nsenter",
        "-n",
        "-t",
        str(daemon.process.pid),
        sys.executable,
        "-m",
        "tests.behaviour.daemon.storm",
        str(count),
        action,
    ]
    subprocess.run(command, check=True)


def test_one_uevent_is_enough(machine, daemon):
    machine.become(ONE_LEFT)
    daemon.until_quiet()
    assert daemon.devices() == {"0", "1"}, "something else than a uevent reported"
    send(daemon, 1, "remove")
    daemon.until_devices("0")


def test_ten_thousand_uevents_cost_at_most_three_probes_and_the_state_is_right(machine, daemon):
    before = daemon.state()["counters"]["passes"]
    machine.become(ONE_LEFT)
    send(daemon, 10_000)
    daemon.until_devices("0")
    daemon.until_quiet()
    assert daemon.state()["counters"]["passes"] - before <= 3


def test_an_overflow_is_counted_and_everything_is_probed_again(machine, daemon):
    daemon.signal(signal.SIGSTOP)
    send(daemon, 60_000)
    machine.become(ONE_LEFT)
    daemon.signal(signal.SIGCONT)
    daemon.until_devices("0")
    daemon.until(lambda: daemon.state()["counters"]["overflows"] >= 1)
