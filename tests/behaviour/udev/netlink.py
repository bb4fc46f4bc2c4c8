"""Acts as udevd, or as the kernel, for UdevEvents on a real netlink socket, and prints the result as JSON.

To be run in a network namespace of its own, so that no other process receives it, and where /run/udev/control exists,
because libudev may ignore udevd's messages elsewhere: on_netlink in test_udev.py provides both.
"""

import json
import select
import socket
import sys

from cdi_refreshd.core.report.wording import words
from cdi_refreshd.events.udev import UdevEvents

from .messages import message

NETLINK_KOBJECT_UEVENT = 15
KERNEL, UDEV = 1, 2


class Udevd:
    def __init__(self, source):
        self.group = UDEV if source == "udev" else KERNEL
        self.socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)

    def send(self, count, subsystem="pci", first=0):
        """As many events, each of another device."""
        for number in range(first, first + count):
            path = f"/devices/pci0000:00/{number:04x}:00:00.0"
            self.socket.sendto(message("add", subsystem, path, PCI_ID="10DE:2330", PCI_CLASS="30200"), (0, self.group))


def readable(events):
    return bool(select.select([events], [], [], 0)[0])


def burst(events, udevd):
    udevd.send(10_000)
    return {"reported": len({words(event) for event in events.read()})}


def overflow(events, udevd):
    """Twice: the new socket overflows and recovers like the first."""
    descriptor, reported = events.fileno(), []
    for _ in range(2):
        udevd.send(1000)
        was_readable = readable(events)
        reported.append([words(event) for event in events.read()])
        reported[-1] += [was_readable, readable(events)]
    udevd.send(1, first=0xFFFF)
    after = [words(event) for event in events.read()]
    return {"reported": reported, "after": after, "same_descriptor": descriptor == events.fileno()}


def noise(events, udevd):
    udevd.send(10_000, "block")
    was_readable = readable(events)
    udevd.send(1)
    return {"readable": was_readable, "reported": len(events.read())}


def main(case, source, buffer_bytes):
    events, udevd = UdevEvents(source, int(buffer_bytes)), Udevd(source)
    found = {"burst": burst, "overflow": overflow, "noise": noise}[case](events, udevd)
    print(json.dumps({**found, "overflows": events.overflows, "faults": events.faults}))


main(*sys.argv[1:])
