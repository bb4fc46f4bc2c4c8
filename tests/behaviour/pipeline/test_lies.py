"""An NVML whose answers cannot be true: no name leads to another GPU's node, and no GPU takes the others with it."""

import pytest

from .hosts import GPU, UUID, VERSION, case, lines, state_of

pytestmark = pytest.mark.root

THREE = case(GPU, {"drm": [2, 129]}, {"mig": [[1, 0], [2, 0]]})
OTHERS = ["0", "2:0", "2:1"]
LEFT_OUT = "so it is left out; see dmesg for NVRM lines"


def indices(spec):
    return [name for name in spec.names() if name[0].isdigit()]


@pytest.mark.parametrize(
    ("said", "called"),
    [
        (r"text nvmlDeviceGetName 1 \377\377", r"has an invalid name: '\ufffd\ufffd'"),
        (r"text nvmlDeviceGetName 1 one\012- two\033[31m", r"has an invalid name: 'one\n- two\x1b[31m'"),
        ("text nvmlDeviceGetName 1 ", "has an invalid name: ''"),
        (r"text nvmlDeviceGetUUID 1 \377\377", r"has an invalid UUID: '\ufffd\ufffd'"),
        (r"text nvmlDeviceGetUUID 1 GPU-1\012foo", r"has an invalid UUID: 'GPU-1\nfoo'"),
        ("text nvmlDeviceGetUUID 1 ", "has an invalid UUID: ''"),
        ("text nvmlDeviceGetUUID 1 all", "has an invalid UUID: 'all'"),
        ("text nvmlDeviceGetUUID 1 0", "has an invalid UUID: '0'"),
        ("text nvmlDeviceGetUUID 1 ../../etc/shadow", "has an invalid UUID: '../../etc/shadow'"),
        (f"text nvmlDeviceGetUUID 1 GPU-{'A' * 90}", f"has an invalid UUID: 'GPU-{'A' * 36}'"),
        (f"text nvmlDeviceGetUUID 1 {UUID.format(0)}", f"NVML reports 0000:02:00.0, minor 1, {UUID.format(0)}, and"),
        ("number nvmlDeviceGetMinorNumber 0 1", f"NVML reports 0000:02:00.0, minor 0, {UUID.format(1)}, and"),
        ("number nvmlDeviceGetMinorNumber 2 1", f"NVML reports 0000:02:00.0, minor 2, {UUID.format(1)}, and"),
        ("number nvmlDeviceGetMinorNumber 255 1", "has minor 255, and GPUs have 0 to 247"),
        ("number nvmlDeviceGetMinorNumber -5 1", "has minor 4294967291, and GPUs have 0 to 247"),
        ("number nvmlDeviceGetMaxMigDeviceCount 2000000000 1", "counts 2000000000 MIG devices, and the driver has"),
    ],
)  # fmt: skip
def test_a_gpu_with_an_impossible_answer_is_left_out_and_named_and_the_others_are_published(host, said, called):
    host.become(THREE | {"nvml": [said]})
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done)) == (5, "degraded"), done.stderr
    assert f"GPU 1: {called}" in lines(done)[0]
    assert LEFT_OUT in lines(done)[0]
    spec = host.published()
    assert indices(spec) == OTHERS
    assert UUID.format(1) not in spec.names()
    assert spec.nodes(UUID.format(0))[0] == "/dev/nvidia0"
    assert spec.nodes("2:0")[0] == "/dev/nvidia2"


@pytest.mark.parametrize(
    ("said", "reported"),
    [
        (["number nvmlDeviceGetMinorNumber 0"], "contradicts itself about 2 of 3 devices"),
        ([f"text nvmlDeviceGetUUID -1 {UUID.format(0)}"], "contradicts itself about 2 of 3 devices"),
        (["number nvmlDeviceGetMaxMigDeviceCount 0x7fffffff"], "contradicts itself about 3 of 3 devices"),
        (["number nvmlDeviceGetCount_v2 2000000000"], "counts 2000000000 GPUs, and the driver has numbers for 248"),
    ],
)
def test_contradictions_about_most_devices_fail_the_pass_and_the_spec_stays(host, said, reported):
    host.become(THREE)
    host.oneshot()
    before = host.identity()
    host.become(THREE | {"nvml": said})
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (1, "failed"), done.stderr
    assert reported in lines(done)[0]
    assert host.identity() == before


def test_two_gpus_that_claim_one_node_are_both_left_out_where_the_kernel_names_no_owner(host):
    host.become(case(GPU, {}, {}, {}, {}, nvml=["number nvmlDeviceGetMinorNumber 0 1"]))
    host.shell("mount -t tmpfs masked /proc/driver/nvidia/gpus")
    try:
        done = host.oneshot()
    finally:
        host.shell("umount /proc/driver/nvidia/gpus")
    assert state_of(done) == "degraded"
    assert f"GPU 0: has part of the identity of another one: {UUID.format(0)}, {LEFT_OUT}" in done.stderr
    assert indices(host.published()) == ["2", "3", "4"]


@pytest.mark.parametrize("word", ["*", "../../../etc", r"\377\377", "", "580.95.*", "5" * 70])
def test_an_invalid_driver_version_is_treated_as_missing(host, word):
    host.become(case(GPU))
    host.oneshot()
    before = host.identity()
    host.become(case(GPU, nvml=[f"text nvmlSystemGetDriverVersion -1 {word}"]))
    done = host.oneshot()
    assert lines(done) == [f"ready: 1 GPU, driver {VERSION}; /var/run/cdi/nvidia.yaml: unchanged"]
    assert host.identity() == before


@pytest.mark.parametrize("words", [r"\377\376 bad", r"one\012two\033[31m", ""])
def test_any_error_text_of_nvml_is_one_line(host, words):
    host.become(THREE | {"nvml": ["fail nvmlDeviceGetUUID 777 1", f"text nvmlErrorString -1 {words}"]})
    done = host.oneshot()
    assert state_of(done) == "degraded"
    assert "(NVML error 777), so it is left out" in lines(done)[0]
    assert done.stderr.isascii()
    assert "\x1b" not in done.stderr


@pytest.mark.parametrize(
    ("command", "reported"),
    [
        ("rm /dev/nvidia1; mknod /dev/nvidia1 c 195 0", "/dev/nvidia1 has the number 195:0"),
        (
            "rm /dev/nvidia-caps/nvidia-cap282; mknod /dev/nvidia-caps/nvidia-cap282 c 511 9",
            "/dev/nvidia-caps/nvidia-cap282 has the number 511:9",
        ),
    ],
)
def test_a_node_with_the_number_of_another_is_not_a_node_of_that_gpu(host, command, reported):
    host.become(THREE)
    host.shell(command)
    try:
        done = host.oneshot()
    finally:
        host.become(case())
    assert reported in done.stderr
    assert len(indices(host.published())) == len(OTHERS)


def test_a_process_that_nvml_leaves_behind_is_a_reported_failure_and_the_spec_is_published(host):
    host.become(case(GPU, nvml=["leave nvmlInit_v2"]))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (5, "degraded")
    assert "NVML: left a process behind, which has been killed" in lines(done)[0]
    assert indices(host.published()) == ["0"]
