"""How long a spec takes, in bare interpreter starts: as a whole process, and as a pass of a process that runs already.

    python -m tests.bench.generate            (as root: it makes machines up)

Each row takes turns with `python3 -I -S -c pass`, since machines are noisy; medians.
"""

import json
import os
import statistics
import subprocess
import sys
import time

from tests.machine import booted

PYTHON = sys.executable
PROGRAM = [PYTHON, "-m", "cdi_refreshd"]
SCRIPT = os.path.join(os.path.dirname(PYTHON), "cdi-refreshd")
EIGHT = {"gpus": [{}] * 8, "path_bins": ["/usr/bin/nvidia-cdi-hook"]}
MIG = [[gi, 0] for gi in range(1, 8)]
ROUNDS = 15


def with_mig(gpus):
    return {"gpus": [{"mig": MIG}] * gpus, "path_bins": ["/usr/bin/nvidia-cdi-hook"]}


def timed(function):
    start = time.perf_counter()
    function()
    return (time.perf_counter() - start) * 1000


def process(command):
    return timed(lambda: subprocess.run(command, check=True, capture_output=True))


def one_pass(changing=[0]):
    """From the request to the child until the rename; the content differs each time, so that it is written."""
    from cdi_refreshd import last_pass, pipeline
    from cdi_refreshd.core.config.choices import Choices
    from cdi_refreshd.probe import runner
    from cdi_refreshd.probe.request import Request

    changing[0] += 1
    request = Request(Choices(vendor=f"v{changing[0]}.example"), gated=True)
    target, last = pipeline.Target("/run/cdi/nvidia.yaml", "yaml"), last_pass.LastPass()
    outcome = pipeline.one_pass(runner.start(request), request, last, target, runner.LIMIT_S)
    assert outcome.changed, outcome


def measure():
    """Runs in the made-up machine; prints medians in ms as JSON."""
    import cdi_refreshd.probe.machine  # noqa: F401 - as in the daemon

    command = [SCRIPT, "generate"] if os.path.exists(SCRIPT) else [*PROGRAM, "generate"]
    rows = {"bare": [], "generate": [], "pass": []}
    for _ in range(ROUNDS):
        rows["bare"].append(process(["/usr/bin/python3", "-I", "-S", "-c", "pass"]))
        rows["generate"].append(process(command))
        rows["pass"].append(timed(one_pass))
    print(json.dumps({name: statistics.median(values) for name, values in rows.items()}))


def parts():
    """Runs in the made-up machine: what a `generate` consists of, each part once in a fresh process, in ms."""
    laps, last = {}, time.perf_counter()

    def lap(name):
        nonlocal last
        now = time.perf_counter()
        laps[name], last = (now - last) * 1000, time.perf_counter()

    from cdi_refreshd import cli, command_line, options
    from cdi_refreshd.probe import runner

    lap("import: command line")
    choices = options.choices(command_line.parser("generate", "").parse_args([]))
    lap("options")
    pid = os.fork()
    if not pid:
        os._exit(0)
    os.waitpid(pid, 0)
    lap("fork and end of a child")
    from cdi_refreshd.host import nvml

    lap("child: import pynvml")
    from cdi_refreshd.core.nvidia import inventory
    from cdi_refreshd.probe import machine
    from cdi_refreshd.probe.request import Request

    lap("child: import the probe")
    nvml.ask("")
    lap("child: NVML (the stand-in's)")
    text = inventory.to_json(machine.probe(Request(choices)))
    lap("child: the probe, NVML again included")
    from cdi_refreshd import pipeline
    from cdi_refreshd.core.refresh import states

    lap("parent, meanwhile: import the rest")
    verdict = states.draft(inventory.from_json(text), choices)
    lap("build and validate")
    list(pipeline.documents(verdict.spec, "-", "yaml"))
    lap("render")
    assert cli and runner
    print(json.dumps(laps))


def inside(case, what):
    with booted(case) as machine:
        done = machine.run([PYTHON, "-m", "tests.bench.generate", what], cwd=os.getcwd(), timeout=300, check=True)
        return json.loads(done.stdout)


def row(name, got, bare=None):
    bare = bare or got["bare"]
    print(
        f"{name:<28} bare {got['bare']:6.1f} ms   generate {got['generate']:6.1f} ms = {got['generate'] / bare:4.1f} x"
        f"   pass {got['pass']:6.1f} ms = {got['pass'] / bare:4.1f} x"
    )


def main():
    eight = inside(EIGHT, "measure")
    row("8 GPUs", eight)
    many = inside(with_mig(8), "measure")
    row("8 GPUs, 56 MIG devices", many)
    print(f"56 MIG devices against 8 GPUs: generate {many['generate'] / eight['generate']:.2f} x")
    for gpus in (1, 2, 4, 8, 16):
        row(f"{gpus} GPUs with 7 MIG devices", inside(with_mig(gpus), "measure"))
    print("\nParts, 8 GPUs (one cold process):")
    for name, took in inside(EIGHT, "parts").items():
        print(f"  {name:<40} {took:6.1f} ms")


if __name__ == "__main__":
    {"measure": measure, "parts": parts}.get(" ".join(sys.argv[1:]), main)()
