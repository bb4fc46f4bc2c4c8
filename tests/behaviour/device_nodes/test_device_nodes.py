"""`host-nodes`, `oneshot` and the daemon in made-up machines."""

import os
import re
import stat
import sys

import pytest

from tests.behaviour.daemon.running import Running
from tests.machine import booted

pytestmark = pytest.mark.root

PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
BARE = {"gpus": [{"node": False}, {"node": False, "mig": [[1, 0]], "mig_nodes": False}], "nodes": []}
BARE |= {"path_bins": ["/usr/bin/nvidia-cdi-hook"]}
CAPS = "/proc/driver/nvidia/capabilities/mig"
CONFIG = {f"{CAPS}/config": "DeviceFileMinor: 1\nDeviceFileMode: 256\nDeviceFileModify: 1\n"}
NODES = {
    "/dev/nvidiactl": (195, 255, 0o666),
    "/dev/nvidia0": (195, 0, 0o666),
    "/dev/nvidia1": (195, 1, 0o666),
    "/dev/nvidia-uvm": (510, 0, 0o666),
    "/dev/nvidia-uvm-tools": (510, 1, 0o666),
    "/dev/nvidia-caps/nvidia-cap1": (511, 1, 0o400),
    "/dev/nvidia-caps/nvidia-cap147": (511, 147, 0o444),
    "/dev/nvidia-caps/nvidia-cap148": (511, 148, 0o444),
}
YES = "[host]\ndevice-nodes = yes\n"


@pytest.fixture
def machine():
    with booted(BARE | {"add": CONFIG}) as made:
        yield made


def host_nodes(machine, *options):
    return machine.run([*PROGRAM, "host-nodes", *options])


def oneshot(machine):
    return machine.run([*PROGRAM, "oneshot"])


def configure(machine, text):
    path = machine.path("/etc/cdi-refreshd/cdi-refreshd.conf")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def nodes(machine):
    found = {}
    for path in (*machine.path("/dev").glob("nvidia*"), *machine.path("/dev/nvidia-caps").glob("*")):
        seen = path.lstat()
        if stat.S_ISCHR(seen.st_mode):
            name = "/" + str(path.relative_to(machine.root))
            found[name] = (os.major(seen.st_rdev), os.minor(seen.st_rdev), stat.S_IMODE(seen.st_mode))
    return found


def links(machine):
    return {path.name: os.readlink(path) for path in machine.path("/dev/char").glob("*")}


def test_a_dry_run_prints_every_step_and_does_none(machine):
    done = host_nodes(machine, "--dry-run")
    assert (done.returncode, done.stderr) == (0, "")
    reported = done.stdout.splitlines()
    assert {line.partition(":")[0] for line in reported if not line.startswith("/dev/char")} == set(NODES)
    assert "/dev/char/511:1: is missing; would be linked to ../nvidia-caps/nvidia-cap1" in reported
    assert "/dev/nvidia0: is missing; would be made as c 195:0, mode 0666, owner 0:0" in reported
    assert nodes(machine) == {}
    assert not machine.path("/dev/char").exists()


def test_missing_nodes_are_made_as_the_driver_would_and_a_second_run_makes_none(machine):
    first = host_nodes(machine)
    assert first.returncode == 0, first.stderr
    assert nodes(machine) == NODES
    assert links(machine) == {f"{major}:{minor}": f"..{path[4:]}" for path, (major, minor, _) in NODES.items()}
    second = host_nodes(machine)
    assert (second.returncode, second.stdout, second.stderr) == (0, "nothing to do\n", "")
    assert host_nodes(machine, "--dry-run").stdout == "nothing to do\n"


def test_a_strict_umask_takes_nothing_from_the_modes(machine):
    machine.run(["sh", "-c", f"umask 077; {' '.join(PROGRAM)} host-nodes"], check=True)
    assert nodes(machine) == NODES
    assert stat.S_IMODE(machine.path("/dev/nvidia-caps").stat().st_mode) == 0o755


def test_the_drivers_parameters_decide_mode_and_owner(machine):
    text = "ModifyDeviceFiles: 1\nDeviceFileUID: 1000\nDeviceFileGID: 44\nDeviceFileMode: 432\n"
    machine.become(BARE | {"add": CONFIG | {"/proc/driver/nvidia/params": text}})
    host_nodes(machine)
    seen = machine.path("/dev/nvidia0").lstat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (0o660, 1000, 44)
    seen = machine.path("/dev/nvidia-caps/nvidia-cap1").lstat()
    assert (stat.S_IMODE(seen.st_mode), seen.st_uid, seen.st_gid) == (0o400, 0, 0)


def test_no_node_is_made_where_the_administrator_manages_them(machine):
    machine.become(BARE | {"add": {"/proc/driver/nvidia/params": "ModifyDeviceFiles: 0\n"}})
    host_nodes(machine)
    assert not {"/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm"} & set(nodes(machine))


