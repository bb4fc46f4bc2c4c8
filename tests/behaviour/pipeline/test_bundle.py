"""A report about a machine: it does not show whose machine it is, and booted from it a machine makes the same spec."""

import json
import subprocess
import sys

import pytest

from tests.machine import booted, hook_programs
from tests.machine.driver_files import MULTIARCH
from tests.unit.host.dxcore import build

from .hosts import GPU, PROGRAM, PUBLISHED, TOP, VERSION, case, lines, state_of

pytestmark = pytest.mark.root

SECRET = "6d1f3e2a-1234-4abc-8def-00aa11bb22cc"
OTHER = "1d1f3e2a-1234-4abc-8def-00aa11bb22cc"
OURS = {"drm": [1, 128], "uuid": f"GPU-{SECRET}"}
CUT = {"drm": [2, 129], "uuid": f"GPU-{OTHER}", "mig": [[1, 0], [2, 0, 0x0A]]}
ROOT = "/run/nvidia/driver"
STORE = "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0"
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d"
TEGRA = {"/etc/nv_tegra_release": "# R36\n", "/opt/tegra/libcuda.so.1.1": "x", "/opt/tegra/libnvdla.so.2": "x"}
TEGRA |= {f"{CSV}/devices.csv": "dev, /dev/nvhost-*\ndev, /dev/nvmap\n", "/usr/lib/firmware/tegra/x.bin": "x"}
TEGRA |= {f"{CSV}/drivers.csv": "lib, /opt/*/libcuda.so.1.1\nsym, /opt/lib/libnvdla.so\ndir, /lib/firmware/tegra\n"}
NODES = {"nvhost-gpu": [504, 0], "nvmap": [10, 61]}


def bundle(host, *words):
    done = host.run("bundle", *words, check=True)
    assert done.stderr == ""
    return json.loads(done.stdout)


MACHINES = {
    "cards and slices": (case(OURS, CUT, drm_mode="0660", drm_gid=44, sockets=["/run/nvidia-persistenced/socket"]), []),
    "alternatives": (case(OURS, layout="debian-alternatives"), []),
    "cache": (case(OURS, layout="cache"), []),
    "driver container": (
        case(OURS, layout="rhel", driver_root=ROOT),
        ["--driver-root", ROOT, "--dev-root", "/", "--device-name-strategy", "uuid"],
    ),
    "management": (case(OURS), ["--mode", "management"]),
    "one is lost": (case(OURS, {"node": False}, {}), []),
    "opt": (
        case(OURS, remove=["/usr/bin/nvidia-*"], path_bins=["/usr/bin/nvidia-cdi-hook", "/opt/bin/nvidia-smi"]),
        [],
    ),
    "tegra": (
        case(files=False, add=TEGRA, links={"/opt/lib/libnvdla.so": "../tegra/libnvdla.so.2"}, extra_nodes=NODES),
        [],
    ),
    "thor": (
        case(
            {"name": "NVIDIA Thor"},
            add=TEGRA,
            extra_nodes=NODES,
            links={"/opt/lib/libnvdla.so": "../tegra/libnvdla.so.2"},
        ),
        [],
    ),
}


@pytest.mark.parametrize("name", MACHINES)
def test_a_machine_booted_from_a_bundle_makes_an_equal_spec(host, name):
    made, words = MACHINES[name]
    host.become(made)
    first = host.oneshot(*words)
    document = bundle(host, *words)
    assert document["spec"]["published"] == document["spec"]["made"]
    with booted(document) as machine:
        second = machine.run([*PROGRAM, "oneshot"])
        assert state_of(second) == state_of(first), second.stderr
        assert machine.path(PUBLISHED).read_text() == document["spec"]["made"]


