"""One bad GPU does not take the others with it."""

import pytest

from .hosts import GPU, UUID, case, lines, state_of

pytestmark = pytest.mark.root

THREE = case(GPU, {"drm": [2, 129]}, {"drm": [3, 130]})
MIG = {"mig": [[1, 0], [2, 0]]}
PROFILE_INFO = "DeviceGetGpuInstanceProfileInfo"
OTHERS = ["0", "2", UUID.format(0), UUID.format(2), "all"]


@pytest.mark.parametrize(
    "function",
    [
        "nvmlDeviceGetHandleByIndex_v2",
        "nvmlDeviceGetName",
        "nvmlDeviceGetUUID",
        "nvmlDeviceGetMinorNumber",
        "nvmlDeviceGetPciInfo_v3",
        "nvmlDeviceGetMigMode",
    ],
)
@pytest.mark.parametrize("code", [15, 999])
def test_a_gpu_that_does_not_answer_is_left_out_and_named_and_the_others_are_published(host, function, code):
    host.become(THREE | {"nvml": [f"fail {function} {code} 1"]})
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (0, "degraded")
    assert "GPU 1: does not answer NVML: " in lines(done)[0]
    assert f"(NVML error {code}), so it is left out; see dmesg" in lines(done)[0]
    assert host.published().names() == OTHERS


@pytest.mark.parametrize("code", [3, 13])
def test_a_gpu_without_mig_is_a_whole_gpu(host, code):
    host.become(THREE | {"nvml": [f"fail nvmlDeviceGetMigMode {code} 1"]})
    assert state_of(host.oneshot()) == "ready"
    assert "1" in host.published().names()


def test_a_gpu_without_its_node_is_left_out_although_it_has_others(host):
    host.become(THREE | {"gpus": [GPU, {"drm": [2, 129], "node": False}, {"drm": [3, 130]}]})
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done)) == (5, "degraded")
    assert f"GPU 1 ({UUID.format(1)}): /dev/nvidia1 is missing, so it is left out" in lines(done)[0]
    assert host.published().names() == OTHERS


@pytest.mark.parametrize(
    ("command", "called"),
    [
        ("ln -s nvidia0 /dev/nvidia1", "is a symbolic link, not a device node"),
        ("touch /dev/nvidia1", "is no character device"),
        ("mknod /dev/nvidia1 b 7 7", "is no character device"),
    ],
)
def test_a_node_that_is_not_a_character_device_is_reported_by_its_type(host, command, called):
    host.become(THREE | {"gpus": [GPU, {"node": False}, {}]})
    host.shell(command)
    try:
        assert f"/dev/nvidia1 {called}, so it is left out" in lines(host.oneshot())[0]
        assert host.published().names() == OTHERS
    finally:
        host.shell("rm /dev/nvidia1")


def test_each_of_several_left_out_gpus_is_reported_in_a_line_of_its_own(host):
    host.become(THREE | {"nvml": ["fail nvmlDeviceGetUUID 15 1", "fail nvmlDeviceGetName 15 2"]})
    first, second = lines(host.oneshot())
    assert "GPU 1: does not answer" in first
    assert first.endswith("(and 1 more); /var/run/cdi/nvidia.yaml: published")
    assert second.startswith("GPU 2: does not answer")


def test_where_every_gpu_fails_the_last_good_spec_stays(host):
    host.become(THREE)
    host.oneshot()
    before = host.identity()
    host.become(THREE | {"nvml": ["fail nvmlDeviceGetUUID 15"]})
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (1, "failed")
    (reported,) = lines(done)
    assert "no GPU can be used: GPU 0, GPU 1, GPU 2: does not answer" in reported
    assert "left out" not in reported
    assert host.identity() == before


def test_requesting_a_left_out_gpu_reports_why_it_was_left_out(host):
    host.become(THREE | {"gpus": [GPU, {"node": False}]})
    for word in ("1", UUID.format(1)):
        assert host.refused("--device-id", word)[0].startswith(f"--device-id {word}: /dev/nvidia1 is missing")


def test_a_left_out_gpu_is_named_by_generate_and_the_rest_is_printed(host):
    host.become(THREE | {"nvml": ["fail nvmlDeviceGetUUID 15 1"]})
    done = host.run("generate")
    assert done.returncode == 0
    assert "cdiVersion" in done.stdout
    assert lines(done)[0].startswith("GPU 1: does not answer NVML")
    assert host.run("generate", "--strict").returncode == 5
    assert host.run("generate", "--quiet").stderr == ""


