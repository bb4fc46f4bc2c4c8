"""One spec, one place: which other files define the devices, which one wins, and how forgotten files are set aside."""

import json
import os
import pty

import pytest

from .hosts import PROGRAM, SPEC

pytestmark = pytest.mark.root

OLD = "/etc/cdi/nvidia.yaml"
ASIDE = f"{OLD}.cdi-refreshd-aside"
AMD = {"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": [{"name": "0", "containerEdits": {"env": ["A=b"]}}]}


def copy(host, path):
    host.write(path, host.path(SPEC).read_text())
    return path


def test_a_leftover_spec_in_an_earlier_directory_is_reported_with_the_file_that_wins(host):
    copy(host, OLD)
    assert host.one_fault() == (
        "degraded",
        OLD,
        f"defines devices of nvidia.com/gpu beside {SPEC}; those that only it has are never refreshed; "
        "cdi-refreshd adopt moves it aside",
    )


def test_devices_that_only_a_leftover_spec_defines_are_still_checked(host):
    host.write(OLD, {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [
        {"name": "7", "containerEdits": {"deviceNodes": [{"path": "/dev/nvidia7"}], "mounts": [
            {"hostPath": "/usr/lib/libcuda.so.470.1", "containerPath": "/usr/lib/libcuda.so.470.1"}]}}]})  # fmt: skip
    facts = {(finding["rule"], finding["place"], finding["file"]) for finding in host.findings()}
    assert ("node-missing", "/dev/nvidia7", OLD) in facts
    assert ("mount-missing", "/usr/lib/libcuda.so.470.1", OLD) in facts
    assert ("driver-version", OLD, OLD) in facts


@pytest.mark.parametrize("name", ["nvidia.json", ".nvidia.1234.yaml", "zz.yaml"])
def test_devices_in_two_files_of_one_directory_are_reported_as_unavailable(host, name):
    other = copy(host, f"/run/cdi/{name}").replace("/run/", "/var/run/")
    status, lines = host.said()
    assert status == 1
    assert len(lines) == 2
    assert lines[0].startswith("fatal     /var/run/cdi/")
    assert other in lines[0] and SPEC in lines[0]
    assert "so no container gets nvidia.com/gpu=0, nvidia.com/gpu=1, nvidia.com/gpu=GPU-" in lines[0]
    assert lines[0].endswith("; cdi-refreshd adopt moves aside what is not ours")


def test_a_conflict_in_an_earlier_directory_hides_our_good_spec(host):
    copy(host, "/etc/cdi/a.yaml")
    copy(host, "/etc/cdi/b.yaml")
    status, lines = host.said()
    assert status == 1
    assert lines[0].startswith(
        "fatal     /etc/cdi/a.yaml: defines the same devices as /etc/cdi/b.yaml, so no container"
    )
    assert host.run("list").stdout == ""
    assert host.run("adopt", "--yes").returncode == 0
    host.clean_line()


def test_the_only_spec_of_a_host_is_not_a_leftover_wherever_it_is(host):
    copy(host, OLD)
    host.path(SPEC).unlink()
    host.clean_line()


def test_our_spec_under_another_name_is_not_a_leftover(host):
    host.path("/etc/cdi").mkdir()
    host.path(OLD).symlink_to("/run/cdi/nvidia.yaml")
    host.clean_line()
    assert host.run("adopt", "--yes").stdout == "nothing to move aside\n"


def test_other_kinds_of_the_same_vendor_are_ignored(host):
    text = host.path(SPEC).read_text()
    host.write("/run/cdi/management.yaml", text.replace("kind: nvidia.com/gpu", "kind: management.nvidia.com/gpu"))
    host.write("/run/cdi/coherent.yaml", text.replace("kind: nvidia.com/gpu", "kind: nvidia.com/gpu.coherent").replace(
        "cdiVersion: 0.5.0", "cdiVersion: 0.6.0"))  # fmt: skip
    host.write("/etc/cdi/amd.json", AMD)
    host.clean_line()
    assert host.run("adopt", "--yes").stdout == "nothing to move aside\n"


def test_a_spec_that_runtimes_refuse_is_reported_whoever_wrote_it(host):
    host.write("/etc/cdi/other.json", AMD | {"devices": []})
    assert host.one_fault()[:2] == ("fatal", "/etc/cdi/other.json")
    host.write("/etc/cdi/other.json", "{")
    assert host.one_fault()[:2] == ("fatal", "/etc/cdi/other.json")


