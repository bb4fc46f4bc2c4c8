"""The same rules before publishing: a new spec that is worse than the published one does not replace it. And diff."""

import pytest

from cdi_refreshd import pipeline
from cdi_refreshd.core.cdi.encode import to_yaml
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, Spec
from cdi_refreshd.core.nvidia.build.edits import merged
from cdi_refreshd.core.refresh import states

from .hosts import SPEC


def spec(*mounts, hook="/bin/sh", env="A=b"):
    edits = ContainerEdits(
        env=(env,),
        mounts=tuple(Mount(str(path), str(path), ("bind",)) for path in mounts),
        hooks=(Hook("createContainer", hook),),
    )
    return Spec("nvidia.com/gpu", (Device("0", merged(edits)),), cdi_version="0.5.0")


def published(new, path):
    target = pipeline.Target(str(path), "yaml")
    made = states.Verdict("ready", "1 GPU", states.PUBLISH, new)
    return pipeline.apply(pipeline.complete(made, target, pipeline.NOTHING), target)


@pytest.fixture
def place(tmp_path):
    return tmp_path / "nvidia.yaml"


def test_a_worse_spec_does_not_replace_the_published_one_and_is_reported(place):
    published(spec(env="OLD=1"), place)
    before = place.read_bytes()
    outcome = published(spec(hook="/none/hook"), place)
    assert place.read_bytes() == before
    assert (outcome.verdict.state, outcome.changed, outcome.stands) == ("failed", False, True)
    assert outcome.verdict.reason.startswith(
        "/none/hook: cannot be executed, so containers do not start; the spec that stands is better, so it stays"
    )


def test_an_equally_bad_spec_replaces_the_published_one_and_is_degraded(place):
    published(spec(hook="/none/hook", env="OLD=1"), place)
    outcome = published(spec(hook="/none/hook"), place)
    assert (outcome.verdict.state, outcome.changed) == ("degraded", True)
    assert [finding.place for finding in outcome.verdict.findings] == ["/none/hook"]


def test_a_spec_with_a_fault_is_better_than_none_or_than_a_damaged_one(place):
    assert published(spec(hook="/none/hook"), place).verdict.state == "degraded"
    place.write_text("{")
    assert published(spec(hook="/none/hook"), place).changed


def test_a_better_published_spec_stays_where_a_file_vanished_during_the_pass(place):
    published(spec(env="OLD=1"), place)
    outcome = published(spec("/none/lib.so"), place)
    assert b"OLD=1" in place.read_bytes()
    assert outcome.verdict.reason == (
        "/none/lib.so: vanished while the spec was made; the spec that stands is better, so it stays; probe again"
    )


def test_a_spec_that_names_a_vanished_file_is_not_published(place):
    outcome = published(spec("/none/lib.so"), place)
    assert (outcome.verdict.state, place.exists()) == ("failed", False)
    assert outcome.verdict.reason == "/none/lib.so: vanished while the spec was made; probe again"


def test_a_spec_that_names_fewer_vanished_files_replaces_the_published_one(place):
    place.write_bytes(to_yaml(spec("/none/a.so", "/none/b.so")))
    outcome = published(spec("/none/lib.so"), place)
    assert (outcome.verdict.state, outcome.changed) == ("degraded", True)


def test_a_node_with_wrong_numbers_makes_a_spec_the_worse_one(place):
    published(spec(env="OLD=1"), place)
    null = DeviceNode("/dev/null", major=1, minor=99)
    new = spec()._replace(container_edits=ContainerEdits(device_nodes=(null,)))
    outcome = published(new, place)
    assert outcome.verdict.reason.startswith("/dev/null: is 1:3, and the spec says 1:99: containers get another device")
    assert b"OLD=1" in place.read_bytes()


@pytest.mark.root
def test_diff_is_silent_about_a_spec_that_is_current_and_ends_with_0(host):
    done = host.run("diff")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "nothing would change: ready: 2 GPUs, driver 580.95.05\n"


@pytest.mark.root
def test_diff_prints_each_device_in_words_and_writes_nothing(host):
    host.become(gpus=[{}, {}])
    host.publish()
    before = host.path(SPEC).read_bytes()
    host.become(gpus=[{}], uvm_major=509)
    done = host.run("diff")
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        "nvidia.com/gpu=1 is removed",
        "nvidia.com/gpu=GPU-00000000-0000-4000-8000-000000000001 is removed",
        "every device: node /dev/nvidia-uvm changes: 510:0 becomes 509:0",
        "every device: node /dev/nvidia-uvm-tools changes: 510:1 becomes 509:1",
        "nvidia.com/gpu=all: node /dev/nvidia1 is removed",
    ]
    assert host.path(SPEC).read_bytes() == before


@pytest.mark.root
def test_diff_prints_that_a_spec_would_be_withdrawn_replaced_or_kept(host):
    host.become(gpus=[])
    assert host.run("diff").stdout.splitlines()[:2] == [
        f"{SPEC} is removed: no NVIDIA GPU",
        "nvidia.com/gpu=0 is removed",
    ]
    host.become(nvml=["fail nvmlInit_v2 999"])
    done = host.run("diff")
    assert (done.returncode, done.stdout) == (2, "")
    assert "NVML failed" in done.stderr
    host.become()
    host.write(SPEC, "{")
    done = host.run("diff")
    assert (done.returncode, done.stdout.splitlines()[0]) == (1, f"{SPEC} is damaged, and replaced")
    host.path(SPEC).unlink()
    assert host.run("diff").stdout.startswith(
        "nvidia.com/gpu=0 is added: /dev/nvidia0, /dev/dri/card1, /dev/dri/renderD128"
    )


@pytest.mark.root
def test_diff_has_no_changes_left_after_oneshot_has_published(host):
    host.become(driver="590.48.01")
    assert host.run("diff").returncode == 1
    host.publish()
    assert host.run("diff").returncode == 0
    host.clean_line()
