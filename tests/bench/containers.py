"""Specs without hooks compared with specs with hooks: size, time to make one, a container's start.

    python -m tests.bench.containers            (as root: it makes machines up, and starts containers in them)

The hook program is a stand-in that does nothing: NVIDIA's own takes longer. Medians; the two kinds take turns.
"""

import statistics
import sys
import time

from tests.behaviour.podman.podman_run import RUNTIMES, podman, prepare
from tests.machine import booted

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
HOOK = "/usr/bin/nvidia-cdi-hook"
# A hook must read the container's state from its input: crun fails if the pipe breaks.
NO_OP = "#!/bin/sh\ncat > /dev/null 2>&1\n"
KINDS = ("nvidia", "none")
ROUNDS = 10
ROOTFS = """
mkdir -p /run/rootfs/usr
cd /run/rootfs
mkdir dev proc sys run etc tmp
ln -s usr/bin usr/lib usr/lib64 .
"""
BUILD = """
import statistics, sys, time
from cdi_refreshd.core.cdi.encode import to_yaml
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.probe.machine import probe
from cdi_refreshd.probe.request import Request
taken = {}
for kind in sys.argv[1:] * 60:
    choices = Choices(hooks=kind)
    seen = taken.setdefault(kind, ([], probe(Request(choices))))[1]
    start = time.process_time()
    to_yaml(build(seen, choices))
    taken[kind][0].append((time.process_time() - start) * 1000)
print(*(statistics.median(times) for times, _ in taken.values()))
"""


def machine_with(gpus, drm):
    made = [{"drm": [i, 128 + i]} if drm else {} for i in range(gpus)]
    return {"gpus": made, "path_bins": [HOOK], "host_runtimes": ["podman", *RUNTIMES]}


def row(name, values, unit):
    with_hooks, without = values
    print(f"  {name:<44} {with_hooks:>10.1f} {without:>10.1f} {unit:<5} {without / with_hooks:>6.2f}")


def sizes_and_builds():
    for gpus, drm in ((1, True), (8, False), (8, True)):
        with booted(machine_with(gpus, drm)) as machine:
            what = f"{gpus} GPU{'s' if gpus > 1 else ''}{' with DRM nodes' if drm else ''}"
            for form in ("yaml", "json"):
                made = [
                    machine.run([*PROGRAM, "generate", "--format", form, "--hooks", kind], check=True) for kind in KINDS
                ]
                row(f"{what}: size as {form}", [len(done.stdout) / 1024 for done in made], "KiB")
            taken = machine.run([sys.executable, "-c", BUILD, *KINDS], check=True).stdout
            row(f"{what}: build and render, of CPU", list(map(float, taken.split())), "ms")


def starts():
    for gpus in (1, 8):
        with booted(machine_with(gpus, True)) as machine:
            machine.run(["sh", "-ec", ROOTFS], check=True)
            machine.path(HOOK).write_text(NO_OP)
            prepare(machine)
            for kind in KINDS:
                words = ["--hooks", kind, "--vendor", f"{kind}.example", "--output", f"/etc/cdi/{kind}.yaml"]
                machine.run([*PROGRAM, "generate", *words], check=True)
            for runtime in RUNTIMES:
                taken = {kind: [] for kind in KINDS}
                for _ in range(ROUNDS):
                    for kind in KINDS:
                        start = time.perf_counter()
                        done = podman(
                            machine,
                            runtime,
                            f"{kind}.example/gpu=all",
                            "/run/rootfs",
                            ["true"],
                            ["--volume", "/usr:/usr:ro"],
                        )
                        taken[kind].append((time.perf_counter() - start) * 1000)
                        assert done.returncode == 0, done.stdout
                what = f"{gpus} GPU{'s' if gpus > 1 else ''}: podman run, {runtime}"
                row(what, [statistics.median(taken[kind]) for kind in KINDS], "ms")


def main():
    print(f"  {'':<44} {'hooks':>10} {'none':>10} {'':<5} {'ratio':>6}")
    sizes_and_builds()
    starts()


if __name__ == "__main__":
    main()