def test_a_file_that_hangs_readers_is_reported_and_does_not_hang_us(host):
    host.shell("mkdir -p /etc/cdi; mkfifo /etc/cdi/x.yaml")
    assert host.one_fault()[1:] == (
        "/etc/cdi/x.yaml",
        "is a FIFO, not a regular file; a CDI document is a regular file",
    )


def test_a_file_that_only_root_may_read_is_reported(host):
    host.path(SPEC).chmod(0o600)
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", SPEC)
    assert said.endswith(f"(mode 0600): without root, podman finds no devices in it; chmod 0644 {SPEC}")


def test_a_directory_that_only_root_may_search_is_reported(host):
    host.path("/run/cdi").chmod(0o700)
    assert host.one_fault()[2].endswith("chmod 0755 /var/run/cdi")


def test_a_file_whose_name_no_runtime_reads_is_a_note(host):
    copy(host, "/etc/cdi/nvidia.yml")
    assert host.said()[0] == 0
    assert host.one_fault("--level", "info") == (
        "info", "/etc/cdi/nvidia.yml", "no runtime reads a file of this name; rename it to .yaml or .json",
    )  # fmt: skip


def test_a_spec_directory_that_is_a_link_is_reported(host):
    host.shell("mkdir /run/real; rm -rf /etc/cdi; ln -s /run/real /etc/cdi")
    _, place, said = host.one_fault()
    assert (place, said.partition(";")[0]) == (
        "/etc/cdi", "is a symbolic link: container runtimes find nothing in it",
    )  # fmt: skip


def test_a_var_run_that_is_not_a_link_to_run_is_reported(host):
    host.shell("rm /var/run; mkdir -p /var/run/cdi; cp /run/cdi/nvidia.yaml /var/run/cdi")
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "/var/run/cdi")
    assert said.endswith("make /var/run a symbolic link to /run")


@pytest.fixture
def rival(host):
    wants = host.path("/etc/systemd/system/multi-user.target.wants")
    wants.mkdir(parents=True, exist_ok=True)
    for unit in ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service"):
        (wants / unit).symlink_to(f"/lib/systemd/system/{unit}")
    return wants


def test_the_units_of_nvidia_cdi_refresh_are_reported_with_the_command_that_stops_them(host, rival):
    text = (
        "nvidia-cdi-refresh.path and nvidia-cdi-refresh.service: are enabled and write the spec, too; "
        "systemctl disable --now nvidia-cdi-refresh.path nvidia-cdi-refresh.service"
    )
    assert host.said()[0] == 0
    assert host.said("--level", "info")[1][0] == f"info      {text}"
    (rival / "cdi-refreshd.service").symlink_to("/lib/systemd/system/cdi-refreshd.service")
    assert host.said()[1][0] == f"degraded  {text}"
    assert text in host.run("adopt").stderr


def test_a_masked_unit_of_nvidia_cdi_refresh_is_not_reported(host, rival):
    (rival / "cdi-refreshd.service").symlink_to("/lib/systemd/system/cdi-refreshd.service")
    for unit in ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service"):
        (rival.parent / unit).unlink(missing_ok=True)
        (rival.parent / unit).symlink_to("/dev/null")
    host.clean_line()
    for unit in ("nvidia-cdi-refresh.path", "nvidia-cdi-refresh.service"):
        (rival.parent / unit).unlink()


def test_a_dry_run_of_adopt_prints_the_renames_and_makes_none(host):
    copy(host, OLD)
    done = host.run("adopt", "--dry-run")
    assert (done.returncode, done.stdout) == (0, f"{OLD} -> {ASIDE}\n")
    assert os.listdir(host.path("/etc/cdi")) == ["nvidia.yaml"]


def test_adopt_asks_and_without_a_terminal_refuses(host):
    copy(host, OLD)
    done = host.run("adopt")
    assert done.returncode == 2
    assert done.stderr == "cdi-refreshd: adopt: cannot ask without a terminal; give --yes, or --dry-run\n"
    assert os.listdir(host.path("/etc/cdi")) == ["nvidia.yaml"]


