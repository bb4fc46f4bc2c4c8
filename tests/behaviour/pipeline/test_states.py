"""oneshot: every state, its exit status, and what happens to the spec, as in README's table."""

import subprocess
import time

import pytest

from tests.machine.driver_files import MULTIARCH as LIB

from .hosts import GPU, PROGRAM, PUBLISHED, VERSION, case, lines, state_of

pytestmark = pytest.mark.root

GIVEN_AWAY = "nothing to do if that is intended, else bind them to the nvidia driver"
VFIO = {"bdf": "0000:01:00.0", "driver": "vfio-pci"}
AUDIO = {"bdf": "0000:01:00.1", "class": "0x040300", "driver": "snd_hda_intel"}
LIBRARY = f"{LIB}/libnvidia-ml.so.1"


@pytest.fixture
def published(host):
    """A host with a spec; gives back what the file was."""
    host.become(case(GPU))
    assert host.oneshot().returncode == 0
    return host.identity()


def test_a_healthy_host_is_ready_and_says_so_in_one_line(host):
    host.become(case(GPU))
    done = host.oneshot("--strict")
    assert (done.returncode, done.stdout) == (0, "")
    assert lines(done) == [f"ready: 1 GPU, driver {VERSION}; {PUBLISHED}: published"]


def test_a_second_pass_touches_nothing(host, published):
    done = host.oneshot()
    assert lines(done) == [f"ready: 1 GPU, driver {VERSION}; {PUBLISHED}: unchanged"]
    assert host.identity() == published


def test_a_spec_that_was_damaged_is_written_again(host, published):
    host.path(PUBLISHED).write_text("damaged")
    assert lines(host.oneshot())[0].endswith(": published")
    assert host.identity()[2] == published[2]


def test_a_spec_with_a_conflict_is_not_a_success(host, published):
    other = host.path("/var/run/cdi/nvidia-container-toolkit.yaml")
    other.write_bytes(host.path(PUBLISHED).read_bytes())
    for _ in range(2):
        done = host.oneshot()
        assert (done.returncode, state_of(done)) == (5, "degraded")
        assert "nvidia-container-toolkit.yaml" in lines(done)[0]
    other.unlink()
    assert host.oneshot().returncode == 0


def test_oneshot_exits_with_5_where_check_has_a_fatal_finding(host):
    host.become(case(GPU, nodes=["ctl", "modeset"]))
    done = host.oneshot()
    fatal = host.machine.run([*PROGRAM, "check", "--level", "fatal"]).returncode
    assert (done.returncode, state_of(done), fatal) == (5 if fatal else 0, "degraded", fatal)


@pytest.mark.parametrize("unbound", [[], [AUDIO]], ids=["none", "audio"])
def test_without_a_gpu_the_old_spec_is_withdrawn_and_the_exit_status_is_0(host, published, unbound):
    host.become(case(unbound=unbound))
    done = host.oneshot("--strict")
    assert done.returncode == 0
    assert lines(done) == [f"no-gpu: no NVIDIA GPU; {PUBLISHED}: withdrawn"]
    assert host.published() is None
    assert lines(host.oneshot()) == [f"no-gpu: no NVIDIA GPU; {PUBLISHED}: no file"]


@pytest.mark.parametrize(
    ("changed", "why"),
    [
        (
            case(GPU, no_module=True),
            "the nvidia module is not loaded; GPUs: 0000:01:00.0 (no driver); "
            "modprobe nvidia, else see dmesg for NVRM lines",
        ),
        (
            case(unbound=[VFIO], version_file=True),
            f"no GPU is bound to the nvidia driver; GPUs: 0000:01:00.0 (vfio-pci); {GIVEN_AWAY}",
        ),
        (
            case(unbound=[VFIO | {"driver": "nouveau"}]),
            f"the nvidia module is not loaded; GPUs: 0000:01:00.0 (nouveau); {GIVEN_AWAY}",
        ),
    ],
    ids=["no module", "vfio", "nouveau"],
)
def test_without_a_driver_the_spec_is_withdrawn_and_nvml_is_not_opened(host, published, changed, why):
    opens = host.machine.nvml_opens()
    host.become(changed)
    done = host.oneshot()
    assert done.returncode == 3
    assert lines(done) == [f"waiting-driver: {why}; {PUBLISHED}: withdrawn"]
    assert host.published() is None
    assert host.machine.nvml_opens() == opens


def test_management_mode_does_not_load_a_driver_either(host):
    host.become(case(GPU, no_module=True, extra_nodes={"nvidia0": [195, 0]}))
    assert host.oneshot("--mode", "management").returncode == 5, "its nodes cannot be opened"
    assert host.machine.nvml_opens() == 0


