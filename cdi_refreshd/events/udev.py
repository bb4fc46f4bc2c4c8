"""Uevents, from udevd or, without one, from the kernel. No object of pyudev leaves this module."""

import contextlib
import math
import os
import select
import socket
import time

from cdi_refreshd.host import ctypes_util

with ctypes_util.stood_in():
    import pyudev

from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import EventSource
from cdi_refreshd.core.refresh.uevent_filter import SUBSYSTEMS, Uevent, interesting

UDEVD = "/run/udev/control"
BUFFER_BYTES = 16 << 20
"""A limit, not an allocation: several thousand events while we are busy or stopped."""
AT_MOST = 20_000
"""Events in one read: an endless sender must not keep us. The descriptor stays readable."""
AGAIN_S = 60.0
"""Time between two tries to open the socket."""
OVERFLOW = Event(Source.UDEV, Kind.QUEUE, Action.OVERFLOW)
_SO_RCVBUFFORCE = 33  # the socket module has no name for it


class UdevEvents(EventSource):
    """`source` is "udev", "kernel" or "none": then `faults` says why, and another try follows."""

    def __init__(self, source: str = "", buffer_bytes: int = BUFFER_BYTES) -> None:
        """`source` is detected if it is not given."""
        self.source = "none"
        self._wanted = source
        self._buffer_bytes = buffer_bytes
        self._epoll = select.epoll()
        self._monitor: pyudev.Monitor | None = None
        self._again_at_s = math.inf
        self._open()

    @property
    def origin(self) -> str:  # type: ignore[override]
        return self.source

    def fileno(self) -> int:
        return self._epoll.fileno()

    def due_at(self, now: float) -> float:
        return max(self._again_at_s, now)

    def poll(self, now: float) -> list[Event]:
        if now < self.due_at(now) or not self._open():
            return []
        return [Event(Source.UDEV, Kind.QUEUE, Action.RECEIVED_AGAIN, note=f"uevents of {self.source}")]

    def read(self) -> list[Event]:
        if self._monitor is None:
            return []
        found: dict[Event | None, None] = {}
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
        return [event for event in found if event]

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
            self._again_at_s = time.monotonic() + AGAIN_S if self._monitor is None else math.inf
            return False
        # The old one, if any, is closed only after the new one listens: nothing is lost in between.
        self._monitor, self.source, self.faults, self._again_at_s = monitor, source, (), math.inf
        self.note = "no udevd runs: events come from the kernel" if source == "kernel" else ""
        return True

    def _rebuild(self) -> None:
        """What is in the old socket is stale: a full probe is due, and reading on would only delay it."""
        if not self._open() and self._monitor is not None:
            with contextlib.suppress(OSError), _socket(self._monitor) as old:
                old.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)  # otherwise it would stay readable


def _socket(monitor: "pyudev.Monitor") -> socket.socket:
    return socket.socket(fileno=os.dup(monitor.fileno()))


def _enlarge(monitor: "pyudev.Monitor", size_bytes: int) -> None:
    with _socket(monitor) as ours:
        try:
            ours.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, size_bytes)
        except OSError:  # without CAP_NET_ADMIN: as much as the system allows any user
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
    except (LookupError, UnicodeError):  # a name in another encoding is not NVIDIA's
        return Uevent("", "", "", "")