def test_an_owner_that_cannot_be_given_leaves_no_node_behind(machine):
    machine.become(BARE | {"add": {"/proc/driver/nvidia/params": "DeviceFileUID: 1000\n"}})
    done = machine.run(["setpriv", "--bounding-set=-chown", *PROGRAM, "host-nodes"])
    assert done.returncode == 1
    assert "/dev/nvidia0: cannot be made as it should be: operation not permitted; allow CAP_MKNOD" in done.stderr
    assert set(nodes(machine)) == {path for path in NODES if "nvidia-cap" in path} - {"/dev/nvidia-caps/nvidia-cap1"}


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("ln -s /etc/passwd /dev/nvidia0", "symbolic link"),
        ("ln -s /dev/null /dev/nvidia0", "symbolic link"),
        ("ln -s /dev/nowhere /dev/nvidia0", "symbolic link"),
        ("touch /dev/nvidia0", "file"),
        ("mkdir /dev/nvidia0", "directory"),
        ("mknod /dev/nvidia0 b 195 0", "block device"),
    ],
)
def test_a_file_in_a_nodes_place_is_reported_and_left_unchanged(machine, command, word):
    machine.run(["sh", "-c", command], check=True)
    before = machine.path("/dev/nvidia0").lstat()[:5]
    done = host_nodes(machine)
    assert done.returncode == 1
    assert done.stderr == f"cdi-refreshd: /dev/nvidia0: left as it is: a {word} is in the place of a device node\n"
    assert machine.path("/dev/nvidia0").lstat()[:5] == before
    assert not machine.path("/dev/nowhere").exists()
    assert "/dev/nvidia1" in nodes(machine)


def test_a_directory_of_capabilities_that_is_a_link_is_not_followed(machine):
    machine.run(["sh", "-c", "mkdir /dev/elsewhere; ln -s elsewhere /dev/nvidia-caps"], check=True)
    done = host_nodes(machine)
    assert done.returncode == 1
    assert list(machine.path("/dev/elsewhere").iterdir()) == []


def test_a_node_with_the_number_of_an_earlier_module_is_replaced_and_its_link_too(machine):
    host_nodes(machine)
    machine.become(BARE | {"add": CONFIG, "uvm_major": 509})
    assert "has the old number 510:0" in host_nodes(machine).stdout
    assert nodes(machine)["/dev/nvidia-uvm"] == (509, 0, 0o666)
    assert links(machine)["509:0"] == "../nvidia-uvm"
    assert not {"510:0", "510:1"} & set(links(machine))


def test_an_unloaded_driver_loses_our_links_and_keeps_those_of_others(machine):
    host_nodes(machine)
    machine.run(["sh", "-c", "ln -s ../null /dev/char/1:3; ln -s /dev/nvidia0 /dev/char/999:0"], check=True)
    machine.become({"gpus": [{}, {}], "no_module": True})
    host_nodes(machine)
    assert links(machine) == {"1:3": "../null", "999:0": "/dev/nvidia0"}
    assert "/dev/nvidia0" in nodes(machine), "nodes are never taken away"


def test_a_gpu_that_the_driver_does_not_list_gets_no_node(machine):
    machine.become({"gpus": [{"node": False}], "unbound": [{"bdf": "0000:09:00.0", "driver": "vfio-pci"}]})
    host_nodes(machine)
    assert "/dev/nvidia1" not in nodes(machine)


def test_no_node_is_made_for_a_sleeping_gpu(machine):
    machine.become({"gpus": [{"node": False, "runtime_status": "suspended"}, {"node": False}], "nodes": []})
    host_nodes(machine)
    assert "/dev/nvidia0" not in nodes(machine)
    assert "/dev/nvidia1" in nodes(machine)


def test_nothing_is_made_on_wsl(machine):
    machine.become(BARE | {"extra_nodes": {"dxg": [10, 125]}})
    host_nodes(machine)
    assert set(nodes(machine)) == set()


def test_oneshot_leaves_nodes_to_nvidia_modprobe_unless_configured_or_impossible(machine):
    oneshot(machine)
    assert nodes(machine) == {}
    done = machine.run(["setpriv", "--no-new-privs", *PROGRAM, "oneshot"])
    assert done.returncode == 0, done.stderr
    assert nodes(machine) == NODES


def test_oneshot_publishes_the_nodes_that_it_made_as_configured(machine):
    configure(machine, YES)
    done = oneshot(machine)
    assert done.returncode == 0, done.stderr
    assert "ready: 1 GPU, 1 MIG device" in done.stderr
    assert nodes(machine) == NODES


def test_links_can_be_disabled(machine):
    configure(machine, YES + "dev-char-links = no\n")
    oneshot(machine)
    assert nodes(machine) == NODES
    assert links(machine) == {}


def test_generate_makes_no_node(machine):
    configure(machine, YES)
    machine.run([*PROGRAM, "generate"])
    assert nodes(machine) == {}


def test_the_daemon_makes_a_gpus_node_and_does_not_make_it_again_after_removal():
    with booted({"gpus": [{}, {"node": False}], "path_bins": ["/usr/bin/nvidia-cdi-hook"]}) as machine:
        daemon = Running(machine, config=YES)
        try:
            daemon.until_devices("0", "1")
            daemon.until_quiet()
            machine.path("/dev/nvidia1").unlink()
            daemon.until_devices("0")
            daemon.until_quiet()
            assert not machine.path("/dev/nvidia1").exists()
            assert "195:1" not in links(machine)
            host_nodes(machine)
            daemon.until_devices("0", "1")
        finally:
            daemon.close()


def test_a_node_that_was_made_is_reported_as_made_and_not_as_missing(machine):
    machine.path("/dev/nvidia-uvm").unlink(missing_ok=True)
    planned = host_nodes(machine, "--dry-run").stdout
    done = host_nodes(machine)
    assert done.returncode == 0
    line = next(line for line in done.stdout.splitlines() if line.startswith("/dev/nvidia-uvm:"))
    assert re.fullmatch(r"/dev/nvidia-uvm: made as c \d+:0, mode 0666, owner 0:0", line)
    assert "is missing" in planned and "is missing" not in done.stdout
