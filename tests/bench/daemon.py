"""The daemon at work: from an event to the renamed spec, memory over many refreshes, and at rest.

python -m tests.bench.daemon [REFRESHES [IDLE_SECONDS]]     (as root: it makes a machine up; 1000 and 60)
"""

import os
import signal
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.behaviour.daemon.running import CASE, SPEC, Running
from tests.machine import booted

EIGHT = {**CASE, "gpus": [{}] * 8}
KINDS = ("nvidia", "none")
EVENTS, FEW = 40, 20
QUIET_S = 1.0
"""Between two events, so that each is alone."""


def memory_kib(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def cpu_s(pid):
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def renamed(path, before):
    """Waits for another file at path; a busy loop, for exact times."""
    while True:
        try:
            if path.stat().st_ino != before:
                return time.perf_counter()
        except FileNotFoundError:
            continue


def event_to_spec(daemon, machine):
    took = []
    for number in range(EVENTS):
        time.sleep(QUIET_S)
        path, node = machine.path(SPEC), machine.path("/dev/nvidia-uvm-tools")
        before = path.stat().st_ino
        start = time.perf_counter()
        node.unlink()
        os.mknod(node, 0o020666, os.makedev(510, 1 + number % 2))
        took.append((renamed(path, before) - start) * 1000)
        daemon.hear()
    return took


def storm():
    with booted(EIGHT) as machine:
        machine.path("/run/udev").mkdir()
        machine.path("/run/udev/control").touch()
        daemon = Running(machine, prefix=("unshare", "-n"))
        try:
            daemon.until_notified("READY=1")
            daemon.until_quiet()
            pid, passes = daemon.process.pid, daemon.state()["counters"]["passes"]
            before_s = cpu_s(pid)
            sender = [
                "nsenter",
                "-n",
                "-t",
                str(pid),
                sys.executable,
                "-m",
                "tests.behaviour.daemon.storm",
                "10000",
                "change",
            ]
            subprocess.run(sender, check=True)
            daemon.until_passes(passes + 1)
            daemon.until_quiet()
            counters = daemon.state()["counters"]
            print(
                f"10,000 uevents in a burst: {counters['passes'] - passes} probes, {cpu_s(pid) - before_s:.2f} s CPU,"
                f" {counters['triggers']} triggers, {counters['overflows']} overflows"
            )
        finally:
            daemon.close()


def kinds():
    """The daemon's memory with a spec that has hooks, and with one without."""
    taken = {}
    for kind in KINDS:
        with booted(EIGHT) as machine:
            daemon = Running(machine, f"[generate]\nhooks = {kind}\n")
            try:
                daemon.until_notified("READY=1")
                refresh(daemon, FEW)
                taken[kind] = memory_kib(daemon.process.pid)
            finally:
                daemon.close()
    with_hooks, without = (taken[kind] for kind in KINDS)
    print(
        f"VmRSS after {FEW} refreshes: {with_hooks / 1024:.2f} MiB with hooks, {without / 1024:.2f} MiB without"
        f" = {without / with_hooks:.2f} x"
    )


def refresh(daemon, times):
    for _ in range(times):
        reloads = daemon.state()["counters"]["reloads"]
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda n=reloads: daemon.state()["counters"]["reloads"] > n)
    daemon.until_quiet()


def main():
    refreshes, idle_s = (int(number) for number in (sys.argv[1:] + ["1000", "60"][len(sys.argv) - 1 :]))
    kinds()
    storm()
    with booted(EIGHT) as machine:
        daemon = Running(machine)
        try:
            daemon.until_notified("READY=1")
            daemon.until_quiet()
            pid = daemon.process.pid
            start_kib = memory_kib(pid)
            print(f"VmRSS after start: {start_kib / 1024:.1f} MiB")
            took = event_to_spec(daemon, machine)
            print(
                f"lone event to renamed spec, 8 GPUs, settle included: median {statistics.median(took):.0f} ms,"
                f" worst {max(took):.0f} ms of {len(took)}"
            )
            daemon.until_quiet()
            warm_kib, open_files = memory_kib(pid), len(os.listdir(f"/proc/{pid}/fd"))
            done = daemon.state()["counters"]["passes"]
            refresh(daemon, refreshes)
            print(
                f"VmRSS {warm_kib / 1024:.2f} MiB -> {memory_kib(pid) / 1024:.2f} MiB over"
                f" {daemon.state()['counters']['passes'] - done} refreshes; descriptors {open_files} ->"
                f" {len(os.listdir(f'/proc/{pid}/fd'))}"
            )
            daemon.until_quiet()
            opens, before_s = machine.nvml_opens(), cpu_s(pid)
            time.sleep(idle_s)
            print(f"idle for {idle_s} s: {cpu_s(pid) - before_s:.2f} s of CPU, {machine.nvml_opens() - opens} probes")
        finally:
            daemon.close()


if __name__ == "__main__":
    main()
