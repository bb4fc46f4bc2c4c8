"""A published spec that is wrong: each fault that users met is named, with a hint; a clean host is quiet."""

import json
import sys

import pytest

from tests.machine.driver_files import MULTIARCH

from .hosts import CASE, GPUS, SPEC

pytestmark = pytest.mark.root

AGAIN = "run cdi-refreshd oneshot"


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"gpus": []},
        {"gpus": [], "no_module": True},
        {"gpus": [{"mig": [[1, 0], [2, 0]]}, {}]},
        {"gpus": [{}] * 8, "sockets": ["/run/nvidia-persistenced/socket", "/run/nvidia-fabricmanager/socket"]},
        {"gpus": [{"runtime_status": "suspended"}, {}]},
        {"layout": "rhel"},
        {"layout": "debian-alternatives"},
        {"drm_mode": "0660", "drm_gid": 44},
        {"nodes": ["ctl", "uvm", "uvm-tools", "caps"]},
        {"unbound": [{"bdf": "0000:09:00.0", "driver": "vfio-pci"}]},
        {"driver_root": "/run/nvidia/driver"},
    ],
    ids=lambda changes: ",".join(changes) or "plain",
)
def test_a_clean_host_gets_one_line(host, changes):
    host.become(**changes)
    root = changes.get("driver_root")
    done = host.run("oneshot", *(["--driver-root", root, "--dev-root", "/"] if root else []))
    assert done.returncode == 0, done.stderr
    line = host.clean_line()
    assert ("no CDI spec" in line) is (changes.get("gpus") == [])


def test_a_gpu_that_only_drives_a_display_is_not_reported_as_missing(host):
    host.become(gpus=[*GPUS, {"name": "NVIDIA DGX Display"}])
    host.publish()
    host.shell("sed -i 's/^Model:.*/Model: NVIDIA DGX Display/' /proc/driver/nvidia/gpus/0000:03:00.0/information")
    host.clean_line()


def test_a_uvm_node_that_was_missing_when_the_spec_was_made_is_found(host):
    host.become(nodes=["ctl", "modeset", "caps"])
    assert host.run("oneshot").returncode == 5
    host.become()
    status, lines = host.said()
    assert lines[0] == f"fatal     /dev/nvidia-uvm: is not in the spec; CUDA does not start without it; {AGAIN}"
    assert status == 1


def test_a_uvm_node_that_is_still_missing_is_found(host):
    host.become(nodes=["ctl", "modeset", "uvm-tools", "caps"])
    assert host.run("oneshot").returncode == 5
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/dev/nvidia-uvm")
    assert said.startswith("is missing, here and in the spec; CUDA does not start without it; nvidia-modprobe -c 0 -u")


def test_a_removed_control_node_is_found(host):
    host.path("/dev/nvidiactl").unlink()
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/dev/nvidiactl")
    assert said == "is missing: containers with it do not start; nvidia-modprobe -c 0 makes it"


def test_a_modeset_node_that_was_missing_when_the_spec_was_made_is_found(host):
    host.become(nodes=["ctl", "uvm", "uvm-tools", "caps"])
    host.publish()
    host.become()
    assert host.one_fault() == (
        "degraded", "/dev/nvidia-modeset", f"is not in the spec; Vulkan and EGL need it; {AGAIN}",
    )  # fmt: skip


def test_uvm_tools_missing_in_the_spec_is_found(host):
    host.become(nodes=["ctl", "modeset", "uvm", "caps"])
    host.shell("mkdir /sys/module/nvidia_uvm")
    host.publish()
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "/dev/nvidia-uvm-tools")
    assert said.startswith("is missing, here and in the spec; profilers and debuggers need it; nvidia-modprobe")


def test_a_changed_major_number_is_found(host):
    host.become(uvm_major=509)
    status, lines = host.said()
    assert status == 1
    assert lines[0] == (
        "fatal     /dev/nvidia-uvm: is 509:0, and the spec says 510:0: containers get another device, or none; " + AGAIN
    )
    assert lines[1].startswith("fatal     /dev/nvidia-uvm-tools: is 509:1, and the spec says 510:1")