@pytest.mark.parametrize(
    ("answer", "status", "left"), [("n", 1, "nvidia.yaml"), ("y", 0, "nvidia.yaml.cdi-refreshd-aside")]
)
def test_adopt_moves_a_file_only_where_the_answer_is_yes(host, answer, status, left):
    copy(host, OLD)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        done = host.machine.run([*PROGRAM, "adopt"], stdin=theirs)
    finally:
        os.close(ours)
        os.close(theirs)
    assert done.returncode == status
    assert os.listdir(host.path("/etc/cdi")) == [left]


def test_adopt_keeps_the_files_and_those_that_were_moved_aside_before(host):
    for text in ("first", "second"):
        copy(host, OLD)
        host.edit(OLD, ("cdiVersion:", f"# {text}\ncdiVersion:"))
        assert host.run("adopt", "--yes").returncode == 0
        host.clean_line()
    assert "# first" in host.path(ASIDE).read_text()
    assert "# second" in host.path(f"{ASIDE}.1").read_text()
    assert host.run("list").stdout.count(OLD) == 0


def test_adopt_moves_a_link_and_not_its_target(host):
    copy(host, "/opt/specs/nvidia.yaml")
    host.path("/etc/cdi").mkdir()
    host.path(OLD).symlink_to("/opt/specs/nvidia.yaml")
    assert host.run("adopt", "--yes").returncode == 0
    assert os.readlink(host.path(ASIDE)) == "/opt/specs/nvidia.yaml"
    assert host.path("/opt/specs/nvidia.yaml").exists()


def test_adopt_does_not_take_the_last_spec_away(host):
    copy(host, OLD)
    host.path(SPEC).unlink()
    done = host.run("adopt", "--yes")
    assert done.returncode == 1
    assert done.stderr.endswith(f"containers depend on {OLD}; cdi-refreshd oneshot, then adopt\n")
    assert host.path(OLD).exists()


def test_adopt_reports_a_file_that_cannot_be_renamed_and_goes_on(host):
    copy(host, OLD)
    copy(host, "/run/cdi/x.json")
    host.shell("mount --bind /etc/cdi /etc/cdi; mount -o remount,ro,bind /etc/cdi")
    try:
        done = host.run("adopt", "--yes")
    finally:
        host.shell("umount /etc/cdi")
    assert done.returncode == 1
    assert f"{OLD}: cannot be renamed: read-only file system; make that file system writable" in done.stderr
    assert host.path(OLD).exists()
    assert host.path("/run/cdi/x.json.cdi-refreshd-aside").exists()


def test_adopt_leaves_unreadable_files(host):
    host.write(OLD, "kind: nvidia.com/gpu\n\tbroken")
    done = host.run("adopt", "--yes")
    assert (done.returncode, done.stdout) == (0, "nothing to move aside\n")
    assert f"{OLD}: " in done.stderr and "it stays" in done.stderr
    assert host.path(OLD).exists()


def test_adopt_moves_an_old_spec_that_runtimes_would_refuse(host):
    host.write(OLD, {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": []})
    assert host.run("adopt", "--yes").returncode == 0
    assert host.path(ASIDE).exists()


def test_adopt_that_need_not_ask_reports_each_file_once(host):
    copy(host, OLD)
    done = host.run("adopt", "--yes")
    assert (done.stdout, done.stderr) == ("", f"{OLD} is now {ASIDE}\n")


def test_list_reports_that_there_is_no_device_and_where_it_looked(host):
    done = host.run("list", "--spec-dir", "/etc/none", "--spec-dir", "/run/none")
    assert (done.returncode, done.stdout) == (0, "")
    assert done.stderr == "cdi-refreshd: no CDI device in /etc/none and /run/none\n"
    assert host.run("list").stderr == ""
    assert host.run("list", "--json", "--spec-dir", "/etc/none").stderr == ""


def test_check_names_the_directories_in_which_it_found_no_spec(host):
    host.become(gpus=[])
    done = host.run("check", "--spec-dir", "/etc/none", "--spec-dir", "/run/none")
    assert (done.returncode, done.stdout) == (0, "ok: no CDI spec in /etc/none, /run/none\n")


def test_list_marks_shadowed_devices(host):
    copy(host, OLD)
    states = {(one["file"], one["state"]) for one in json.loads(host.run("list", "--json").stdout)["devices"]}
    assert states == {(OLD, "shadowed"), (SPEC, "ok")}