def test_a_mig_device_without_its_capability_nodes_is_left_out(host):
    host.become(case(GPU, {"mig": [[1, 0]], "mig_nodes": False}))
    done = host.oneshot()
    assert "MIG device 1:0 (MIG-00000001-0000-4000-8000-000000000000): /dev/nvidia-caps/nvidia-cap147" in lines(done)[0]
    assert state_of(done) == "degraded"
    assert host.published().names() == ["0", UUID.format(0), "all"]


@pytest.mark.parametrize("instance", ["GPU instance", "compute instance"])
def test_a_mig_device_needs_both_of_its_access_nodes(host, instance):
    host.become(case(GPU, MIG))
    node = host.path(
        "/dev/nvidia-caps/nvidia-cap147" if instance == "GPU instance" else "/dev/nvidia-caps/nvidia-cap148"
    )
    away = node.with_name("away")
    node.rename(away)
    try:
        assert f"{node.name} is missing, so it is left out" in lines(host.oneshot())[0]
        assert host.published().names() == ["0", "1:1", UUID.format(0), f"MIG-{1:08x}-0000-4000-8000-{1:012x}", "all"]
    finally:
        away.rename(node)


@pytest.mark.parametrize(
    "function", ["nvmlDeviceGetMigDeviceHandleByIndex", "nvmlDeviceGetGpuInstanceId", "nvmlDeviceGetComputeInstanceId"]
)
def test_a_mig_device_that_does_not_answer_is_left_out(host, function):
    host.become(case(GPU, MIG, nvml=[f"fail {function} 15 1"]))
    done = host.oneshot()
    assert state_of(done) == "degraded"
    assert "MIG device 1:0: does not answer NVML" in lines(done)[0]
    assert host.published().names() == ["0", UUID.format(0), "all"]


def test_mig_devices_that_cannot_be_counted_are_reported(host):
    host.become(case(GPU, MIG, nvml=["fail nvmlDeviceGetMaxMigDeviceCount 15 1"]))
    assert "MIG devices of GPU 1: NVML does not count them" in lines(host.oneshot())[0]


@pytest.mark.parametrize("profile", [0x11, 0x2A])
@pytest.mark.parametrize(
    "broken",
    [[], *([f"fail nvml{name} 999"] for name in ("DeviceGetGpuInstanceById", "GpuInstanceGetInfo", PROFILE_INFO))],
    ids=str,
)
def test_an_unknown_profile_is_not_an_error(host, profile, broken):
    host.become(case(GPU, {"mig": [[1, 0, profile]]}, nvml=broken))
    assert state_of(host.oneshot()) == "ready"
    assert host.published().nodes("1:0") == [
        "/dev/nvidia1",
        "/dev/nvidia-caps/nvidia-cap147",
        "/dev/nvidia-caps/nvidia-cap148",
    ]


@pytest.mark.parametrize(
    ("profile", "drm"), [(0, []), (0x0A, ["card2", "renderD129"]), (0x11, ["card2", "renderD129"])]
)
def test_a_mig_device_has_drm_nodes_where_its_profile_does_graphics(host, profile, drm):
    host.become(case(GPU, {"mig": [[1, 0, profile]], "drm": [2, 129]}))
    host.oneshot()
    spec = host.published()
    assert [path for path in spec.nodes("1:0") if "dri" in path] == [f"/dev/dri/{name}" for name in drm]
    assert (spec.hook("create-symlinks", "1:0") is None) == (not drm)


def test_mig_mode_without_instances_is_no_error_beside_other_gpus(host):
    host.become(case(GPU, {"mig": []}))
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done)) == (0, "ready")
    assert host.published().names() == ["0", UUID.format(0), "all"]


def test_mig_mode_without_instances_alone_is_ready_without_a_spec(host):
    host.become(case(GPU))
    host.oneshot()
    assert host.published()
    host.become(case({"mig": []}))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (0, "ready")
    assert lines(done) == [
        "ready: MIG mode is on and there is no MIG device: nothing to publish; /var/run/cdi/nvidia.yaml: withdrawn"
    ]
    assert host.published() is None
    assert host.refused() == ["MIG mode is on and there is no MIG device: nothing to publish"]