def test_a_major_number_that_another_driver_has_now_is_found(host):
    host.become(uvm_major=511, caps_major=510)
    facts = {finding["place"]: finding["fact"] for finding in host.findings()}
    assert facts["/dev/nvidia-uvm"] == "is 511:0, and the spec says 510:0: containers get nvidia-caps's device"


def test_a_node_with_an_outdated_major_is_found_though_the_spec_has_the_same_numbers(host):
    host.edit("/proc/devices", ("510 nvidia-uvm", "509 nvidia-uvm"), ("511 nvidia-caps", "510 nvidia-caps"))
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/dev/nvidia-uvm (and 1 more)")
    assert said.startswith(
        "nvidia-caps has major 510 now, nvidia-uvm has 509; remove the node; nvidia-modprobe -c 0 -u"
    )
    assert {finding["place"] for finding in host.findings()} == {"/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"}


def test_a_node_without_its_driver_cannot_be_opened(host):
    host.edit("/proc/devices", ("510 nvidia-uvm\n", ""))
    assert host.one_fault()[2].startswith("no driver has major 510: the device cannot be opened")


def test_mig_nodes_that_were_missing_are_found(host):
    gpus = [{"mig": [[1, 0]], "mig_nodes": False}, {}]
    host.become(gpus=gpus)
    assert host.run("oneshot").returncode == 0
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "MIG slice gi1/ci0 of /dev/nvidia0")
    assert said.startswith("is in no spec: /dev/nvidia-caps/nvidia-cap12, /dev/nvidia-caps/nvidia-cap13 is missing; ")
    assert "nvidia-modprobe -f /proc/driver/nvidia/capabilities/gpu0/mig/gi1/access makes it" in said
    host.become(gpus=[{"mig": [[1, 0]]}, {}])
    assert host.one_fault() == ("degraded", place, f"is in no spec; {AGAIN}")
    host.publish()
    host.clean_line()


def test_a_mig_device_without_its_capability_nodes_is_found(host):
    host.become(gpus=[{"mig": [[1, 0]]}, {}])
    host.publish()
    spec = host.spec()
    for device in spec["devices"]:
        nodes = device["containerEdits"]["deviceNodes"]
        nodes[:] = [node for node in nodes if "nvidia-cap12" not in node["path"] or device["name"] == "all"]
    host.write(SPEC, spec)
    status, lines = host.said()
    assert status == 1
    assert lines[0].startswith("fatal     nvidia.com/gpu=0:0 (and 1 more): has /dev/nvidia0, which is cut into MIG ")


def test_renumbered_drm_nodes_are_found(host):
    host.become(gpus=[{"drm": [3, 130]}, {"drm": [2, 129]}])
    severity, place, said = host.one_fault()
    assert (severity, place.partition(";")[0]) == ("fatal", "/dev/dri/card1 (and 1 more")
    assert said == f"is missing: containers with it do not start; {AGAIN}"


def test_drm_nodes_that_two_gpus_swapped_are_found(host):
    host.become(gpus=[{"drm": [2, 129]}, {"drm": [1, 128]}])
    faults = {finding["place"]: finding for finding in host.findings()}
    fault = faults["nvidia.com/gpu=0"]
    assert fault["severity"] == "degraded"
    assert fault["fact"].startswith("has card1, renderD128 of 0000:02:00.0, and its GPU is 0000:01:00.0")


def test_graphics_files_that_the_generator_missed_are_found(host):
    host.become(remove=["/etc/vulkan/icd.d/*", "/usr/share/vulkan/icd.d/*"])
    host.publish()
    host.become()
    assert host.one_fault() == (
        "degraded", "/etc/vulkan/icd.d/nvidia_icd.json", f"is not in the spec: Vulkan finds no driver; {AGAIN}",
    )  # fmt: skip


def test_graphics_libraries_that_the_generator_missed_are_found(host):
    host.become(remove=[f"{MULTIARCH}/libnvidia-{name}.so.*" for name in ("eglcore", "glcore")])
    host.publish()
    host.become()
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", SPEC)
    assert said.startswith("leaves out libnvidia-eglcore.so.580.95.05, libnvidia-glcore.so.580.95.05: graphics falls")


