"""A GPU that sleeps is woken only where something changed that the spec depends on."""

import pytest

from tests.machine.driver_files import MULTIARCH as LIB

from .hosts import HOOK, PUBLISHED, case, lines, state_of

pytestmark = pytest.mark.root

ASLEEP = {"drm": [1, 128], "runtime_status": "suspended"}
HERE = case(ASLEEP)


@pytest.fixture
def asleep(host):
    """A host with a published spec whose GPU went to sleep since."""
    host.become(HERE)
    assert state_of(host.oneshot()) == "ready"
    return host


def woken(host, *words):
    """Whether a pass woke the GPU."""
    before = host.machine.nvml_opens()
    host.oneshot(*words)
    return host.machine.nvml_opens() > before


def test_a_sleeping_gpu_is_not_woken_where_nothing_changed(asleep):
    before = asleep.identity()
    done = asleep.oneshot("--strict")
    assert done.returncode == 0
    assert "nothing changed, and 0000:01:00.0 sleeps" in lines(done)[0]
    assert lines(done)[0].endswith(f"{PUBLISHED}: unchanged")
    assert asleep.machine.nvml_opens() == 1
    assert asleep.identity() == before
    assert not woken(asleep)


def test_an_awake_gpu_that_may_sleep_is_probed(asleep):
    asleep.become(case(ASLEEP | {"runtime_status": "active"}))
    assert woken(asleep)


@pytest.mark.parametrize("ours", [{"drm": [1, 128]}, ASLEEP | {"runtime_status": "active"}], ids=["on", "auto"])
def test_an_awake_gpu_is_probed_whatever_gpus_of_other_drivers_do(host, ours):
    """One that waits for its virtual machine is asleep for weeks."""
    host.become(case(ours, unbound=[{"bdf": "0000:09:00.0", "driver": "vfio-pci", "runtime_status": "suspended"}]))
    assert state_of(host.oneshot()) == "ready"
    assert woken(host)


def test_a_sleeping_gpu_is_woken_if_another_has_a_new_driver(host):
    other = {"bdf": "0000:09:00.0", "driver": "vfio-pci", "runtime_status": "suspended"}
    host.become(case(ASLEEP, unbound=[other]))
    assert state_of(host.oneshot()) == "ready"
    assert "nothing changed, and 0000:01:00.0 sleeps" in lines(host.oneshot())[0]
    host.become(case(ASLEEP, unbound=[other | {"driver": "nvidia"}]))
    assert woken(host)


def test_no_pass_is_remembered_where_no_gpu_sleeps(host):
    host.become(case({"drm": [1, 128]}))
    host.oneshot()
    assert not host.path("/run/cdi-refreshd/last-pass.json").exists()


@pytest.mark.parametrize(
    "changed",
    [
        case(ASLEEP, add={f"{LIB}/libnew.so.580.95.05": ""}),
        case(ASLEEP, remove=[f"{LIB}/libnvidia-ngx.so*"]),
        case(ASLEEP, add={"/etc/vulkan/icd.d/nvidia_icd.json": "{}", "/etc/glvnd/egl_vendor.d/10_nvidia.json": ""}),
        case(ASLEEP, sockets=["/run/nvidia-persistenced/socket"]),
        case(ASLEEP, nodes=["ctl", "modeset"]),
        case(ASLEEP | {"mode": "0660"}),
        case(ASLEEP | {"gid": 44}),
        case(ASLEEP | {"drm": [2, 129]}),
        case(ASLEEP | {"mig": [[1, 0]]}),
        case(ASLEEP | {"mig": [[1, 0]], "mig_nodes": False}),
        case(ASLEEP, {"drm": [2, 129]}),
        case(ASLEEP, uvm_major=509),
        case(ASLEEP, extra_nodes={"nvidia-caps-imex-channels/channel0": [508, 0]}),
        case(ASLEEP, remove=["/usr/bin/nvidia-smi"]),
        case(ASLEEP, path_bins=[]),
    ],
    ids=str,
)
def test_a_sleeping_gpu_is_woken_where_something_changed(asleep, changed):
    asleep.become(changed)
    assert woken(asleep)


def test_a_sleeping_gpu_is_woken_where_a_by_path_link_came_late(host):
    link = host.path("/dev/dri/by-path/pci-0000:01:00.0-card")
    host.become(HERE)
    link.unlink()
    host.oneshot()
    link.symlink_to("../card1")
    assert woken(host)


def test_a_sleeping_gpu_is_woken_for_other_options(asleep):
    assert woken(asleep, "--device-name-strategy", "uuid")
    assert not woken(asleep, "--device-name-strategy", "uuid")
    assert woken(asleep, "--mode", "management")
    assert not woken(asleep, "--mode", "management")


@pytest.mark.parametrize("command", [f"echo >> {PUBLISHED}", f"rm {PUBLISHED}", f"echo x > {PUBLISHED}"])
def test_a_sleeping_gpu_is_woken_where_the_published_spec_was_changed(asleep, command):
    before = asleep.identity()[2]
    asleep.shell(command)
    assert woken(asleep)
    assert asleep.identity()[2] == before


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1,2,3]", '["","","","",""]', "null", "\0"])
def test_a_damaged_last_pass_file_is_ignored(asleep, text):
    asleep.path("/run/cdi-refreshd/last-pass.json").write_text(text)
    assert woken(asleep)


def test_a_mode_that_opens_no_gpu_probes_each_time(asleep):
    asleep.become(HERE | {"extra_nodes": {"gdrdrv": [200, 0]}})
    assert state_of(asleep.oneshot("--mode", "gdrcopy")) == "ready"
    asleep.become(HERE | {"extra_nodes": {"gdrdrv": [201, 0]}})
    assert not woken(asleep, "--mode", "gdrcopy")
    assert asleep.published().edits("all")["deviceNodes"][0]["major"] == 201


def test_a_degraded_state_stays_degraded_while_the_gpu_sleeps(host):
    host.become(case(ASLEEP, nodes=["ctl", "modeset", "uvm-tools"]))
    assert host.oneshot("--strict").returncode == 5
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done)) == (5, "degraded")
    assert "/dev/nvidia-uvm: is missing" in lines(done)[0]
    assert host.machine.nvml_opens() == 1


def test_a_spec_that_could_not_be_written_is_tried_again(asleep):
    """The new fingerprint must not be used with the old spec."""
    asleep.become(case(ASLEEP | {"gid": 44}))
    asleep.shell("mkdir /run/cdi/aside && mount --bind -o ro /run/cdi /run/cdi")
    try:
        assert asleep.oneshot().returncode == 1
    finally:
        asleep.shell("umount /run/cdi")
    assert woken(asleep)
    assert asleep.published().edits("0")["deviceNodes"][0]["gid"] == 44


def test_a_hook_program_named_by_an_option_is_noticed_when_it_is_installed(host):
    host.become(HERE)
    assert state_of(host.oneshot("--nvidia-cdi-hook-path", "/opt/hook")) == "degraded"
    host.become(case(ASLEEP, path_bins=[HOOK, "/opt/hook"]))
    assert state_of(host.oneshot("--nvidia-cdi-hook-path", "/opt/hook")) == "ready"
