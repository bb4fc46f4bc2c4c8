import math
import os
import stat

import pytest

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, Spec
from cdi_refreshd.core.refresh.event_source import Interval
from cdi_refreshd.core.report.wording import sentence
from cdi_refreshd.events.drift import Sweep


@pytest.fixture
def spec(tmp_path):
    """A node, a library behind a link, a socket's stand-in, a hook; none of the names is a real one."""
    (tmp_path / "580").mkdir()
    (tmp_path / "580" / "libcuda.so").write_text("x")
    (tmp_path / "lib").symlink_to("580")
    (tmp_path / "hook").touch(0o755)
    os.mkfifo(tmp_path / "fifo")
    node = DeviceNode("/dev/null", major=1, minor=3)
    other = DeviceNode("/dev/pipe", host_path=str(tmp_path / "fifo"), type="p")
    edits = ContainerEdits(
        device_nodes=(other,),
        mounts=(Mount(str(tmp_path / "lib" / "libcuda.so"), "/lib/libcuda.so"),),
        hooks=(Hook("createContainer", str(tmp_path / "hook")),),
    )
    return Spec("nvidia.com/gpu", (Device("0", ContainerEdits(device_nodes=(node,))),), edits)


def set_up(spec):
    sweep = Sweep(Interval(300, jitter=0))
    sweep.pass_ends(spec, True)
    assert sweep.due_at(1000) == 1300
    return sweep


def said(sweep, now=1300):
    return [sentence(event) for event in sweep.poll(now)]


def test_an_unchanged_machine_is_no_reason_to_probe(spec):
    assert said(set_up(spec)) == []


def swap_hook(path):
    (path / "hook").unlink()
    (path / "hook").mkdir()


def move_library(path):
    (path / "590").mkdir()
    (path / "590" / "libcuda.so").write_text("y")
    (path / "lib").unlink()
    (path / "lib").symlink_to("590")


DIFFERENCES = {
    "lib/libcuda.so is gone": lambda path: (path / "580" / "libcuda.so").unlink(),
    "lib/libcuda.so leads to {}/590/libcuda.so now, and led to {}/580/libcuda.so": move_library,
    "hook is something else now": swap_hook,
    "hook has another owner or other permissions": lambda path: (path / "hook").chmod(0o644),
    "fifo is no longer a device node": lambda path: ((path / "fifo").unlink(), (path / "fifo").touch()),
}


@pytest.mark.parametrize(("words", "change"), DIFFERENCES.items(), ids=DIFFERENCES)
def test_every_difference_from_the_spec_is_reported_with_its_path(spec, tmp_path, words, change):
    sweep = set_up(spec)
    change(tmp_path)
    assert said(sweep) == [f"sweep: {tmp_path}/{words.format(tmp_path, tmp_path)}"]


def test_a_node_that_has_other_numbers_than_the_spec_says_is_reported(spec):
    """nvidia-uvm has another major after the module was loaded again: CUDA would open another driver's node."""
    device = Device("0", ContainerEdits(device_nodes=(DeviceNode("/dev/null", major=510, minor=0),)))
    assert said(set_up(spec._replace(devices=(device,)))) == ["sweep: /dev/null is device 1:3, and the spec says 510:0"]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes")
def test_a_node_without_numbers_in_the_spec_is_compared_with_its_earlier_numbers(spec, tmp_path):
    path = tmp_path / "nvidia0"
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(195, 0))
    edits = ContainerEdits(device_nodes=(DeviceNode("/dev/nvidia0", host_path=str(path)),))
    sweep = set_up(spec._replace(container_edits=edits))
    assert said(sweep) == []
    path.chmod(0o660)
    assert said(sweep, 1600) == [f"sweep: {path} has another owner or other permissions"]
    path.unlink()
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(195, 1))
    assert said(sweep, 1900) == [f"sweep: {path} is device 195:1 now, and was 195:0"]


def test_after_a_failed_probe_the_sweep_goes_on_and_after_a_withdrawal_it_ends(spec, tmp_path):
    sweep = set_up(spec)
    (tmp_path / "hook").unlink()
    sweep.pass_ends(None, True)
    assert said(sweep) == [f"sweep: {tmp_path}/hook is gone"]
    sweep.pass_ends(None, False)
    assert said(sweep, 1600) == []


def test_without_a_published_spec_there_are_no_wakeups():
    sweep = Sweep()
    sweep.pass_ends(None, False)
    assert sweep.due_at(1000) == math.inf
    assert sweep.poll(1e9) == []


def test_the_sweep_is_due_after_its_interval_and_jitter(spec):
    for chance, expected in ((0.0, 1270), (0.5, 1300), (1.0, 1330)):
        sweep = Sweep(Interval(300, jitter=0.1, chance=lambda chance=chance: chance))
        sweep.pass_ends(spec, True)
        assert sweep.due_at(1000) == pytest.approx(expected)
        assert sweep.poll(expected - 1) == []
        sweep.poll(expected + 1)
        assert sweep.due_at(expected + 1) == pytest.approx(2 * expected + 1 - 1000)


def test_a_pass_does_not_postpone_the_sweep(spec):
    """Else a machine with an event every four minutes would never be swept."""
    sweep = set_up(spec)
    sweep.pass_ends(spec, True)
    assert sweep.due_at(1200) == 1300
