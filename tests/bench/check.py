"""How long a check takes as a whole process, in bare interpreter starts.

    python -m tests.bench.check            (as root: it makes machines up)

The rows take turns, since machines are noisy; medians.
"""

import json
import os
import statistics
import subprocess
import sys
import time

from tests.machine import booted

PYTHON = sys.executable
SCRIPT = os.path.join(os.path.dirname(PYTHON), "cdi-refreshd")
PROGRAM = [SCRIPT] if os.path.exists(SCRIPT) else [PYTHON, "-m", "cdi_refreshd"]
EIGHT = {"gpus": [{"drm": [i, 128 + i]} for i in range(8)], "path_bins": ["/usr/bin/nvidia-cdi-hook"]}
MIG = {"gpus": [{"mig": [[gi, 0] for gi in range(1, 8)]}] * 8, "path_bins": ["/usr/bin/nvidia-cdi-hook"]}
ROUNDS = 25
LIMIT = 12


def timed(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1000


def measure():
    """Runs in the made-up machine; prints medians in ms as JSON."""
    rows = {"bare": [], "check": [], "yaml": []}
    for _ in range(ROUNDS):
        rows["bare"].append(timed(["/usr/bin/python3", "-I", "-S", "-c", "pass"]))
        rows["check"].append(timed([*PROGRAM, "check"]))
        rows["yaml"].append(timed([PYTHON, "-c", "import yaml"]))
    print(json.dumps({name: statistics.median(values) for name, values in rows.items()}))


def main():
    for name, case in (("8 GPUs", EIGHT), ("8 GPUs, 56 MIG devices", MIG)):
        with booted(case) as machine:
            machine.run([*PROGRAM, "oneshot"], check=True)
            command = [PYTHON, "-m", "tests.bench.check", "measure"]
            got = json.loads(machine.run(command, cwd=os.getcwd(), timeout=300, check=True).stdout)
        bare = got["bare"]
        limit = f"   (at most {LIMIT} x)" if case is EIGHT else ""
        print(
            f"{name:<24} bare {bare:6.1f} ms   check {got['check']:6.1f} ms = {got['check'] / bare:4.1f} x{limit}"
            f"   an interpreter with PyYAML {got['yaml'] / bare:4.1f} x"
        )


if __name__ == "__main__":
    measure() if sys.argv[1:] == ["measure"] else main()
