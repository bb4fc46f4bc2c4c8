"""Sends uevents as udevd would: `nsenter -n -t PID python -m tests.behaviour.daemon.storm COUNT ACTION`."""

import socket
import sys

from tests.behaviour.udev.messages import message

NETLINK_KOBJECT_UEVENT, UDEV_GROUP = 15, 2


def main(count, action):
    sender = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, NETLINK_KOBJECT_UEVENT)
    for number in range(int(count)):
        path = f"/devices/pci0000:00/0000:{number % 256:02x}:00.0"
        sender.sendto(message(action, "pci", path, PCI_ID="10DE:2330", PCI_CLASS="30200"), (0, UDEV_GROUP))


main(*sys.argv[1:])