def test_a_wsl_machine_boots_from_its_bundle(host, tmp_path):
    names = ("libcuda.so.1.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "nvidia-smi")
    host.become(case(files=False, extra_nodes={"dxg": [10, 127]}, add={f"{STORE}/{name}": "x" for name in names}))
    host.path("/usr/lib/wsl/lib").mkdir(parents=True, exist_ok=True)
    with open(build(tmp_path / "libdxcore.so", store=STORE, adapters=2), "rb") as file:
        host.path("/usr/lib/wsl/lib/libdxcore.so").write_bytes(file.read())
    try:
        document = bundle(host)
    finally:
        host.shell("rm -r /usr/lib/wsl")
    assert document["inventory"]["mode"] == "wsl"
    with booted(document) as machine:
        machine.run([*PROGRAM, "oneshot"], check=True)
        assert machine.path(PUBLISHED).read_text() == document["spec"]["made"]


@pytest.mark.parametrize("release", ["1.14.6", "1.17.8"])
def test_the_hook_program_of_a_bundle_answers_as_on_its_host(host, release):
    host.become(case(OURS))
    hook_programs.install(host.machine, release)
    try:
        document = bundle(host)
    finally:
        host.shell(f"rm -f {hook_programs.CDI_HOOK} {hook_programs.CTK}")
        host.become(case(path_bins=[]))
    assert document["inventory"]["hook"]["path"] == hook_programs.place(release)
    with booted(document) as machine:
        machine.run([*PROGRAM, "oneshot"], check=True)
        assert machine.path(PUBLISHED).read_text() == document["spec"]["made"]


@pytest.mark.parametrize(
    ("made", "state"),
    [
        (case(OURS, module_version="570.1"), "driver-mismatch"),
        (case(OURS, files=False), "waiting-userspace"),
        (case(OURS, no_module=True), "waiting-driver"),
        (case(), "no-gpu"),
    ],
)
def test_a_machine_booted_from_a_bundle_without_a_spec_is_in_the_same_state(host, made, state):
    host.become(made)
    document = bundle(host)
    assert (document["verdict"]["state"], document["spec"]["made"]) == (state, None)
    with booted(document) as machine:
        assert state_of(machine.run([*PROGRAM, "oneshot"])) == state


def test_a_truncated_library_and_a_missing_loader_cache_are_so_in_the_bundle_too(host):
    host.become(case(OURS))
    place = host.path(f"{MULTIARCH}/libcuda.so.{VERSION}")
    content = place.read_bytes()
    place.write_bytes(content[:300])
    host.path("/etc/ld.so.cache").unlink()
    try:
        document = bundle(host)
    finally:
        place.write_bytes(content)
        host.machine.ldconfig()
    assert document["loader_cache"] is None
    with booted(document) as machine:
        assert not machine.path("/etc/ld.so.cache").exists()
        (said,) = lines(machine.run([*PROGRAM, "oneshot"]))
        assert f"/libcuda.so.{VERSION}: is cut short: " in said


def test_the_command_of_the_contributing_guide_boots_a_bundle(host, tmp_path):
    host.become(case(OURS))
    host.run("bundle", "/run/report.json", check=True)
    (tmp_path / "report.json").write_bytes(host.path("/run/report.json").read_bytes())
    command = [sys.executable, "-m", "tests.machine", tmp_path / "report.json", "--", *PROGRAM, "oneshot"]
    done = subprocess.run(command, cwd=TOP, check=False, capture_output=True, text=True)
    assert (done.returncode, state_of(done)) == (0, "ready")


def test_nothing_in_a_bundle_identifies_the_machine(host):
    host.become(case(OURS, CUT, add={"/home/alice/lib/libnvidia-x.so.1": ""}))
    named = "hostname gpu01.example.org && exec"
    words = ["unshare", "--uts", "sh", "-c", f'{named} "$@"', "sh", *PROGRAM]
    host.machine.run([*words, "oneshot", "--library-search-path", f"/home/alice/lib,{MULTIARCH}"], check=True)
    done = host.machine.run([*words, "bundle", "--library-search-path", f"/home/alice/lib,{MULTIARCH}"], check=True)
    for private in (SECRET, OTHER, "gpu01", "example.org", "alice"):
        assert private not in done.stdout
    document = json.loads(done.stdout)
    uuid = document["inventory"]["gpus"][0]["uuid"]
    assert f"name: {uuid}" in document["spec"]["published"]
    assert f"GPU UUID: \t {uuid}" in document["procfs"]["/proc/driver/nvidia/gpus/0000:01:00.0/information"]


def test_a_bundle_has_versions_verdict_configuration_and_file_metadata(host):
    host.become(case(OURS, nodes=["ctl", "caps"]))
    host.oneshot()
    document = bundle(host)
    assert document["versions"]["module"] == document["versions"]["driver"] == VERSION
    assert document["verdict"]["state"] == "degraded"
    assert "/dev/nvidia-uvm" in [finding["place"] for finding in document["verdict"]["findings"]]
    assert document["configuration"]["settings"]["mode"] == {"value": "auto", "origin": "default"}
    assert document["daemon"] is None
    library = document["files"][f"{MULTIARCH}/libcuda.so.{VERSION}"]
    assert (library["kind"], library["library"]["soname"]) == ("file", "libcuda.so.1")
    assert document["files"][f"{MULTIARCH}/libcuda.so.1"] == {"kind": "link", "target": f"libcuda.so.{VERSION}"}
    assert document["files"]["/dev/nvidia0"] == {"kind": "node", "mode": "0666", "major": 195, "minor": 0}


def test_a_bundle_has_no_contents_of_other_files(host):
    reported = {"/etc/vulkan/icd.d/nvidia_icd.json": "secret-1", "/etc/OpenCL/vendors/nvidia.icd": "secret-2"}
    reported |= {"/etc/cdi/other.yaml": "secret-3", "/etc/nvidia-container-runtime/config.toml": "# secret-4\n"}
    host.become(case(GPU, add=reported))
    assert "secret" not in host.run("bundle", check=True).stdout


def test_a_broken_configuration_is_in_the_bundle(host):
    host.become(case(GPU))
    host.path("/run/broken.conf").write_text("[daemon]\nsettle = soon\n")
    done = host.run("bundle", "--config-file", "/run/broken.conf", check=True)
    (fault,) = lines(done)
    assert fault.startswith("/run/broken.conf:2: settle: ")
    assert json.loads(done.stdout)["configuration"]["findings"] == [fault]


@pytest.mark.parametrize("option", ["--output", "--format"])
def test_bundle_refuses_options_for_the_output_of_a_spec(host, option):
    done = host.run("bundle", option, "/run/report.json")
    assert (done.returncode, done.stdout) == (2, "")


def test_a_file_that_cannot_be_written_is_reported(host):
    host.become(case(GPU))
    done = host.run("bundle", "/nowhere/report.json")
    assert done.returncode == 1
    assert lines(done) == ["/nowhere/report.json: cannot be written: No such file or directory"]