def test_a_spec_without_libcuda_is_found(host):
    spec = host.spec()
    mounts = spec["containerEdits"]["mounts"]
    mounts[:] = [mount for mount in mounts if "libcuda.so" not in mount["hostPath"]]
    host.write(SPEC, spec)
    severity, place, said = host.one_fault()
    assert (severity, place, said) == (
        "fatal",
        SPEC,
        f"mounts libraries of the driver and no libcuda.so: nvidia-smi may work, CUDA does not; {AGAIN}",
    )


def test_an_empty_device_is_found(host):
    spec = host.spec()
    next(device for device in spec["devices"] if device["name"] == "all")["containerEdits"] = {}
    host.write(SPEC, spec)
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", SPEC)
    assert said.startswith("devices[4].containerEdits: must not be empty; a device must change something")


def test_a_device_named_all_that_lacks_nodes_is_found(host):
    spec = host.spec()
    everything = next(device for device in spec["devices"] if device["name"] == "all")["containerEdits"]
    everything["deviceNodes"] = [node for node in everything["deviceNodes"] if node["path"] != "/dev/nvidia1"]
    host.write(SPEC, spec)
    assert host.one_fault() == (
        "degraded", "nvidia.com/gpu=all", f"leaves out /dev/nvidia1, which other devices of the spec have; {AGAIN}",
    )  # fmt: skip


def test_a_host_with_gpus_and_without_a_spec_is_found(host):
    host.path(SPEC).unlink()
    assert host.one_fault() == (
        "fatal",
        "/var/run/cdi",
        "has no spec for 2 NVIDIA GPUs: no container gets nvidia.com/gpu=all; "
        "cdi-refreshd oneshot, or systemctl enable --now cdi-refreshd",
    )


def test_a_gpu_added_after_the_spec_was_made_is_found(host):
    host.become(gpus=[*GPUS, {}])
    severity, place, said = host.one_fault()
    assert (severity, place) == ("degraded", "GPU 0000:03:00.0")
    assert said.startswith(f"is bound to the nvidia driver (/dev/nvidia2) and in no spec; {AGAIN}")


def test_a_sleeping_gpu_added_after_the_spec_was_made_is_found_without_waking_it(host):
    host.become(gpus=[*GPUS, {"runtime_status": "suspended"}])
    assert host.one_fault()[1:] == ("GPU 0000:03:00.0", f"one of them is in no spec: 0 of 1 are; {AGAIN}")


def test_a_removed_socket_is_reported(host):
    host.become(sockets=["/run/nvidia-persistenced/socket"])
    host.publish()
    host.become()
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/run/nvidia-persistenced/socket")
    assert said == f"is missing: containers with it do not start; {AGAIN}"


def test_a_socket_that_appeared_after_the_spec_was_made_is_found(host):
    host.become(sockets=["/run/nvidia-persistenced/socket"])
    assert host.one_fault() == (
        "degraded",
        "/run/nvidia-persistenced/socket",
        f"is not in the spec: the service started later; {AGAIN}",
    )


def test_a_directory_in_place_of_a_socket_is_found(host):
    host.become(sockets=["/run/nvidia-persistenced/socket"])
    host.publish()
    host.shell("rm /run/nvidia-persistenced/socket; mkdir /run/nvidia-persistenced/socket")
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/run/nvidia-persistenced/socket")
    assert said == f"is a directory where a file was; rmdir /run/nvidia-persistenced/socket; {AGAIN}"
    host.shell("rmdir /run/nvidia-persistenced/socket")


def test_a_spec_for_another_driver_version_is_found(host):
    host.become(driver="590.48.01")
    status, lines = host.said()
    assert status == 1
    assert len(lines) == 3
    assert lines[0].startswith(f"fatal     {MULTIARCH}/libEGL_nvidia.so.580.95.05 (and ")
    assert " is missing: containers with it do not start" in lines[0]
    assert lines[1].endswith(f"files of driver 580.95.05, and the loaded module is 590.48.01; {AGAIN}")


