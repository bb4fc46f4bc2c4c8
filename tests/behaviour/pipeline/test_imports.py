"""Commands that run at each boot or often import no more than they need: most of their time is imports."""

import subprocess
import sys

import pytest

from .hosts import GPU, TOP, case

pytestmark = pytest.mark.root

BASE = """__main__ cli command_line commands core.cdi core.config core.entries core.findings core.nvidia.control_nodes
    core.nvidia.driver_paths core.nvidia.gpu_count core.nvidia.hook_program core.nvidia.inventory core.paths
    core.read_errors core.refresh.recalled host.path_entries host.regular_file options"""
RULES = """core.checks core.formats core.nvidia.build.edits core.nvidia.build.places core.nvidia.driver_texts
    host.atomic_file host.driver_root host.pci host.procfs
    host.program_output host.yaml_file inspect probe.files probe.hook_program"""
PIPELINE = """core.checks core.nvidia core.refresh.states host.atomic_file host.child host.sha256 inspect.candidate
    last_pass pipeline probe.request probe.runner"""
OURS = {
    "probe": f"{BASE} core.nvidia core.formats host probe",
    "generate": f"{BASE} {PIPELINE}",
    "oneshot": f"{BASE} {PIPELINE} {RULES} config",
    "check": f"""{BASE} {RULES} config core.nvidia.gpu_count host.runtime_config host.runtime_versions host.units
        probe.container_runtimes""",
    "list": f"{BASE} core.checks inspect config host.yaml_file",
}
"""What each may import of the package: modules, and whole subpackages."""
EVERYBODYS = """__future__ collections contextlib copyreg enum errno fnmatch functools importlib itertools keyword
    operator re reprlib struct types typing warnings"""
COMMAND = f"{EVERYBODYS} argparse gc gettext glob locale"
ANSWER = "bisect fcntl json resource select signal"
YAML = """base64 binascii bz2 cython_runtime datetime encodings lzma math shutil yaml zlib"""
OTHERS = {
    "probe": f"{EVERYBODYS} {ANSWER} ctypes pynvml string threading",
    "generate": f"{COMMAND} {ANSWER}",
    "oneshot": f"{COMMAND} {ANSWER}",
    "check": f"{COMMAND} {ANSWER} {YAML}",
    "list": f"{COMMAND} {YAML}",
}
"""And of other packages: no subprocess, tenacity, difflib, socket, logging, nor PyYAML where nothing is to be read.
Modules that begin with an underscore come with one of these."""


def may(name, allowed):
    return any(name == one or name.startswith((f"{one}.", "_")) for one in allowed)


@pytest.mark.parametrize("call", [*OURS, "oneshot --wait 30"])
def test_no_command_imports_a_module_that_it_does_not_need(host, call):
    what = call.split()[0]
    host.become(case(GPU))
    host.oneshot()
    command = [sys.executable, "-I", str(TOP / "tests/behaviour/pipeline/imports.py"), call]
    imported = host.machine.run(command, check=True).stdout.split()
    rooms = {name.rpartition(".")[0] for name in imported}
    ours = [name.removeprefix("cdi_refreshd.") for name in imported if name.startswith("cdi_refreshd.")]
    assert len(ours) > len(["more than the command line alone"]), imported
    found = [name for name in ours if not may(name, OURS[what].split()) and f"cdi_refreshd.{name}" not in rooms]
    others = [name for name in imported if not name.startswith("cdi_refreshd")]
    found += [name for name in others if not may(name, OTHERS[what].split())]
    assert not found


def test_a_daemon_without_options_does_not_keep_argparse():
    code = """
import sys
from cdi_refreshd import config
from cdi_refreshd.commands import run
import cdi_refreshd.daemon.service
config.read(None)
print(*sys.modules, sep="\\n")
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=TOP, capture_output=True, text=True, check=True)
    assert "cdi_refreshd.daemon.loop" in done.stdout.split()
    assert "argparse" not in done.stdout.split()