def test_generate_tries_nvml_in_any_case(host):
    host.become(case(GPU, no_module=True))
    (said,) = host.refused(status=3)
    assert said.endswith("NVML says that the driver is not loaded; modprobe nvidia, else see dmesg for NVRM lines")
    assert host.machine.nvml_opens() == 1


def test_nvml_that_reports_no_driver_keeps_the_spec(host, published):
    host.become(case(GPU, nvml=["fail nvmlInit_v2 9"]))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (3, "waiting-driver")
    assert host.identity() == published


def test_without_the_library_the_spec_stays_while_its_files_exist(host, published):
    link, away = host.path(LIBRARY), host.path(LIBRARY + ".away")
    link.rename(away)  # not a path in the spec
    try:
        host.machine.ldconfig()
        link.unlink(missing_ok=True)  # ldconfig had made it again
        done = host.oneshot()
        assert (done.returncode, state_of(done)) == (3, "waiting-userspace")
        assert f"module {VERSION}; version {VERSION} is there; run ldconfig" in lines(done)[0]
        assert lines(done)[0].endswith("left as it was")
        assert host.identity() == published
    finally:
        away.rename(link)
        host.machine.ldconfig()


def test_without_the_libraries_the_spec_is_withdrawn(host, published):
    host.become(case(GPU, files=False))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (3, "waiting-userspace")
    assert f"looked in /usr/lib64, {LIB} and /etc/ld.so.cache; install the driver's libraries" in lines(done)[0]
    assert lines(done)[0].endswith("or give --library-search-path; /var/run/cdi/nvidia.yaml: withdrawn")
    assert lines(done)[1].startswith("/var/run/cdi/nvidia.yaml: named /")
    assert lines(done)[1].endswith("which is gone, so it is withdrawn")
    assert host.published() is None
    assert lines(host.oneshot())[0].endswith("/var/run/cdi/nvidia.yaml: no file")


def test_a_module_of_another_version_is_reported_with_both_and_the_spec_stays(host, published):
    host.become(case(GPU, module_version="570.1"))
    done = host.oneshot()
    assert done.returncode == 4
    assert lines(done) == [
        f"driver-mismatch: the loaded nvidia module is 570.1, the libraries are {VERSION}; "
        f"reboot, or reload the module; {PUBLISHED}: left as it was"
    ]
    assert host.identity() == published


def test_libraries_of_another_version_withdraw_a_spec_that_names_the_old_ones(host, published):
    host.become(case(GPU, files_version="590.1", module_version=VERSION, driver="590.1"))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (4, "driver-mismatch")
    assert f"module is {VERSION}, the libraries are 590.1" in lines(done)[0]
    assert "named /" in lines(done)[1]
    assert host.published() is None


def test_one_missing_path_withdraws_the_spec_on_a_mismatch(host, published):
    (mounted,) = [path for path in host.published().mounts().values() if path.endswith("/nvidia-smi")]
    host.become(case(GPU, module_version="570.1", remove=[mounted]))
    assert f"named {mounted}, which is gone" in lines(host.oneshot())[1]
    assert host.published() is None


def test_a_damaged_spec_is_withdrawn_on_a_mismatch(host, published):
    host.path(PUBLISHED).write_text("kind: [")
    host.become(case(GPU, module_version="570.1"))
    done = host.oneshot()
    assert (done.returncode, "is damaged, so it is withdrawn" in lines(done)[1]) == (4, True)
    assert host.published() is None


@pytest.mark.parametrize("function", ["nvmlInit_v2", "nvmlDeviceGetCount_v2"])
def test_nvml_that_fails_leaves_the_spec(host, published, function):
    host.become(case(GPU, nvml=[f"fail {function} 999"]))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (1, "failed")
    assert "(NVML error 999); see dmesg for NVRM lines" in lines(done)[0]
    assert host.identity() == published


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("crash nvmlDeviceGetUUID", "died by SIGSEGV"),
        ("flood nvmlDeviceGetUUID", "answered more than 16 MiB"),
    ],
)
def test_nvml_that_kills_its_process_leaves_the_spec(host, published, script, said):
    host.become(case(GPU, nvml=[script]))
    done = host.oneshot(timeout=120)
    assert (done.returncode, state_of(done)) == (1, "failed")
    assert said in lines(done)[0]
    assert host.identity() == published


def test_output_of_nvml_does_not_reach_the_document(host):
    host.become(case(GPU, nvml=["print # junk"]))
    assert "junk" not in host.run("generate", check=True).stdout


