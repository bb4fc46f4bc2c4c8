"""The made-up machine itself: what a test sees in it is what a GPU host shows, and nothing of it reaches this host."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.machine import CannotBoot, booted, missing, run_in
from tests.machine.elf import shared_library
from tests.machine.tree import Dir, File, Link, apply, text

root = pytest.mark.root
TWO = {"gpus": [{"drm": [1, 128]}, {"drm": [2, 129]}]}
MIG = {"gpus": [{"mig": [[1, 0], [2, 0, 0x11]], "name": "NVIDIA RTX PRO 6000", "addressing": 2}, {"minor": 5}]}


def ask(machine, expression, **options):
    """The value inside of an expression over an initialised pynvml."""
    program = f"import pynvml as n; n.nvmlInit(); print({expression})"
    return machine.run([sys.executable, "-c", program], **options)


def sh(machine, line):
    return machine.run(["sh", "-c", line], check=True).stdout


@root
@pytest.mark.parametrize("layout", ["debian", "debian-alternatives", "rhel", "arch", "cache"])
def test_ldconfig_lists_the_drivers_sonames_in_every_layout(layout):
    done = run_in(TWO | {"layout": layout}, ["ldconfig", "-p"])
    names = {line.split()[0] for line in done.stdout.splitlines()[1:]}
    assert {"libcuda.so.1", "libnvidia-ml.so.1", "libGLX_nvidia.so.0", "libnvidia-glcore.so.580.95.05"} <= names


@root
def test_debian_alternatives_lead_to_the_real_file_by_absolute_links():
    with booted(TWO | {"layout": "debian-alternatives"}) as machine:
        library = sh(machine, "readlink -f $(ldconfig -p | sed -n 's/.*libcuda.so.1.*=> //p')").strip()
        assert library.endswith("/nvidia/current/libcuda.so.580.95.05")
        assert sh(machine, "readlink /usr/bin/nvidia-smi").startswith("/etc/alternatives/")
        assert ask(machine, "n.nvmlDeviceGetCount()").stdout == "2\n"


def test_a_library_written_without_a_compiler_is_loaded_by_the_linker(tmp_path):
    library = tmp_path / "libmade.so.1"
    library.write_bytes(shared_library("libmade.so.1"))
    dynamic = subprocess.run(["readelf", "-dW", library], capture_output=True, text=True, check=True).stdout
    assert "Library soname: [libmade.so.1]" in dynamic
    subprocess.run([sys.executable, "-c", f"import ctypes; ctypes.CDLL({str(library)!r})"], check=True)


@root
def test_nvml_answers_as_the_case_says():
    with booted(MIG) as machine:
        said = ask(
            machine,
            "[n.nvmlSystemGetDriverVersion(),"
            " [n.nvmlDeviceGetMinorNumber(n.nvmlDeviceGetHandleByIndex(i)) for i in (0, 1)],"
            " n.nvmlDeviceGetName(d := n.nvmlDeviceGetHandleByIndex(0)), n.nvmlDeviceGetAddressingMode(d),"
            " [n.nvmlDeviceGetGpuInstanceId(n.nvmlDeviceGetMigDeviceHandleByIndex(d, i)) for i in (0, 1)],"
            " n.nvmlGpuInstanceGetInfo(n.nvmlDeviceGetGpuInstanceById(d, 2)).profileId"
            " == n.nvmlDeviceGetGpuInstanceProfileInfo(d, n.NVML_GPU_INSTANCE_PROFILE_3_SLICE_GFX).id]",
        )
        assert said.stderr == ""
        assert said.stdout == "['580.95.05', [0, 5], 'NVIDIA RTX PRO 6000', 2, [1, 2], True]\n"
        assert machine.nvml_opens() == 1


@root
@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (["fail nvmlDeviceGetCount_v2 15"], "NVMLError_GpuIsLost"),
        (["print # not JSON"], "0"),
    ],
)
def test_nvml_fails_and_prints_on_demand(lines, last):
    with booted(TWO | {"nvml": lines}) as machine:
        done = ask(machine, "n.nvmlDeviceGetCount() - 2")
        said = (done.stdout + done.stderr).splitlines()[-1].removeprefix("pynvml.").partition(":")[0]
        assert said in (last, "# not JSON")
        assert ("# not JSON" in done.stdout) == ("print # not JSON" in lines)


@root
def test_nvml_crashes_on_demand():
    done = run_in(TWO | {"nvml": ["crash nvmlInit_v2"]}, [sys.executable, "-c", "import pynvml; pynvml.nvmlInit()"])
    assert done.returncode == -signal.SIGSEGV


@root
def test_nvml_that_floods_every_pipe_does_not_block_the_probe():
    with booted(TWO | {"nvml": ["flood nvmlInit_v2"]}) as machine:
        read, write = os.pipe()
        program = [sys.executable, "-c", "import pynvml; pynvml.nvmlInit()"]
        pipe = subprocess.PIPE
        with machine.popen(program, stdout=pipe, stderr=pipe, pass_fds=[write]) as process:
            try:
                for source in (process.stdout.fileno(), process.stderr.fileno(), read):
                    assert os.read(source, 100) == b"#" * 100
            finally:
                process.kill()
                os.close(read)
                os.close(write)


@root
def test_a_module_of_another_version_makes_nvml_report_a_mismatch():
    done = ask_in(TWO | {"module_version": "570.1"}, "0")
    assert "LibRmVersionMismatch" in done.stderr


@root
def test_without_a_module_there_are_functions_but_neither_driver_nor_nodes():
    with booted(TWO | {"no_module": True}) as machine:
        seen = sh(machine, "ls /sys/bus/pci/devices; ls /dev /proc/driver; cat /proc/devices")
        assert "0000:01:00.0" in seen
        assert "nvidia" not in seen
        assert not machine.path("/sys/bus/pci/devices/0000:01:00.0/driver").exists()
        assert "DriverNotLoaded" in ask(machine, "0").stderr


def ask_in(case, expression):
    with booted(case) as machine:
        return ask(machine, expression)


@root
def test_functions_of_other_drivers_are_shown_as_such():
    unbound = [{"bdf": "0000:41:00.0", "driver": "vfio-pci"}, {"bdf": "0000:42:00.0"}]
    with booted(TWO | {"unbound": unbound}) as machine:
        device = machine.path("/sys/bus/pci/devices/0000:41:00.0/driver")
        assert os.readlink(device).endswith("/vfio-pci")
        assert not machine.path("/sys/bus/pci/devices/0000:42:00.0/driver").exists()
        assert machine.path("/sys/bus/pci/devices/0000:42:00.0/vendor").read_text() == "0x10de\n"


@root
def test_udev_enumerates_the_machines_devices_and_not_the_hosts():
    program = "import pyudev; print([d.sys_name for d in pyudev.Context().list_devices(subsystem='drm')])"
    done = run_in(TWO, [sys.executable, "-c", program])
    assert done.stdout == "['card1', 'renderD128', 'card2', 'renderD129']\n", done.stderr


@root
def test_a_machine_that_becomes_another_keeps_the_files_that_both_have():
    with booted(TWO) as machine:
        before = machine.path("/dev/nvidia0").stat().st_ino
        machine.become({"gpus": TWO["gpus"][:1]})
        assert machine.path("/dev/nvidia0").stat().st_ino == before
        assert sorted(sh(machine, "ls /dev/dri /sys/bus/pci/devices").split()) == sorted(
            ["/dev/dri:", "by-path", "card1", "renderD128", "/sys/bus/pci/devices:", "0000:01:00.0"]
        )
        assert sh(machine, "ls /sys/devices/pci0000:00").split() == ["0000:01:00.0"]
        assert ask(machine, "n.nvmlDeviceGetCount()").stdout == "1\n"


@root
def test_a_path_is_resolved_with_the_machines_links():
    with booted(TWO | {"links": {"/srv/away": "/run/deep"}}) as machine:
        sh(machine, "mkdir /run/deep; echo inside > /run/deep/file")
        assert machine.path("/srv/away/file").read_text() == "inside\n"
        assert machine.path("/var/run/fake-nvml").exists()


@root
def test_a_signal_reaches_the_command_itself():
    with booted(TWO) as machine, machine.popen(["sleep", "1000"]) as process:
        process.terminate()
        assert process.wait(60) == -signal.SIGTERM


@root
def test_a_machine_leaves_no_traces():
    def host():
        names = [sorted(os.listdir(folder)) for folder in ("/dev", "/mnt")]
        return Path("/proc/self/mountinfo").read_text(), names, os.path.exists("/run/fake-nvml")

    before = host()
    with booted(TWO) as machine:
        orphan = machine.run(["sh", "-c", "sleep 1000 >/dev/null 2>&1 & echo $!; touch /usr/made-up"])
        assert machine.path(f"/proc/{orphan.stdout.strip()}").exists()
        inside = host()
        keeper = machine.root
    assert before == inside == host()
    assert not os.path.exists("/usr/made-up")
    assert not keeper.exists()


@root
def test_the_command_line_runs_a_command_and_passes_its_status(tmp_path):
    case = tmp_path / "case.json"
    case.write_text('{"gpus": [{}]}')
    command = [sys.executable, "-m", "tests.machine", case, "--", "sh", "-c", "ls /dev/nvidia0; exit 7"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (7, "/dev/nvidia0\n", "")


@pytest.mark.parametrize(("content", "reported"), [(None, "No such file"), ('{"gpus": [}', "line 1 column 11")])
def test_the_command_line_reports_a_case_that_cannot_be_read_in_one_line(tmp_path, content, reported):
    case = tmp_path / "case.json"
    if content:
        case.write_text(content)
    command = [sys.executable, "-m", "tests.machine", case, "--", "true"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr.startswith(f"tests.machine: {case}: ") and reported in done.stderr


@root
def test_the_command_line_finds_the_programs_beside_the_interpreter_and_reports_unknown_ones_in_one_line(tmp_path):
    case = tmp_path / "case.json"
    case.write_text('{"gpus": []}')
    command = [sys.executable, "-m", "tests.machine", case, "--"]
    environment = os.environ | {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
    found = subprocess.run([*command, "cdi-refreshd", "--version"], env=environment, capture_output=True, check=False)
    assert (found.returncode, found.stdout[:12]) == (0, b"cdi-refreshd")
    unknown = subprocess.run([*command, "no-such-program"], capture_output=True, text=True, check=False)
    assert (unknown.returncode, unknown.stderr.count("\n")) == (127, 1)
    assert "no-such-program" in unknown.stderr


def test_without_root_one_line_says_that_root_is_needed(monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "needs root" in missing()
    with pytest.raises(CannotBoot), booted(TWO):
        pass


def test_a_tree_changes_only_where_it_differs(tmp_path):
    have = {"/a/b/file": text("1"), "/a/link": Link("b/file"), "/c/d": Dir(), "/a/f/g": File(b"", 0o755)}
    apply(tmp_path, {}, have)
    inode = (tmp_path / "a/b/file").stat().st_ino
    apply(tmp_path, have, {"/a/b/file": text("22"), "/c/d": Dir()})
    assert sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*")) == ["a", "a/b", "a/b/file", "c", "c/d"]
    assert (tmp_path / "a/b/file").stat().st_ino == inode
    assert (tmp_path / "a/b/file").read_text() == "22"
