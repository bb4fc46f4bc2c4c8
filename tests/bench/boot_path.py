"""Where the time of `oneshot` and `generate` goes: both as a whole, then their imports, process by process.

    python -m tests.bench.boot_path            (as root: it makes a machine up)

As the package's launcher starts it, and as `python -m` does where pip installed it. On a busy host, as root:
`chrt --fifo 50 python -m tests.bench.boot_path`.

Whole runs take turns with `python3 -I -S -c pass`, since machines are noisy; medians. Imports are CPU time, which other
processes do not disturb, each process once: what takes none of the time is not worth a late import.
"""

import compileall
import json
import os
import pathlib
import statistics
import subprocess
import sys
import sysconfig
import time

from tests.machine import booted

TOP = pathlib.Path(__file__).resolve().parents[2]
PRIVATE = "/usr/share/cdi-refreshd"
"""Where the package has the program; here it is in the working tree, and pynvml among the installed modules."""
LAUNCHER = (TOP / "debian/launcher").read_text().replace(f'"{PRIVATE}"', f'"{TOP}", "{sysconfig.get_path("purelib")}"')
PROGRAM = [sys.executable, "-IS", "-c", LAUNCHER]
SCRIPT = [sys.executable, "-m", "cdi_refreshd"]
BARE = [sys.executable, "-I", "-S", "-c", "pass"]
ONE = {"gpus": [{}], "path_bins": ["/usr/bin/nvidia-cdi-hook"]}
ROUNDS, SHOWN = 15, 12


def timed(command):
    start = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True)
    return (time.perf_counter() - start) * 1000


def whole():
    """Runs in the made-up machine; medians in ms."""
    commands = {"bare": BARE}
    for command in ("generate", "oneshot"):
        commands |= {command: [*PROGRAM, command], f"{command}, pip": [*SCRIPT, command]}
    rows = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            rows[name].append(timed(command))
    return {name: statistics.median(values) for name, values in rows.items()}


def imports(process):
    """Runs in the made-up machine, in a fresh interpreter: CPU ms of each module without what it imports."""
    from importlib.machinery import ExtensionFileLoader, SourceFileLoader

    spent, inner = {}, [0.0]

    def counted(loader):
        real = loader.exec_module

        def exec_module(self, module):
            began = time.process_time()
            inner.append(0.0)
            try:
                real(self, module)
            finally:
                took = (time.process_time() - began) * 1000
                spent[module.__name__] = took - inner.pop()
                inner[-1] += took

        loader.exec_module = exec_module

    counted(SourceFileLoader)
    counted(ExtensionFileLoader)
    if process == "child":
        from cdi_refreshd.core.config.choices import Choices
        from cdi_refreshd.probe import runner
        from cdi_refreshd.probe.request import Request

        runner._probe(Request(Choices(), True, "", "auto", True))
    else:
        from cdi_refreshd import cli

        out = os.dup(1)
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 1)
            os.dup2(nowhere.fileno(), 2)
            cli.run([process])
            sys.stdout.flush()
        os.dup2(out, 1)
    return spent


def main():
    if len(sys.argv) > 1:
        print(json.dumps(whole() if sys.argv[1] == "whole" else imports(sys.argv[1])))
        return
    compileall.compile_dir("cdi_refreshd", quiet=1)  # the machine keeps no byte code
    with booted(ONE) as machine:

        def inside(what):
            command = [sys.executable, "-m", "tests.bench.boot_path", what]
            return json.loads(machine.run(command, cwd=os.getcwd(), timeout=300, check=True).stdout)

        rows = inside("whole")
        for name, value in rows.items():
            print(f"{name:<14} {value:6.1f} ms  {value / rows['bare']:4.1f} x")
        for process in ("child", "generate", "oneshot"):
            spent = inside(process)
            print(f"imports of {process}: {sum(spent.values()):.1f} ms of CPU time, {len(spent)} modules")
            for name, value in sorted(spent.items(), key=lambda item: -item[1])[:SHOWN]:
                print(f"    {value:5.2f} ms  {name}")


if __name__ == "__main__":
    main()