def test_a_machine_without_the_hook_program_is_ready_and_its_spec_has_no_hooks(host):
    host.become({"gpus": [GPU]})
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done)) == (0, "ready")
    assert "hookName" not in host.path(PUBLISHED).read_text()
    assert f"{LIB}/libcuda.so.1" in host.published().mounts()
    assert "cannot be executed, so the spec has no hooks" in host.run("generate", "--debug").stderr


def test_a_missing_hook_program_degrades_where_its_hooks_are_wanted(host):
    host.become({"gpus": [GPU]})
    done = host.oneshot("--strict", "--hooks", "nvidia")
    assert done.returncode == 5
    assert "/usr/bin/nvidia-cdi-hook: cannot be executed, so containers do not start; install" in lines(done)[0]
    assert host.run("generate", "--strict", "--hooks=nvidia").returncode == 5


def without_sysfs(host, subcommand):
    command = ["unshare", "--mount", "sh", "-c", 'mount -t tmpfs none /sys && exec "$@"', "sh", *PROGRAM, subcommand]
    return host.machine.run(command)


def test_without_sysfs_oneshot_fails_and_the_spec_stays(host, published):
    done = without_sysfs(host, "oneshot")
    assert (done.returncode, state_of(done)) == (1, "failed")
    assert "/sys is not readable, so nothing can be said about GPUs; mount it" in lines(done)[0]
    assert host.identity() == published


def test_without_sysfs_generate_reports_that_drm_nodes_are_left_out(host):
    host.become(case(GPU))
    done = without_sysfs(host, "generate")
    assert done.returncode == 0
    assert lines(done) == ["/sys: cannot be read, so DRM nodes are left out; mount it"]
    assert "/dev/nvidia0" in done.stdout
    assert "/dev/dri" not in done.stdout


@pytest.mark.parametrize("seconds", ["x", "-1", "nan", "inf"])
def test_a_wait_that_is_not_a_number_is_refused(host, seconds):
    done = host.oneshot(f"--wait={seconds}")
    assert done.returncode == 2
    assert lines(done) == [f"--wait: '{seconds}' is not a number of seconds; write 60, for a minute"]


def test_a_wait_ends_at_its_deadline_with_the_last_state(host):
    host.become(case(GPU, nvml=["fail nvmlInit_v2 9"]))
    done = host.oneshot("--wait", "2")
    assert (done.returncode, state_of(done)) == (3, "waiting-driver")
    assert len(lines(done)) == 1
    assert host.machine.nvml_opens() > 1


@pytest.mark.parametrize("waits_for", ["driver", "module"])
def test_a_wait_ends_as_soon_as_the_spec_is_published(host, waits_for):
    changed = case(GPU, nvml=["fail nvmlInit_v2 9"]) if waits_for == "driver" else case(GPU, no_module=True)
    host.become(changed)
    strace = ["strace", "-f", "-qq", "-e", "trace=clock_nanosleep", "-o", "/run/trace"]
    host.path("/run/trace").unlink(missing_ok=True)
    command = [*strace, *PROGRAM, "oneshot", "--wait", "600"]
    with host.machine.popen(command, stderr=subprocess.PIPE, text=True) as waiting:
        try:
            until(lambda: "clock_nanosleep" in read(host.path("/run/trace")), waiting)
            host.become(case(GPU))
            _, said = waiting.communicate(timeout=60)
        finally:
            waiting.kill()
    assert waiting.returncode == 0
    assert said == f"cdi-refreshd: ready: 1 GPU, driver {VERSION}; {PUBLISHED}: published\n"


def read(path):
    return path.read_text() if path.exists() else ""


def until(happened, process):
    ends_at = time.monotonic() + 60
    while not happened():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < ends_at


def test_a_wait_ends_at_once_without_a_gpu_and_at_a_usage_error(host):
    assert host.oneshot("--wait", "600").returncode == 0  # no GPU
    host.become(case(GPU))
    assert host.oneshot("--wait", "600", "--device-id", "7").returncode == 2


@pytest.mark.parametrize("driver", ["vfio-pci", "nouveau"])
def test_a_driver_is_not_waited_for_if_all_gpus_have_another(host, driver):
    host.become(case(unbound=[VFIO | {"driver": driver}]))
    assert host.oneshot("--wait", "600").returncode == 3


def test_a_wait_ends_though_nvml_hangs(host, published):
    host.become(case(GPU, nvml=["hang nvmlInit_v2 600"]))
    done = host.oneshot("--wait", "0.1", timeout=50)
    assert (done.returncode, "did not answer within 5 s" in lines(done)[0]) == (1, True)
    assert host.identity() == published
