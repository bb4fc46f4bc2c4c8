"""Real directories, real inotify. Each test does to a directory what packages, drivers and administrators do."""

import os
import select
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.refresh.event import Kind
from cdi_refreshd.core.refresh.watch_list import NONE, Watch, watches
from cdi_refreshd.events.inotify import OVERFLOW, DirectoryWatches
from cdi_refreshd.host import atomic_file

from .conftest import until


@pytest.fixture
def cdi(tmp_path):
    directory = tmp_path / "run" / "cdi"
    directory.mkdir(parents=True)
    return directory


@pytest.fixture
def spec(cdi):
    path = cdi / "nvidia.yaml"
    path.write_text("whole")
    return path


def opened_for_writing(path):
    with open(path, "a"):
        pass


CHANGES = {
    "deleted": lambda spec: spec.unlink(),
    "written": lambda spec: spec.write_text("tampered"),
    "truncated by its path": lambda spec: os.truncate(spec, 0),
    "moved away": lambda spec: spec.rename(spec.with_name("kept")),
    "replaced": lambda spec: (spec.with_name("new").write_text("x"), spec.with_name("new").rename(spec)),
    "closed to others": lambda spec: spec.chmod(0o600),
    "made a link": lambda spec: (spec.unlink(), spec.symlink_to("/dev/null")),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_every_change_of_a_spec_is_reported_with_its_path(watched, spec, change):
    watched.spec_dir(spec.parent)
    change(spec)
    assert any(words.startswith(f"{spec} ") for words in watched.events())


def test_names_that_match_no_watch_make_no_event(watched, cdi):
    watched.spec_dir(cdi)
    (cdi / "amd.yaml").write_text("x")
    (cdi / "nvidia.yml").mkdir()
    assert watched.events() == []


def test_reading_and_listing_make_no_events(watched, spec):
    watched.spec_dir(spec.parent)
    spec.read_text()
    os.listdir(spec.parent)
    assert watched.events() == []


def test_a_device_node_that_a_program_had_open_for_writing_makes_no_event(watched, tmp_path):
    """Every CUDA program ends like this, and so does our own probe: it would start the next one for ever."""
    node = tmp_path / "nvidiactl"
    node.touch()
    watched.watch(Watch(str(tmp_path), ("nvidia*",), Kind.NODE, NONE))
    opened_for_writing(node)
    assert watched.events() == []


def test_a_node_that_gets_another_group_or_mode_is_reported(watched, tmp_path):
    node = tmp_path / "nvidia0"
    node.touch()
    watched.watch(Watch(str(tmp_path), ("nvidia*",), Kind.NODE, NONE))
    node.chmod(0o660)
    assert watched.events() == [f"{node} has other permissions or times (node)"]


def test_a_name_that_is_not_text_is_reported_in_ascii(watched, tmp_path):
    watched.watch(Watch(str(tmp_path), ("nvidia*",), Kind.NODE))
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/nvidia\xff\n")).mkdir()
    (words,) = watched.events()
    assert words.isprintable() and words.isascii()


# Links


@pytest.fixture
def program(watched, tmp_path):
    """The link is watched by its name, and so is the file that it leads to through another link."""
    for name in ("bin", "alternatives", "opt"):
        (tmp_path / name).mkdir()
    real = tmp_path / "opt" / "hook"
    real.write_text("1.17")
    (tmp_path / "alternatives" / "hook").symlink_to(real)
    (tmp_path / "bin" / "hook").symlink_to("../alternatives/hook")
    watched.watch(Watch(str(tmp_path / "bin"), ("hook", "other*"), Kind.HOOK))
    return real


@pytest.mark.parametrize("name", sorted(CHANGES.keys() - {"truncated by its path"}))
def test_every_change_of_a_watched_links_target_is_reported(watched, program, name):
    CHANGES[name](program)
    assert any(words.startswith(f"{program} ") for words in watched.events())


def test_a_link_that_leads_elsewhere_is_followed_there(watched, program):
    other = program.with_name("other")
    alternative = program.parents[1] / "alternatives" / "hook"
    alternative.unlink()
    alternative.symlink_to(other)
    assert watched.events()
    other.write_text("1.20")
    assert {words.split(" ")[0] for words in watched.events()} == {str(other)}
    program.write_text("1.18")
    assert watched.events() == []


def test_a_file_that_becomes_a_link_is_followed(watched, program):
    watched.watch(Watch(str(program.parent), ("hook",), Kind.HOOK))
    other = program.parents[1] / "alternatives" / "other"
    program.unlink()
    program.symlink_to(other)
    assert watched.events()
    other.touch()
    assert {words.split(" ")[0] for words in watched.events()} == {str(other)}


def test_the_directory_of_a_links_target_may_be_made_later(watched, program):
    shutil.rmtree(program.parent)
    assert watched.events()
    program.parent.mkdir()
    program.write_text("1.20")
    assert any(words.startswith(f"{program} ") for words in watched.events())


@pytest.mark.parametrize("target", ["hook", "other", "/", "..", "."])
def test_a_dangling_or_circular_link_does_not_end_the_watch(watched, tmp_path, target):
    (tmp_path / "hook").symlink_to(target)
    (tmp_path / "other").symlink_to("hook")
    watched.watch(Watch(str(tmp_path), ("hook",), Kind.HOOK))
    (tmp_path / "hook").unlink()
    assert len(watched.events()) == 1


# Publishing


def test_publishing_makes_an_event_for_the_spec_and_never_for_the_temporary(watched, cdi):
    path = str(cdi / "nvidia.yaml")
    watched.watch(*(watch for watch in watches(Choices(), path) if watch.kind is Kind.SPEC))
    atomic_file.publish(path, b"one")
    atomic_file.publish(path, b"two")
    assert {words.split(" ")[0] for words in watched.events()} == {path}


def test_publishing_the_same_bytes_again_makes_no_event(watched, cdi):
    path = str(cdi / "nvidia.yaml")
    atomic_file.publish(path, b"one")
    watched.watch(*(watch for watch in watches(Choices(), path) if watch.kind is Kind.SPEC))
    atomic_file.publish(path, b"one")
    assert watched.events() == []


def test_publishing_into_a_missing_directory_makes_an_event_for_the_spec_only(watched, tmp_path):
    path = str(tmp_path / "a" / "cdi" / "nvidia.yaml")
    watched.watch(*(watch for watch in watches(Choices(), path) if watch.kind is Kind.SPEC))
    atomic_file.publish(path, b"one")
    assert {words.split(" ")[0] for words in watched.events()} == {path}


# Directories that come and go


def test_a_directory_that_is_made_later_is_watched_then(watched, tmp_path):
    later = tmp_path / "a" / "b" / "c"
    watched.spec_dir(later)
    later.mkdir(parents=True)
    assert watched.events() == []  # an empty directory is no event
    (later / "nvidia.yaml").touch()
    assert f"{later}/nvidia.yaml created (spec)" in watched.events()


def test_a_directory_that_comes_with_a_file_in_it_is_reported_by_the_file(watched, tmp_path):
    ready = tmp_path / "ready" / "b"
    ready.mkdir(parents=True)
    (ready / "nvidia.yaml").touch()
    watched.spec_dir(tmp_path / "a" / "b")
    ready.parent.rename(tmp_path / "a")
    assert watched.events() == [f"{tmp_path}/a/b/nvidia.yaml is there (spec)"]


def test_a_directory_that_is_wiped_is_reported_and_found_again(watched, spec):
    watched.spec_dir(spec.parent)
    shutil.rmtree(spec.parent)
    reported = watched.events()
    assert f"{spec} deleted (spec)" in reported and f"{spec.parent} is gone (spec)" in reported
    atomic_file.publish(str(spec), b"again")
    assert watched.events() == [f"{spec} is there (spec)"]
    spec.unlink()
    assert watched.events() == [f"{spec} deleted (spec)"]


def test_a_directory_whose_parents_are_wiped_too_is_found_again(watched, spec, tmp_path):
    watched.spec_dir(spec.parent)
    shutil.rmtree(tmp_path / "run")
    watched.events()
    atomic_file.publish(str(spec), b"again")
    assert watched.events() == [f"{spec} is there (spec)"]


def test_a_removed_directory_that_a_process_holds_open_is_still_found_missing(watched, cdi):
    """The kernel reports a deleted directory only when its last user closes it."""
    watched.spec_dir(cdi)
    held = os.open(cdi, os.O_RDONLY)
    cdi.rmdir()
    assert watched.events() == [f"{cdi} is gone (spec)"]
    os.close(held)


def test_a_directory_that_is_moved_away_and_replaced_is_noticed(watched, spec):
    watched.spec_dir(spec.parent)
    spec.parent.rename(spec.parent.with_name("old"))
    spec.parent.mkdir()
    assert watched.events() == [f"{spec.parent} is another directory (spec)"]
    (spec.parent.with_name("old") / "nvidia.yaml").unlink()
    assert watched.events() == []
    spec.touch()
    assert f"{spec} created (spec)" in watched.events()


def test_a_parent_that_is_moved_away_and_replaced_is_noticed(watched, spec, tmp_path):
    watched.spec_dir(spec.parent)
    (tmp_path / "run").rename(tmp_path / "old")
    atomic_file.publish(str(spec), b"again")
    reported = watched.events()
    assert reported[0] == f"{spec.parent} is another directory (spec)" and f"{spec} is there (spec)" in reported


def test_a_path_through_a_symbolic_link_is_followed_and_so_is_the_link(watched, tmp_path, spec):
    link = tmp_path / "var"
    link.symlink_to("run")
    seen = link / "cdi" / "nvidia.yaml"
    watched.spec_dir(seen.parent)
    spec.unlink()
    assert watched.events() == [f"{seen} deleted (spec)"]
    atomic_file.publish(str(tmp_path / "elsewhere" / "cdi" / "nvidia.yaml"), b"x")
    link.unlink()
    link.symlink_to(tmp_path / "elsewhere")
    assert f"{seen} is there (spec)" in watched.events()


def test_circular_links_count_as_a_missing_directory(watched, tmp_path):
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "b").symlink_to("a")
    watched.spec_dir(tmp_path / "a" / "cdi")
    assert watched.events() == []
    (tmp_path / "b").unlink()
    atomic_file.publish(str(tmp_path / "b" / "cdi" / "nvidia.yaml"), b"x")
    assert watched.events() == [f"{tmp_path}/a/cdi/nvidia.yaml is there (spec)"]


