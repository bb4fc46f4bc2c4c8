"""What happened to the published spec, and whether it may be restored."""

import hashlib
import os

import pytest

from cdi_refreshd import last_pass
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import Interval, Scope
from cdi_refreshd.core.refresh.states import KEEP, WITHDRAW, Verdict
from cdi_refreshd.core.report.wording import sentence
from cdi_refreshd.daemon.published_spec import PublishedSpec, Standing
from cdi_refreshd.host import atomic_file
from cdi_refreshd.pipeline import File, Outcome
from tests.unit.core.inventories import gpu, inventory

READY = Verdict("ready", "2 GPUs", "publish", seen=inventory(gpu(), gpu(1)))
KEPT = Verdict("failed", "NVML failed", KEEP)
GONE = Verdict("no-gpu", "no NVIDIA GPU", WITHDRAW)
WHOLE = b"whole"


def is_spec(path):
    with open(path, "rb") as file:
        return file.read().startswith(b"whole")


@pytest.fixture
def file(tmp_path):
    return tmp_path / "cdi" / "nvidia.yaml"


@pytest.fixture
def published(file):
    made = PublishedSpec(is_spec, Interval(300, jitter=0))
    made.configure(Scope(Settings(output=str(file)), ()))
    assert made.path == str(file)
    publish(made, file)
    return made


def publish(published, *files):
    placed = tuple(File(str(file), WHOLE, atomic_file.place(str(file), WHOLE).identity) for file in files)
    published.take(Outcome(READY, published.path, True, True, placed, last_pass.digest(WHOLE)))


def said(published, now=1300):
    return [sentence(event) for event in published.poll(now)]


def replace(file, content):
    file.with_name("new").write_bytes(content)
    file.with_name("new").chmod(0o644)
    file.with_name("new").rename(file)


def write_unseen(file, content):
    times = os.stat(file).st_atime_ns, os.stat(file).st_mtime_ns
    file.write_bytes(content)
    os.utime(file, ns=times)


CHANGES = {
    "written": (lambda file: file.write_bytes(b"other"), Standing.DAMAGED),
    "another spec is written into it": (lambda file: file.write_bytes(b"whole other"), Standing.DAMAGED),
    "cut": (lambda file: os.truncate(file, 1), Standing.DAMAGED),
    "closed to others": (lambda file: file.chmod(0o600), Standing.DAMAGED),
    "written, and its times restored": (lambda file: write_unseen(file, b"WHOLE"), Standing.DAMAGED),
    "deleted": (lambda file: file.unlink(), Standing.GONE),
    "made a link": (lambda file: (file.unlink(), file.symlink_to("/dev/null")), Standing.DAMAGED),
    "made a FIFO": (lambda file: (file.unlink(), os.mkfifo(file)), Standing.DAMAGED),
    "made a directory": (lambda file: (file.unlink(), file.mkdir()), Standing.DAMAGED),
    "replaced by nonsense": (lambda file: replace(file, b"nonsense"), Standing.DAMAGED),
    "replaced by another spec": (lambda file: replace(file, b"whole other"), Standing.REPLACED),
    "replaced by its equal": (lambda file: replace(file, WHOLE), Standing.AS_PUBLISHED),
}


@pytest.mark.parametrize(("change", "standing"), CHANGES.values(), ids=CHANGES)
def test_any_change_of_the_published_file_is_noticed(published, file, change, standing):
    assert published.is_as_published()
    change(file)
    assert published.standing(str(file)) is standing
    assert not published.is_as_published()
    assert bool(published.lost()) == (standing in (Standing.GONE, Standing.DAMAGED))
    published.due_at(1000)
    assert said(published) == [f"sweep: {file} is {'gone' if standing is Standing.GONE else 'not what was published'}"]


@pytest.mark.parametrize(("change", "standing"), CHANGES.values(), ids=CHANGES)
def test_a_lost_spec_is_restored_and_a_foreign_one_is_left_alone(published, file, change, standing):
    change(file)
    fault = published.restore()
    if file.is_dir():
        assert isinstance(fault, Fault) and "is a directory" in str(fault)
    else:
        assert fault is None
        assert file.read_bytes() == (b"whole other" if standing is Standing.REPLACED else WHOLE)


