"""pyudev and pynvml work without ctypes.util, and no program is run to find their libraries."""

import subprocess
import sys

import pytest

WATCHED = """
import sys
started = []
sys.addaudithook(lambda event, args: started.append(event) if event in ("subprocess.Popen", "os.posix_spawn") else None)
"""


def run(code):
    done = subprocess.run([sys.executable, "-c", WATCHED + code], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_pyudev_is_imported_without_a_program_that_searches_for_libudev():
    code = """
from cdi_refreshd.events import udev
udev.pyudev.Context()
print(*started, "ctypes.util" in sys.modules)
"""
    assert run(code) == ["False"]


@pytest.mark.parametrize("first", ["events.udev", "host.nvml"])
def test_pyudev_and_pynvml_work_in_either_order_of_import(first):
    code = f"""
import cdi_refreshd.{first}
from cdi_refreshd.events import udev
from cdi_refreshd.host import nvml
udev.pyudev.Context()
print(nvml.pynvml.NVML_SUCCESS, *started, "ctypes.util" in sys.modules)
"""
    assert run(code) == ["0", "False"]


def test_an_already_loaded_ctypes_util_stays_unchanged():
    code = """
import ctypes.util
from cdi_refreshd.events import udev
print(sys.modules["ctypes.util"] is ctypes.util, "find_library" in vars(ctypes.util))
"""
    assert run(code) == ["True", "True"]
