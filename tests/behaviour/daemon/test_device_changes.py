"""The journal names the devices that came and went: those that containers may ask for, whatever a probe saw."""

import signal

import pytest

from tests.behaviour.daemon.running import CASE

pytestmark = pytest.mark.root
FIRST, SECOND = (f"GPU-00000000-0000-4000-8000-{number:012x}" for number in (0, 1))


def device_changes(daemon):
    return [line.partition("devices: ")[2] for line in daemon.journal().splitlines() if "devices: " in line]


def test_a_failed_probe_reports_no_device_as_removed(machine, start):
    daemon = start()
    daemon.until_devices("0", "1")
    machine.become(CASE | {"nvml": ["fail nvmlInit_v2 999"]})
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["state"] == "failed")
    machine.become(CASE)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["state"] == "ready")
    assert device_changes(daemon) == []


def test_the_last_gpus_are_reported_when_they_go_and_when_they_come_back(machine, start):
    daemon = start()
    daemon.until_devices("0", "1")
    machine.become(CASE | {"gpus": []})
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.state()["state"] == "no-gpu")
    machine.become(CASE)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until_devices("0", "1")
    daemon.until(lambda: len(device_changes(daemon)) == 2)
    assert device_changes(daemon) == [f"- 0 ({FIRST}), - 1 ({SECOND})", f"+ 0 ({FIRST}), + 1 ({SECOND})"]