def test_a_directory_that_takes_the_place_of_a_file_is_watched(watched, tmp_path):
    (tmp_path / "cdi").write_text("in the way")
    watched.spec_dir(tmp_path / "cdi")
    (tmp_path / "cdi").unlink()
    atomic_file.publish(str(tmp_path / "cdi" / "nvidia.yaml"), b"x")
    assert watched.events() == [f"{tmp_path}/cdi/nvidia.yaml is there (spec)"]


def test_two_watches_of_one_directory_each_report_their_own_events(watched, tmp_path):
    watched.watch(
        Watch(str(tmp_path), ("nvidia0",), Kind.NODE, NONE), Watch(str(tmp_path), ("nvidia.conf",), Kind.CONFIGURATION)
    )
    (tmp_path / "nvidia0").touch()
    (tmp_path / "nvidia.conf").touch()
    assert [words for words in watched.events() if "created" in words] == [
        f"{tmp_path}/nvidia0 created (node)",
        f"{tmp_path}/nvidia.conf created (configuration)",
    ]


def test_one_event_is_reported_once_where_two_paths_lead_there(watched, tmp_path, cdi):
    (tmp_path / "var").symlink_to("run")
    watched.watch(*(Watch(str(tmp_path / way / "cdi"), ("nvidia*",), Kind.SPEC) for way in ("run", "var")))
    (cdi / "nvidia.yaml").mkdir()
    assert watched.events() == [f"{cdi}/nvidia.yaml created (spec)"]


