"""Every system call of the search for GPUs fails once with each error: to be run in a made-up machine.

Prints one line for each that was taken for the absence of something: the error, and the call.
"""

import concurrent.futures
import os
import re
import subprocess
import sys

from tests.behaviour.pipeline import presence

ERRORS = ("ENFILE", "EACCES", "EIO")
MEMORY = ("brk", "mmap", "munmap", "mremap", "madvise")
CHILD = [sys.executable, "-I", "-B", presence.__file__]


def traced(log, *options):
    """(what it printed, the lines of its trace)"""
    command = ["strace", "-f", "-y", "-qq", "-o", log, *options, *CHILD]
    done = subprocess.run(command, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    with open(log, errors="replace") as file:
        return done.stdout.strip(), [re.sub(r"^\d+ +", "", line) for line in file]


def steps(lines):
    """(call, its number of that name since the process began, text) of each between the two marks."""
    counts, inside = {}, False
    for line in lines:
        call = line.partition("(")[0]
        counts[call] = counts.get(call, 0) + 1
        if presence.END in line:
            return
        if inside and call not in MEMORY:
            yield call, counts[call], line.strip()
        inside = inside or presence.BEGIN in line


def main():
    _, lines = traced("/run/trace")
    cases = [(error, *step) for step in steps(lines) for error in ERRORS]
    assert len(cases) > len(ERRORS) * 10, "nothing was inspected"

    def run(number):
        error, call, nth, text = cases[number]
        log = f"/run/trace.{number}"
        said, _ = traced(log, "-e", f"trace={call}", "-e", f"inject={call}:error={error}:when={nth}")
        os.unlink(log)
        return f"{error} at {text}: {said}" if said == "withdraw" else ""

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        print("\n".join(filter(None, pool.map(run, range(len(cases))))))


if __name__ == "__main__":
    main()