def test_only_events_of_our_own_writes_are_echoes(published, file):
    event = Event(Source.INOTIFY, Kind.SPEC, Action.PUT_IN_PLACE, str(file))
    assert published.is_echo(event)
    assert not published.is_echo(event._replace(kind=Kind.CONFIGURATION))
    assert not published.is_echo(event._replace(path="/etc/cdi/nvidia.yaml"))
    file.chmod(0o600)
    assert not published.is_echo(event)


@pytest.mark.parametrize(
    "change",
    [lambda file: file.unlink(), lambda file: os.truncate(file, 1), lambda file: replace(file, b"whole other")],
)
def test_a_change_right_after_our_rename_is_not_taken_for_ours(published, file, change, monkeypatch):
    """The path after the rename may lead to a file that another process put there meanwhile."""
    rename = os.rename

    def rename_and_change(*arguments, **more):
        rename(*arguments, **more)
        monkeypatch.setattr(os, "rename", rename)
        change(file)

    monkeypatch.setattr(os, "rename", rename_and_change)
    file.unlink()
    assert published.restore() is None
    assert not published.is_as_published()
    assert not published.is_echo(Event(Source.INOTIFY, Kind.SPEC, Action.PUT_IN_PLACE, str(file)))


def test_the_loss_of_any_of_several_published_files_is_noticed(published, file):
    second = file.with_name("nvidia.coherent.yaml")
    publish(published, file, second)
    second.unlink()
    assert not published.is_as_published()
    assert published.lost().path == str(second)


def test_a_failed_probe_does_not_make_a_foreign_file_ours(published, file):
    file.write_bytes(b"tampered")
    published.take(Outcome(KEPT, str(file), True))
    assert not published.is_as_published()


def test_a_file_of_an_earlier_run_is_known_after_a_failed_probe_and_cannot_be_restored(file):
    published = PublishedSpec(is_spec)
    published.configure(Scope(Settings(output=str(file)), ()))
    file.parent.mkdir()
    file.write_bytes(WHOLE)
    published.take(Outcome(KEPT, str(file), True))
    assert published.is_as_published()
    file.unlink()
    assert not published.is_as_published()
    assert published.lost() is None


def test_after_a_withdrawal_only_a_file_that_appears_again_is_a_reason_to_probe(published, file):
    published.due_at(1000)
    file.unlink()
    published.take(Outcome(GONE, str(file), False, True))
    assert published.is_as_published() and published.lost() is None
    assert said(published) == []
    file.symlink_to("nowhere")
    assert not published.is_as_published()
    assert said(published, 1600) == [f"sweep: {file} is not what was published"]


def test_the_spec_at_the_old_path_is_withdrawn_only_when_there_is_one_at_the_new_path(published, file, tmp_path):
    published.configure(Scope(Settings(output=str(tmp_path / "elsewhere" / "nvidia.yaml")), ()))
    withdrawn = []

    def withdraw(path):
        withdrawn.append(path)
        return True

    assert list(published.leave(Outcome(KEPT, published.path), withdraw)) == []
    placed = (File(published.path, WHOLE, atomic_file.place(published.path, WHOLE).identity),)
    assert list(published.leave(Outcome(READY, published.path, True, True, placed), withdraw)) == [str(file)]
    assert withdrawn == [str(file)]
    assert list(published.leave(Outcome(READY, published.path, True, True, placed), withdraw)) == []


def test_the_digest_of_what_was_published_is_known_without_reading_it_again(published, file, monkeypatch):
    monkeypatch.setattr(last_pass, "digest_at", lambda path: pytest.fail(f"{path} is read"))
    assert published.sha256() == hashlib.sha256(WHOLE).hexdigest()


@pytest.mark.parametrize("content", [b"whole other", None])
def test_the_digest_is_of_the_file_that_stands_whoever_wrote_it(published, file, content):
    file.unlink()
    if content:
        replace(file, content)
    assert published.sha256() == (hashlib.sha256(content).hexdigest() if content else "")


def test_the_devices_are_those_of_the_spec_until_it_is_withdrawn_or_moved(published, file):
    ours = (("0", gpu().uuid), ("1", gpu(1).uuid))
    assert published.devices() == ours
    published.take(Outcome(KEPT, published.path, True))
    assert published.devices() == ours
    published.take(Outcome(GONE, published.path))
    assert published.devices() == ()
    publish(published, file)
    assert published.devices() == ours
    published.configure(Scope(Settings(output="/elsewhere/nvidia.yaml"), ()))
    assert published.devices() == ()
