import subprocess
import sys
from pathlib import Path

import pytest

REAL = Path("/proc/driver/nvidia/version").exists()


@pytest.mark.root
@pytest.mark.skipif(REAL, reason="this host has GPUs, and the demo would publish a spec of them")
def test_make_run_reports_that_the_machine_is_made_up_and_exits_with_0():
    done = subprocess.run([sys.executable, "-m", "tests.demo"], check=False, capture_output=True, text=True)
    assert "MADE-UP MACHINE" in done.stdout.splitlines()[0]
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