def test_libraries_that_were_upgraded_under_the_loaded_module_are_found(host):
    host.become(driver="590.48.01", module_version="580.95.05")
    status, lines = host.said()
    assert status == 1
    assert lines[0].endswith("module 580.95.05 and libraries 590.48.01 differ: reboot, or reload the module")
    assert lines[1].startswith(
        "degraded  NVIDIA driver: the loaded module is 580.95.05, this host's libraries are 590.48."
    )


def test_a_hook_program_that_was_removed_is_fatal(host):
    """As after another toolkit was installed: cuInit fails, or no container starts."""
    host.become(path_bins=[])
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/usr/bin/nvidia-cdi-hook")
    assert said.startswith("cannot be executed, so containers do not start; install nvidia-container-toolkit-base")


def test_a_device_group_that_the_spec_does_not_add_is_found(host):
    host.become(drm_mode="0660", drm_gid=44)
    host.publish()
    host.become(drm_mode="0660", drm_gid=45)
    assert {finding["fact"] for finding in host.findings()} == {"is for group 45, and the spec gives 44"}


def test_only_findings_of_the_given_level_are_shown_and_make_the_status_1(host):
    host.become(sockets=["/run/nvidia-persistenced/socket"])
    assert host.said("--level", "fatal")[0] == 0
    assert host.said("--level", "fatal")[1][0].endswith("(1 note: --level info)")
    assert host.said("--level", "degraded")[0] == 1


def test_each_named_file_is_checked_on_its_own(host):
    host.shell("cp /run/cdi/nvidia.yaml /run/a.yaml; cp /run/cdi/nvidia.yaml /run/b.yaml")
    assert host.clean_line("/run/a.yaml", "/run/b.yaml").endswith("in /run/a.yaml, /run/b.yaml")
    assert host.run("check", "/run/a.yaml", "/run/none.yaml").returncode == 2


def test_the_json_has_every_finding_and_the_status(host):
    host.become(uvm_major=509)
    done = host.run("check", "--json")
    document = json.loads(done.stdout)
    assert (document["version"], document["status"], done.returncode, document["level"]) == (1, 1, 1, "degraded")
    assert document["counts"] == {"fatal": 2, "degraded": 0, "info": 0}
    assert document["files"] == [SPEC]
    assert document["findings"][0] == {
        "rule": "node-numbers",
        "severity": "fatal",
        "place": "/dev/nvidia-uvm",
        "fact": "is 509:0, and the spec says 510:0: containers get another device, or none",
        "hint": AGAIN,
        "file": SPEC,
        "devices": [],
    }


def test_check_opens_neither_nvidia_devices_nor_nvml(host):
    before = host.machine.nvml_opens()
    trace = ["strace", "-f", "-qq", "-e", "trace=open,openat,openat2", "-o", "/run/trace"]
    done = host.machine.run([*trace, sys.executable, "-m", "cdi_refreshd", "check"])
    assert done.stdout.startswith("ok: "), done
    opened = host.path("/run/trace").read_text()
    assert "/proc/devices" in opened
    assert "/dev/nvidia" not in opened
    assert "/dev/dri" not in opened
    # Libraries are read for their headers, and none is loaded: the loader would open them without this flag.
    assert all("O_NOFOLLOW" in line for line in opened.splitlines() if "libnvidia" in line or "libcuda" in line)
    assert host.machine.nvml_opens() == before


def test_any_user_may_run_check(host):
    """Without root, and without a home."""
    check = [sys.executable, "-m", "cdi_refreshd", "check"]
    assert host.machine.run_as_nobody(check).stdout.startswith("ok: ")
    host.become(uvm_major=509)
    done = host.machine.run_as_nobody(check)
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.startswith("fatal     /dev/nvidia-uvm: is 509:0")
    host.path(SPEC).chmod(0o600)
    done = host.machine.run_as_nobody(check)
    assert done.returncode in (1, 2)
    assert f"{SPEC}: cannot be read: Permission denied" in done.stdout
    assert "chmod 0644" in done.stdout


def test_the_unchanged_machine_has_no_findings(host):
    assert CASE["gpus"] == GPUS
    assert host.findings() == []