def test_a_removed_watch_makes_no_event_and_a_kept_one_misses_none(watched, tmp_path, spec):
    old, kept = Watch(str(tmp_path), ("old",), Kind.LIBRARY), Watch(str(spec.parent), ("nvidia*",), Kind.SPEC)
    watched.watch(old, kept)
    shutil.rmtree(spec.parent)  # not read before the next
    watched.watch(kept)
    (tmp_path / "old").mkdir()
    assert f"{spec.parent} is gone (spec)" in watched.events()
    assert watched.events() == []
    held = kernel_watches(watched.source)
    watched.watch()
    assert 0 < kernel_watches(watched.source) < held


def kernel_watches(source):
    """Each takes kernel memory, and one of the user's limit."""
    return Path(f"/proc/self/fdinfo/{source._inotify}").read_text().count("inotify wd:")


def test_a_mount_over_the_directory_is_noticed():
    """In a process with a mount namespace of its own, below /mnt, where nothing else happens that would wake it."""
    assert in_a_namespace("-m", MOUNTS) == (
        "['/mnt/cdi is another directory (spec)']\n"
        "['/mnt/cdi/nvidia.yaml created (spec)', '/mnt/cdi/nvidia.yaml written (spec)']\n"
        "['/mnt/cdi is another directory (spec)']\n"
    )


