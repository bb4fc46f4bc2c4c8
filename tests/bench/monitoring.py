"""What metrics and heartbeats cost the daemon: memory, CPU time and wake-ups at rest.

python -m tests.bench.monitoring [IDLE_SECONDS]     (as root: it makes a machine up; 60)
"""

import statistics
import sys
import time
from pathlib import Path

from tests.behaviour.daemon.running import CASE, Running
from tests.bench.daemon import cpu_s, memory_kib
from tests.machine import booted

EIGHT = {**CASE, "gpus": [{}] * 8}
METRICS = "[metrics]\ntextfile = /run/cdi-refreshd/x.prom\nnfd-features = /run/cdi-refreshd/features\n"
STARTS = 3


def woken(pid):
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("\nvoluntary_ctxt_switches:")[1].split()[0])


def at_rest(config, idle_s):
    """VmRSS in KiB, CPU seconds and wake-ups of an idle daemon, watchdog included."""
    with booted(EIGHT) as machine:
        daemon = Running(machine, config=config, watchdog_s=120)
        try:
            daemon.until_notified("READY=1")
            daemon.until_quiet()
            pid = daemon.process.pid
            memory, cpu, turns = memory_kib(pid), cpu_s(pid), woken(pid)
            time.sleep(idle_s)
            return memory, cpu_s(pid) - cpu, woken(pid) - turns
        finally:
            daemon.close()


def main():
    idle_s = int(sys.argv[1]) if len(sys.argv) > 1 else 60
    memory = {}
    for name, config in (("without metrics", ""), ("with metrics and labels", METRICS)):
        memory[name] = [at_rest(config, 0)[0] / 1024 for _ in range(STARTS)]
        print(f"VmRSS {name}: median {statistics.median(memory[name]):.2f} MiB of {STARTS} starts")
    plain, full = (statistics.median(values) for values in memory.values())
    print(f"metrics cost {full - plain:+.2f} MiB")
    for name, config in (("without metrics", ""), ("with metrics and labels", METRICS)):
        _, cpu, turns = at_rest(config, idle_s)
        print(f"idle {idle_s} s {name}: {cpu:.2f} s CPU, {turns} wake-ups")


if __name__ == "__main__":
    main()