@pytest.mark.parametrize(
    ("node", "state"),
    [("nvidiactl", "degraded"), ("nvidia-uvm", "degraded"), ("nvidia-uvm-tools", "ready"), ("nvidia-modeset", "ready")],
)
def test_a_missing_control_node_is_reported_with_its_severity(host, node, state):
    kinds = {"nvidiactl": "ctl", "nvidia-uvm": "uvm", "nvidia-uvm-tools": "uvm-tools", "nvidia-modeset": "modeset"}
    host.become(case(GPU, nodes=[kind for name, kind in kinds.items() if name != node]))
    done = host.oneshot()
    assert state_of(done) == state
    assert (f"/dev/{node}: is missing" in done.stderr) == (state == "degraded")
    assert f"/dev/{node}: is missing" in host.run("generate", "--debug").stderr
    assert f"/dev/{node}" not in [n["path"] for n in host.published()["containerEdits"]["deviceNodes"]]


def test_an_optional_control_node_is_reported_missing_where_its_module_is_loaded(host):
    host.become(case(GPU, nodes=["ctl", "uvm", "uvm-tools"], add={"/sys/module/nvidia_modeset/x": ""}))
    assert (
        "/dev/nvidia-modeset: is missing; Vulkan and EGL need it; nvidia-modprobe makes it" in lines(host.oneshot())[0]
    )


def test_a_gpu_that_is_bound_and_that_nvml_does_not_list_is_named_by_its_address(host):
    host.become(THREE)
    host.shell("sed -i '/^gpu .*000000000001 /d' /run/fake-nvml")
    try:
        done = host.oneshot("--strict")
        said = lines(host.run("generate"))
    finally:
        host.become(case())
    assert (done.returncode, state_of(done)) == (5, "degraded")
    reported = (
        "GPU 0000:02:00.0: is bound to the nvidia driver, and NVML does not list it, so it is left out; see dmesg"
    )
    assert reported in lines(done)[0]
    assert said[0].startswith(reported)
    assert host.published().names() == ["0", "1", UUID.format(0), UUID.format(2), "all"]


def test_where_nvml_lists_nothing_the_bound_gpus_are_named_and_the_spec_stays(host):
    host.become(THREE)
    host.oneshot()
    before = host.identity()
    host.become(THREE | {"nvml": ["number nvmlDeviceGetCount_v2 0"]})
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (1, "failed")
    assert "GPU 0000:01:00.0, GPU 0000:02:00.0, GPU 0000:03:00.0: is bound to the nvidia driver, and" in lines(done)[0]
    assert "see dmesg for NVRM lines" in lines(done)[0]
    assert host.identity() == before


@pytest.mark.parametrize(("driver", "status"), [(None, 5), ("vfio-pci", 0), ("nouveau", 0)])
def test_a_gpu_without_a_driver_is_reported_and_one_with_another_driver_is_not(host, driver, status):
    host.become(case(GPU, unbound=[{"bdf": "0000:41:00.0", "driver": driver}]))
    done = host.oneshot("--strict")
    assert done.returncode == status
    assert ("GPU 0000:41:00.0: has no driver, and other GPUs have one, so it is left out" in done.stderr) == bool(
        status
    )


@pytest.mark.parametrize("driver", [None, "nvidia"])
def test_virtual_functions_are_not_gpus_that_are_left_out(host, driver):
    function = {"bdf": "0000:41:00.4", "driver": driver}
    physfn = {"/sys/devices/pci0000:00/0000:41:00.4/physfn": "../0000:01:00.0"}
    host.become(case(GPU, unbound=[function], links=physfn))
    assert state_of(host.oneshot("--strict")) == "ready"


def test_a_gpu_that_does_not_answer_is_named_once(host):
    host.become(THREE | {"nvml": ["fail nvmlDeviceGetHandleByIndex_v2 15 1", "fail nvmlDeviceGetUUID 15 2"]})
    assert [line.partition(" does")[0] for line in lines(host.oneshot())[1:]] == ["GPU 2:"]


def test_mig_devices_that_only_the_driver_lists_fail_the_pass_and_the_spec_stays(host):
    host.become(case(MIG))
    host.oneshot()
    before = host.identity()
    silent = {"nvml": ["fail nvmlDeviceGetMigDeviceHandleByIndex 6"]}
    host.become(case(MIG) | silent)
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (1, "failed")
    assert "MIG devices of GPU 0: are known to the driver, and NVML lists none" in lines(done)[0]
    assert host.identity() == before
    host.become(case(GPU, MIG) | silent)
    done = host.oneshot()
    assert state_of(done) == "degraded"
    assert "in no spec" not in done.stderr  # each slice, which would say it once more