MOUNTS = """
import os, select, subprocess
from cdi_refreshd.core.report.wording import words
from cdi_refreshd.core.refresh.event import Kind
from cdi_refreshd.core.refresh.watch_list import Watch
from cdi_refreshd.events.inotify import DirectoryWatches
def mount(directory):
    subprocess.run(["mount", "-t", "tmpfs", "none", directory], check=True)
def reported():
    assert select.select([source], [], [], 20)[0]
    return [words(event) for event in source.read()]
mount("/mnt")
os.mkdir("/mnt/cdi")
source = DirectoryWatches()
source.watch((Watch("/mnt/cdi", ("nvidia*",), Kind.SPEC),))
mount("/mnt/cdi")
print(reported())
open("/mnt/cdi/nvidia.yaml", "w").close()
print(reported())
subprocess.run(["umount", "/mnt/cdi"], check=True)
print(reported())
"""


# Limits


def in_a_namespace(kind, script):
    command = ["unshare", "-Ur", kind, sys.executable, "-c", script]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("limit", "count", "reported"),
    [("watches", 2, "max_user_watches"), ("instances", 0, "max_user_instances")],
)
def test_a_reached_inotify_limit_is_a_fault_with_a_hint_until_it_is_raised(tmp_path, limit, count, reported):
    (tmp_path / "cdi").mkdir()
    script = f"""
from pathlib import Path
from cdi_refreshd.core.refresh.event import Kind
from cdi_refreshd.core.refresh.watch_list import Watch
from cdi_refreshd.events.inotify import DirectoryWatches
limit, wanted = Path("/proc/sys/user/max_inotify_{limit}"), (Watch({str(tmp_path / "cdi")!r}, (), Kind.SPEC),)
limit.write_text("{count}")
source = DirectoryWatches()
source.watch(wanted)
print(source.faults, source.read())
limit.write_text("1000")
source.watch(wanted)
print(source.faults)
"""
    first, second = in_a_namespace("-p", script).splitlines()
    assert reported in first and first.endswith(",) []") and second == "()"


def test_events_after_an_overflow_still_arrive_and_the_overflow_is_reported_and_counted(watched, spec):
    watched.spec_dir(spec.parent)
    for _ in range(int(Path("/proc/sys/fs/inotify/max_queued_events").read_text()) // 2 + 1):
        opened_for_writing(spec)  # of equal events in a row the kernel keeps one
        opened_for_writing(watched.marks / "x")
    shutil.rmtree(spec.parent)
    spec.parent.mkdir()
    assert OVERFLOW in watched.source.read()
    assert watched.source.overflows == 1
    spec.touch()
    assert f"{spec} created (spec)" in watched.events()


def test_many_files_with_unwatched_names_wake_the_daemon_rarely_and_hide_no_event(tmp_path):
    source = DirectoryWatches()
    source.watch((Watch(str(tmp_path), ("nvidia-mps",), Kind.SOCKET, NONE),))
    woken = 0
    for number in range(1000):
        (tmp_path / f"{number}").touch()
        if select.select([source], [], [], 0)[0]:
            woken += 1
            assert source.read() == []
    (tmp_path / "nvidia-mps").mkdir()
    assert next(filter(None, until(source))) == [f"{tmp_path}/nvidia-mps created (socket)"]
    assert woken < 500
    assert not select.select([source], [], [], 0)[0]
    source.close()
