"""UdevEvents in a process of its own, with made-up devices (umockdev) or made-up messages on a real netlink socket.

`with bed() as devices:` gives UMockdev's testbed, in a process of the system's Python, because python3-gi is a package
of the system: `devices.call("add_device", "pci", ...)`. `with listener(devices) as events:` hears what it sends.
"""

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
SYSTEM_PYTHON = "/usr/bin/python3"
LIMIT_S = 120


class Process:
    """A process that speaks lines of JSON."""

    def __init__(self, command, **environment):
        self.popen = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ | environment
        )
        self.watchdog = threading.Timer(LIMIT_S, self.popen.kill)
        self.watchdog.start()

    def say(self, *words):
        print(json.dumps(words), file=self.popen.stdin, flush=True)

    def hear(self):
        line = self.popen.stdout.readline()
        assert line, f"{self.popen.args} has ended; tests/packages test installs what it needs"
        return json.loads(line)

    def close(self):
        self.popen.stdin.close()
        self.popen.stdout.close()
        self.popen.wait(LIMIT_S)
        self.watchdog.cancel()


class Bed(Process):
    def __init__(self):
        super().__init__(["umockdev-wrapper", SYSTEM_PYTHON, str(HERE / "bed.py")])
        self.top = self.hear()
        self.listeners = []

    def call(self, method, *arguments):
        """Returns when listeners have read: the kernel queues ten messages for each, and at the next umockdev ends."""
        self.say(method, *arguments)
        answer = self.hear()
        for one in self.listeners:
            one.until_asleep()
        return answer

    def gpu(self, address, pci_id="10DE:2330", pci_class="30200", parent=None):
        return self.call(
            "add_device",
            "pci",
            address,
            parent,
            [],
            ["PCI_ID", pci_id, "PCI_CLASS", pci_class, "PCI_SLOT_NAME", address],
        )

    def bind(self, path, driver):
        self.call("set_property", path, "DRIVER", driver)
        self.call("uevent", path, "bind")

    def unbind(self, path):
        self.call("set_property", path, "DRIVER", "")
        self.call("uevent", path, "unbind")

    def unplug(self, path):
        self.call("uevent", path, "remove")
        self.call("remove_device", path)


class Listener(Process):
    def __init__(self, bed, source):
        command = ["umockdev-wrapper", sys.executable, "-m", "tests.behaviour.udev.listener", source]
        super().__init__(command, UMOCKDEV_DIR=bed.top)
        self.hear()
        bed.listeners.append(self)

    def until_asleep(self):
        """It waits for messages, so there is none: a message makes it runnable before the sender goes on."""
        stat = Path(f"/proc/{self.popen.pid}/stat")
        while stat.read_text().rpartition(") ")[2][0] in "RD":
            time.sleep(0.001)

    def until(self, last):
        """The texts of all events up to the one that contains `last`."""
        reported, deadline = [], time.monotonic() + LIMIT_S
        while time.monotonic() < deadline:
            reported.append(self.hear())
            if last in reported[-1]:
                return reported
        raise AssertionError(f"{last} is not reported, but {reported}")


@contextlib.contextmanager
def bed():
    with contextlib.closing(Bed()) as made:
        yield made


@contextlib.contextmanager
def listener(devices, source="udev"):
    with contextlib.closing(Listener(devices, source)) as made:
        yield made
