"""Uevents, from udevd or, where there is none, from the kernel. Nothing of pyudev leaves this module."""

import contextlib
import os
import select
import socket

import pyudev

from cdi_refreshd.core.refresh.event import Trigger
from cdi_refreshd.core.refresh.uevent_filter import SUBSYSTEMS, Uevent, interesting

UDEVD = "/run/udev/control"
BUFFER_BYTES = 16 << 20
"""A limit, nothing is allotted: several thousand events while we are busy, or stopped."""
AT_MOST = 20_000
"""Events in one read: who sends for ever shall not keep us for ever. The descriptor stays readable."""
OVERFLOW = "overflow: events are lost, so everything is looked at again"
_SO_RCVBUFFORCE = 33  # the socket module has no name for it


class UdevEvents:
    """`fileno()` stays the same for life, whatever becomes of the socket behind it.

    `source` is "udev", "kernel" or "none"; in the last case `faults` says why, and every `read()` tries again.
    """

    def __init__(self, source: str = "", buffer_bytes: int = BUFFER_BYTES) -> None:
        """`source` is found out where it is not given."""
        self.source = "none"
        self.overflows = 0
        self.faults: tuple[str, ...] = ()
        self._wanted = source
        self._buffer_bytes = buffer_bytes
        self._epoll = select.epoll()
        self._monitor: pyudev.Monitor | None = None
        self._open()

    def fileno(self) -> int:
        return self._epoll.fileno()

    def read(self) -> list[Trigger]:
        if self._monitor is None:
            return [Trigger("udev", f"uevents of {self.source} can be heard again")] if self._open() else []
        found: dict[str, None] = {}
        try:
            for _ in range(AT_MOST):
                device = self._monitor.poll(0)
                if device is None:
                    break
                found[interesting(_told(device))] = None
        except OSError:  # pyudev gives no errno for POLLERR; with ENOBUFS it means the same
            self.overflows += 1
            found[OVERFLOW] = None
            self._rebuild()
        return [Trigger("udev", words) for words in found if words]

    def close(self) -> None:
        self._monitor = None
        self._epoll.close()

    def _open(self) -> bool:
        source = self._wanted or ("udev" if os.path.exists(UDEVD) else "kernel")
        try:
            monitor = pyudev.Monitor.from_netlink(pyudev.Context(), source)
            for subsystem in SUBSYSTEMS:
                monitor.filter_by(subsystem)
            _enlarge(monitor, self._buffer_bytes)
            monitor.start()
            self._epoll.register(monitor.fileno(), select.EPOLLIN)
        except (OSError, ImportError) as error:
            fact = f"udev: no uevents can be had ({error}), so the other sources find changes, later"
            self.faults = (f"{fact}; allow AF_NETLINK, in the host's network namespace",)
            return False
        # The old one, if any, closes only now that the new one listens: nothing is lost in between.
        self._monitor, self.source, self.faults = monitor, source, ()
        return True

    def _rebuild(self) -> None:
        """What the old socket holds is stale by now: a full probe is due, and reading on would only delay it."""
        if not self._open() and self._monitor is not None:
            with contextlib.suppress(OSError), _socket(self._monitor) as old:
                old.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # else it would be readable for ever


def _socket(monitor: "pyudev.Monitor") -> socket.socket:
    return socket.socket(fileno=os.dup(monitor.fileno()))


def _enlarge(monitor: "pyudev.Monitor", size_bytes: int) -> None:
    with _socket(monitor) as ours:
        try:
            ours.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size_bytes)
        except OSError:  # without CAP_NET_ADMIN: as much as the administrator lets everybody have
            ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size_bytes)


def _told(device: "pyudev.Device") -> Uevent:
    """Our own record of it. No attribute file of the device is read."""
    try:
        properties = device.properties
        event = Uevent(
            action=device.action or "",
            subsystem=device.subsystem or "",
            name=device.sys_name,
            path=device.device_path,
            driver=properties.get("DRIVER", ""),
            pci_id=properties.get("PCI_ID", ""),
            pci_class=properties.get("PCI_CLASS", ""),
            modalias=properties.get("MODALIAS", ""),
            display="HOTPLUG" in properties or "LEASE" in properties,
        )
        if event.subsystem != "drm":
            return event
        parent = device.find_parent("pci")
        return event._replace(parent_pci_id=parent.properties.get("PCI_ID", "") if parent else "")
    except (LookupError, UnicodeError):  # a name in another encoding is none of NVIDIA's
        return Uevent("", "", "", "")
