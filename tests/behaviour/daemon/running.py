"""A daemon in a made-up machine, for tests, benchmarks and the demo."""

import contextlib
import json
import os
import platform
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import yaml

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
SPEC = "/var/run/cdi/nvidia.yaml"
STATE = "/run/cdi-refreshd/state.json"
LIMIT_S = 120
"""Generous, for busy machines: only a test that fails waits this long."""
IDLE_S = 0.5
"""Longer than the daemon settles, shorter than its own timers."""
POLL = {"x86_64": "7"}
"""The number of poll(), whose third argument is in milliseconds."""
CASE = {"gpus": [{}, {}], "path_bins": ["/usr/bin/nvidia-cdi-hook"]}
HANGS = {**CASE, "nvml": ["hang nvmlDeviceGetCount_v2 600"]}
"""No probe ends."""


def hanging(machine, start, **options):
    """A daemon that has published its spec and whose next probe hangs; the child's pid."""
    daemon = start(**options)
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    machine.become(HANGS)
    daemon.until_quiet()
    daemon.signal(signal.SIGHUP)
    return daemon, daemon.until_probing()


def patched(machine, code):
    """The environment of a daemon that executes `code` first."""
    folder = machine.path("/opt/python")
    folder.mkdir(parents=True)
    (folder / "sitecustomize.py").write_text(code)
    return {"PYTHONPATH": "/opt/python"}


class Running:
    """A daemon in a machine, what it sent to systemd, and what it wrote to stderr."""

    def __init__(self, machine, config="", env=None, watchdog_s=0, prefix=()):
        """`prefix` goes before the command: `unshare -n` gives it a network of its own."""
        self.machine, self.notified = machine, []
        self.manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        # A path, since abstract names belong to a network namespace; through a descriptor, since it is too long.
        here = os.open(machine.path("/run"), os.O_PATH)
        name = f"notify.{time.monotonic_ns()}"
        self.manager.bind(f"/proc/self/fd/{here}/{name}")
        os.close(here)
        environment = {"NOTIFY_SOCKET": f"/run/{name}", **(env or {})}
        if watchdog_s:
            environment["WATCHDOG_USEC"] = str(int(watchdog_s * 1e6))
        self.configure(config)
        self.stderr = machine.path("/run/daemon.err")
        self.process = machine.popen(
            [*prefix, *PROGRAM, "run"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self.stderr.open("ab"),
        )

    def configure(self, text):
        path = self.machine.path("/etc/cdi-refreshd")
        path.mkdir(parents=True, exist_ok=True)
        (path / "cdi-refreshd.conf").write_text(text)

    def hear(self, limit_s=0.0):
        """Everything that was sent to systemd until now, after waiting this long for more."""
        while select.select([self.manager], [], [], limit_s)[0]:
            self.notified += self.manager.recv(65536).decode().splitlines()
            limit_s = 0.0
        return self.notified

    def until(self, condition, what="it never came"):
        ends_at = time.monotonic() + LIMIT_S
        while not condition():
            left_s = ends_at - time.monotonic()
            assert left_s > 0, f"{what}\n{self.stderr.read_text()}"
            assert self.process.poll() is None, f"the daemon ended\n{self.stderr.read_text()}"
            self.hear(0.01)

    def until_notified(self, text):
        self.until(lambda: any(text in line for line in self.hear()), f"systemd never heard {text!r}")

    def journal(self):
        return self.stderr.read_text()

    def state(self):
        return json.loads(self.machine.path(STATE).read_text())

    def devices(self):
        """Names in the spec, without UUIDs and `all`; none where there is no spec."""
        path = self.machine.path(SPEC)
        if not path.exists():
            return set()
        try:
            names = {device["name"] for device in yaml.load(path.read_bytes(), yaml.CSafeLoader)["devices"]}
        except (yaml.YAMLError, KeyError, TypeError, FileNotFoundError):
            return set()  # damaged by the test, on purpose
        return {name for name in names if name[0].isdigit()}

    def text(self):
        """The spec's, empty where there is none."""
        path = self.machine.path(SPEC)
        return path.read_text() if path.exists() else ""

    def until_devices(self, *names):
        self.until(lambda: self.devices() == set(names), f"never had the devices {names}")

    def until_passes(self, number):
        self.until(lambda: self.machine.path(STATE).exists() and self.state()["counters"]["passes"] >= number)

    def until_quiet(self):
        """No pass is under way or due: the daemon waits for nothing."""
        last = None
        calm = 0
        while calm < 20:
            if self.is_idle():
                break
            self.hear(0.02)
            now = self.counters()
            calm = calm + 1 if now == last and now and not self.children() else 0
            last = now
        self.hear()

    def counters(self):
        """None until there are any."""
        return self.state()["counters"] if self.machine.path(STATE).exists() else None

    def is_idle(self):
        """Whether the kernel shows that it has no child and sleeps until something happens, or for long.

        False also where the kernel does not tell, or where it tells in another machine's way.
        """
        before = self.status()
        idle = bool(self.counters()) and not self.children() and self.sleeps_s() >= IDLE_S
        asleep = "\nState:\tS" in before  # and not stopped by a tracer
        return idle and asleep and self.status() == before  # else it did something in between

    def status(self):
        """The process's status, which has how often it went to sleep."""
        return Path(f"/proc/{self.process.pid}/status").read_text()

    def sleeps_s(self):
        """The timeout of the poll() that it sleeps in."""
        with contextlib.suppress(OSError):
            number, *arguments = Path(f"/proc/{self.process.pid}/syscall").read_text().split()
            if number == POLL.get(platform.machine()):
                return int(arguments[2], 16) / 1000
        return 0.0

    def children(self):
        return [
            int(pid)
            for task in os.listdir(f"/proc/{self.process.pid}/task")
            for pid in open(f"/proc/{self.process.pid}/task/{task}/children").read().split()
        ]

    def until_probing(self):
        """The child that has the driver's library open: other children do not, such as the one that finds libudev."""
        found = []

        def probes():
            for pid in self.children():
                with contextlib.suppress(OSError):
                    found.extend([pid] if "libnvidia-ml" in Path(f"/proc/{pid}/maps").read_text() else [])
            return found

        self.until(probes, "no child ever probed")
        return found[0]

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(LIMIT_S)
        finally:
            self.process.kill()
            self.process.wait()
            self.hear()

    def close(self):
        try:
            self.stop()
        finally:
            self.manager.close()
