import math
import os
import stat

import pytest

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, Spec
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


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "nvidia.yaml"
    path.write_text("whole")
    return path


def set_up(spec, file):
    sweep = Sweep(300, jitter=0)
    sweep.set(spec, (str(file),))
    assert sweep.due_at(1000) == 1300
    return sweep


def said(sweep, now=1300):
    return [sentence(event) for event in sweep.poll(now)]


def test_a_machine_that_is_as_it_was_has_no_reason_to_probe(spec, file):
    assert said(set_up(spec, file)) == []


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
    "fifo is no device node any more": lambda path: ((path / "fifo").unlink(), (path / "fifo").touch()),
    "nvidia.yaml is gone": lambda path: (path / "nvidia.yaml").unlink(),
}


@pytest.mark.parametrize(("words", "change"), DIFFERENCES.items(), ids=DIFFERENCES)
def test_what_differs_is_told_with_its_path(spec, file, tmp_path, words, change):
    sweep = set_up(spec, file)
    change(tmp_path)
    assert said(sweep) == [f"sweep: {tmp_path}/{words.format(tmp_path, tmp_path)}"]


def test_a_node_that_has_other_numbers_than_the_spec_says_is_told(spec, file):
    """The major of nvidia-uvm is another one after the module was loaded anew: CUDA would open a stranger's node."""
    device = Device("0", ContainerEdits(device_nodes=(DeviceNode("/dev/null", major=510, minor=0),)))
    assert said(set_up(spec._replace(devices=(device,)), file)) == [
        "sweep: /dev/null is device 1:3, and the spec says 510:0"
    ]


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="makes device nodes")
def test_a_node_is_watched_by_what_it_was_where_the_spec_gives_no_numbers(spec, file, tmp_path):
    path = tmp_path / "nvidia0"
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(195, 0))
    edits = ContainerEdits(device_nodes=(DeviceNode("/dev/nvidia0", host_path=str(path)),))
    sweep = set_up(spec._replace(container_edits=edits), file)
    assert said(sweep) == []
    path.chmod(0o660)
    assert said(sweep, 1600) == [f"sweep: {path} has another owner or other permissions"]
    path.unlink()
    os.mknod(path, 0o666 | stat.S_IFCHR, os.makedev(195, 1))
    assert said(sweep, 1900) == [f"sweep: {path} is device 195:1 now, and was 195:0"]


def write_unseen(file, text):
    times = os.stat(file).st_atime_ns, os.stat(file).st_mtime_ns
    file.write_text(text)
    os.utime(file, ns=times)


@pytest.mark.parametrize(
    "change",
    [
        lambda file: file.write_text("other"),
        lambda file: file.chmod(0o600),
        lambda file: (file.with_name("new").write_text("whole"), file.with_name("new").rename(file)),
        lambda file: (file.unlink(), file.symlink_to("/dev/null")),
        lambda file: write_unseen(file, "WHOLE"),
    ],
    ids=["written", "closed to others", "replaced by its equal", "made a link", "written, and its times put back"],
)
def test_a_file_that_somebody_changed_is_not_as_published(spec, file, change):
    sweep = set_up(spec, file)
    assert sweep.is_as_published()
    change(file)
    assert not sweep.is_as_published()
    assert said(sweep) == [f"sweep: {file} is not what was published"]


def test_each_of_several_files_counts(spec, file):
    second = file.with_name("nvidia.coherent.yaml")
    second.touch()
    sweep = Sweep(300)
    sweep.set(spec, (str(file), str(second)))
    second.unlink()
    assert not sweep.is_as_published()


def test_a_failed_probe_does_not_make_a_strangers_file_ours(spec, file, tmp_path):
    sweep = set_up(spec, file)
    file.write_text("tampered")
    (tmp_path / "hook").unlink()
    sweep.set(None, (str(file),))
    assert not sweep.is_as_published()
    assert len(said(sweep)) == 2


def test_a_file_of_an_earlier_life_is_watched_from_the_first_failed_probe_on(file):
    sweep = Sweep(300)
    sweep.set(None, (str(file),))
    assert sweep.is_as_published()
    file.unlink()
    assert not sweep.is_as_published()


def test_after_a_withdrawal_only_a_file_that_is_there_again_is_a_reason(spec, file, tmp_path):
    sweep = set_up(spec, file)
    file.unlink()
    (tmp_path / "hook").unlink()
    sweep.set(None, ())
    assert sweep.is_as_published()
    assert said(sweep) == []
    file.symlink_to("nowhere")
    assert not sweep.is_as_published()
    assert said(sweep, 1600) == [f"sweep: {file} is not what was published"]


def test_who_published_nothing_wakes_for_nothing():
    sweep = Sweep(300)
    sweep.set(None, ())
    assert sweep.due_at(1000) == math.inf
    assert sweep.poll(1e9) == []
    assert not sweep.is_as_published()


def test_it_is_due_by_the_interval_and_its_jitter(spec, file):
    for chance, expected in ((0.0, 1270), (0.5, 1300), (1.0, 1330)):
        sweep = Sweep(300, jitter=0.1, chance=lambda chance=chance: chance)
        sweep.set(spec, (str(file),))
        assert sweep.due_at(1000) == pytest.approx(expected)
        file_gone = sweep.poll(expected - 1)
        assert file_gone == []
        sweep.poll(expected + 1)
        assert sweep.due_at(expected + 1) == pytest.approx(2 * expected + 1 - 1000)


def test_a_pass_does_not_put_the_sweep_off(spec, file):
    """Else a machine with an event every four minutes would never be swept."""
    sweep = set_up(spec, file)
    sweep.set(spec, (str(file),))
    assert sweep.due_at(1200) == 1300
