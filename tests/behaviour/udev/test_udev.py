import json
import os
import socket
import subprocess
import sys
import threading

import pytest

from cdi_refreshd.core.refresh.event import Action
from cdi_refreshd.events import udev

from . import LIMIT_S, bed, listener
from .messages import message

LAST = "ffff:ff:1f.7"


@pytest.fixture
def devices():
    with bed() as made:
        yield made


@pytest.fixture(params=["udev", "kernel"])
def events(devices, request):
    with listener(devices, request.param) as made:
        yield made


def test_a_gpu_that_is_plugged_bound_unbound_and_unplugged_is_reported_in_order(devices, events):
    gpu = devices.gpu("0000:65:00.0")
    devices.bind(gpu, "nvidia")
    devices.call("uevent", gpu, "change")
    devices.unbind(gpu)
    devices.bind(gpu, "vfio-pci")
    devices.unplug(gpu)
    assert events.until("remove")[:5] == [
        "pci add 0000:65:00.0",
        "pci bind 0000:65:00.0 (nvidia)",
        "pci change 0000:65:00.0 (nvidia)",
        "pci unbind 0000:65:00.0",
        "pci bind 0000:65:00.0 (vfio-pci)",
    ]


def test_other_hardware_makes_no_event(devices, events):
    amd = devices.gpu("0000:03:00.0", pci_id="1002:744C")
    sound = devices.gpu("0000:65:00.1", pci_class="40300")
    disk = devices.call("add_device", "block", "sda", None, [], [])
    for path in (amd, sound, disk):
        devices.call("uevent", path, "change")
        devices.unplug(path)
    devices.gpu(LAST)
    assert events.until(LAST) == [f"pci add {LAST}"]


def test_drm_nodes_are_mapped_to_their_functions(devices, events):
    ours, other = devices.gpu("0000:65:00.0"), devices.gpu("0000:03:00.0", pci_id="1002:744C")
    for parent, name in ((ours, "card1"), (ours, "renderD129"), (other, "card0"), (ours, "card1-DP-1")):
        devices.call("add_device", "drm", name, parent, [], [])
    devices.gpu(LAST)
    assert events.until(LAST)[1:-1] == ["drm add card1", "drm add renderD129"]


def test_a_connected_display_makes_no_event(devices, events):
    card = devices.call("add_device", "drm", "card1", devices.gpu("0000:65:00.0"), [], [])
    devices.call("set_property", card, "HOTPLUG", "1")
    devices.call("uevent", card, "change")
    devices.gpu(LAST)
    assert events.until(LAST)[1:-1] == ["drm add card1"]


def test_ten_thousand_uevents_in_a_burst_are_all_reported(devices):
    with listener(devices) as events:
        sender = threading.Thread(target=send_many, args=(devices, 10_000))
        sender.start()
        reported = events.until("270f:00:00.0")
        sender.join()
    assert len(set(reported)) == 10_000


def send_many(devices, count):
    """As umockdev does, into the socket that it calls event*, but waiting for room where umockdev gives up."""
    (name,) = [name for name in os.listdir(devices.top) if name.startswith("event")]
    with socket.socket(socket.AF_UNIX, socket.SOCK_RAW) as ours:
        ours.connect(os.path.join(devices.top, name))
        for number in range(count):
            ours.send(message("add", "pci", f"/devices/{number:04x}:00:00.0", PCI_ID="10DE:2330"))


# On a real netlink socket

# Where /dev is a tmpfs, as in containers, libudev listens to udevd only if its socket exists.
UDEVD_RUNS = f'mount -t tmpfs tmpfs /run && mkdir /run/udev && : > {udev.UDEVD} && exec "$@"'


def on_netlink(case, source, buffer_bytes):
    unshare = ["unshare", "-nm" if os.geteuid() == 0 else "-Urnm", "sh", "-c", UDEVD_RUNS, "sh"]
    command = [*unshare, sys.executable, "-m", "tests.behaviour.udev.netlink", case, source, str(buffer_bytes)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=LIMIT_S)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_burst_that_is_not_read_in_time_is_reported_completely_or_as_an_overflow():
    found = on_netlink("burst", "udev", udev.BUFFER_BYTES)
    assert found["overflows"] == (0 if found["reported"] == 10_000 else 1)
    if os.geteuid() == 0:  # others may not have the large buffer
        assert found["reported"] == 10_000


@pytest.mark.parametrize("source", ["udev", "kernel"])
def test_an_overflow_is_reported_and_counted_and_later_events_still_arrive(source):
    found = on_netlink("overflow", source, 4096)
    assert found["reported"] == [["overflow: events are lost, so everything is probed again", True, False]] * 2
    assert found["overflows"] == 2
    assert found["same_descriptor"]
    if source == "udev":  # a message cannot be forged to come from the kernel
        assert found["after"] == ["pci add ffff:00:00.0"]


def test_the_kernel_filters_out_events_of_other_subsystems():
    assert on_netlink("noise", "udev", 4096) == {"readable": False, "reported": 1, "overflows": 0, "faults": []}


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="asks the kernel for events")
def test_kernel_events_overflow_in_the_same_way():
    """A harmless one, of /dev/null: only one of an NVIDIA card could be reported."""
    events = udev.UdevEvents("kernel", 4096)
    for _ in range(1000):
        with open("/sys/class/mem/null/uevent", "w") as file:
            file.write("change")
    assert list(events.read()) == [udev.OVERFLOW]
    assert events.read() == []
    assert events.overflows == 1
    events.close()


# Without any


def test_unavailable_uevents_are_reported_and_tried_again(monkeypatch):
    def refused(*_):
        raise OSError("forbidden here")

    with monkeypatch.context() as forbidden:
        forbidden.setattr(udev.pyudev.Monitor, "from_netlink", refused)
        events = udev.UdevEvents("kernel")
        assert events.source == "none" and "forbidden here" in events.faults[0]
        assert events.read() == []
        assert events.fileno() >= 0
    (event,) = events.poll(events.due_at(0))
    assert event.action is Action.RECEIVED_AGAIN
    assert events.source == "kernel" and events.faults == ()
    events.close()


def test_the_source_is_udevd_where_it_runs_and_the_kernel_elsewhere(monkeypatch, tmp_path):
    for path, source in ((tmp_path, "udev"), (tmp_path / "nowhere", "kernel")):
        monkeypatch.setattr(udev, "UDEVD", str(path))
        events = udev.UdevEvents()
        assert events.source == source
        events.close()
