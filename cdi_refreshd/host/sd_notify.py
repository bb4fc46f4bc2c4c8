"""Notifications to systemd: readiness, status, watchdog (sd_notify(3))."""

import os
import time

import sdnotify


class ServiceManager:
    """Does nothing where no service manager listens."""

    def __init__(self) -> None:
        self._notifier = sdnotify.SystemdNotifier()
        self._status = ""
        microseconds = os.environ.get("WATCHDOG_USEC", "")
        ours = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        # Half the time that systemd grants, as sd_watchdog_enabled(3) advises.
        self.ping_every_s = int(microseconds) / 2e6 if microseconds.isdigit() and ours else 0.0
        """0 where there is no watchdog."""

    def ready(self) -> None:
        self._notifier.notify("READY=1")

    def starting_takes(self, at_most_s: float) -> None:
        """Extends the unit's TimeoutStartSec= if necessary."""
        self._notifier.notify(f"EXTEND_TIMEOUT_USEC={at_most_s * 1e6:.0f}")

    def reloading(self) -> None:
        # Without the time systemd waits for ever (Type=notify-reload).
        self._notifier.notify(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000}")

    def stopping(self) -> None:
        self._notifier.notify("STOPPING=1")

    def status(self, text: str) -> None:
        """One line of ASCII. The same text is not sent twice."""
        if text != self._status:
            self._status = text
            self._notifier.notify(f"STATUS={text}")

    def ping(self) -> None:
        self._notifier.notify("WATCHDOG=1")

    def close(self) -> None:
        if self._notifier.socket:
            self._notifier.socket.close()
