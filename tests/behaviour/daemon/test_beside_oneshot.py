"""`oneshot` in loops beside a daemon, and readers beside both: no old spec after a newer one, and no half one."""

import os
import re
import subprocess
import time

import pytest

from tests.behaviour.daemon.running import CASE, LIMIT_S, PROGRAM, SPEC

pytestmark = pytest.mark.root

LASTS_S = float(os.environ.get("BESIDE_ONESHOT_S", "6"))
"""The long run is 60 s."""
READERS = 4
READER = """
import os, re, sys
path, stop = sys.argv[1:]
seen, reads, bad = 0, 0, []
stopped = False
while not stopped:
    stopped = os.path.exists(stop)  # then one more turn: on a busy host this one may have slept since the last
    try:
        with open(path, "rb") as file:
            text = file.read()
    except FileNotFoundError:
        bad.append("gone")
        continue
    reads += 1
    majors = {int(major) for major in re.findall(rb"major: ([4-9]\\d\\d)\\n", text) if int(major) != 511}
    whole = text.startswith(b"---\\n") and text.endswith(b"\\n") and len(majors) == 1
    if not whole:
        bad.append(f"half: {len(text)} bytes, {majors}")
    elif min(majors) < seen:
        bad.append(f"{min(majors)} after {seen}")
    else:
        seen = min(majors)
print(reads, seen, bad[:5])
sys.exit(bool(bad))
"""


@pytest.mark.parametrize("held", [False, True], ids=["not held", "held"])
def test_beside_oneshot_no_reader_sees_a_stale_or_incomplete_spec(machine, start, held):
    machine.become({**CASE, "uvm_major": 520})
    daemon = start()
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    if held:
        assert machine.run([*PROGRAM, "hold", "600"]).returncode == 0
    command = ["python3", "-c", READER, SPEC, "/run/stop"]
    readers = [
        machine.popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(READERS)
    ]
    major, ends_at = 520, time.monotonic() + LASTS_S
    while time.monotonic() < ends_at:
        major += 1
        machine.become({**CASE, "uvm_major": major})
        done = machine.run([*PROGRAM, "oneshot"])
        assert done.returncode == 0, done.stderr
        daemon.hear(0.01)
    daemon.until_quiet()
    machine.path("/run/stop").touch()
    for reader in readers:
        out, err = reader.communicate(timeout=LIMIT_S)
        assert reader.returncode == 0, out + err
        reads, seen = map(int, re.match(r"(\d+) (\d+)", out).groups())
        assert reads > 100
        assert seen == major
