"""No alarm without a fault, and no hint that does harm: each case comes from a user's report."""

import pytest

from tests.behaviour.pipeline.test_modes import BESIDE, TEGRA, listed

from .hosts import CASE, GPUS, HOOK, SPEC

pytestmark = pytest.mark.root

PLUGIN = "/var/run/cdi/k8s.device-plugin.nvidia.com-gpu.json"
CLAIM = "/var/run/cdi/k8s.gpu.nvidia.com-claim_0d5f.yaml"
OTHER_MODES = {
    "gds": ["nvidia-fs0"],
    "gdrcopy": ["gdrdrv"],
    "mofed": ["infiniband/rdma_cm", "infiniband/uverbs0"],
    "nvswitch": ["nvidia-nvswitch0", "nvidia-nvswitchctl"],
    "imex": ["nvidia-caps-imex-channels/channel0"],
}
EXTRA = {name: [240 + at, 0] for at, names in enumerate(OTHER_MODES.values()) for name in names}
MAJORS = "".join(f"{240 + at} driver-{mode}\n" for at, mode in enumerate(OTHER_MODES)).replace(
    "driver-imex", "nvidia-caps-imex-channels"
)


def above_info(host, *words):
    return [one for one in host.findings(*words) if one["severity"] != "info"]


def of_kind(host, path, kind, *options):
    vendor, _, name = kind.partition("/")
    done = host.run("generate", "--vendor", vendor, "--class", name, "--output", path, *options)
    assert done.returncode == 0, done.stderr


def test_a_clean_machine_with_every_generators_spec_beside_ours_has_nothing_above_info(host):
    host.become(extra_nodes=EXTRA)
    host.edit("/proc/devices", ("\nBlock devices:", f"{MAJORS}\nBlock devices:"))
    host.publish()
    for mode in OTHER_MODES:
        of_kind(host, f"/etc/cdi/nvidia-{mode}.yaml", f"nvidia.com/{mode}", "--mode", mode)
    of_kind(host, "/var/run/cdi/management.nvidia.com-gpu.yaml", "management.nvidia.com/gpu", "--mode", "management")
    of_kind(host, "/var/run/cdi/managed.yaml", "example.com/management", "--mode", "management")
    of_kind(host, PLUGIN, "k8s.device-plugin.nvidia.com/gpu", "--device-name-strategy", "uuid", "--format", "json")
    of_kind(host, CLAIM, "k8s.gpu.nvidia.com/claim", "--device-id", "0", "--no-all-device")
    host.path(CLAIM).chmod(0o600)  # as the CDI library writes it
    host.write("/etc/cdi/amd.json", {"cdiVersion": "0.6.0", "kind": "amd.com/gpu", "devices": [
        {"name": "0", "containerEdits": {"env": ["A=b"]}}]})  # fmt: skip
    assert above_info(host) == []
    assert host.said()[0] == 0


@pytest.mark.parametrize(
    "changes",
    [
        {"unbound": [{"bdf": f"0000:41:00.{n}", "driver": "nvidia"} for n in (4, 5)]},
        {"gpus": [*GPUS, {"mig": []}]},
        {"gpus": [{"mig": []}]},
        {"gpus": [{"mig": [[1, 0]]}, {"mig": []}, {}]},
    ],
    ids=["masked in procfs", "MIG mode without slices", "nothing but that", "beside slices"],
)
def test_a_deliberately_unusual_machine_has_no_findings(host, changes):
    host.become(**changes)
    assert host.run("oneshot").returncode == 0
    host.clean_line()


def test_virtual_functions_without_a_driver_are_not_gpus_of_this_host(host):
    host.become(unbound=[{"bdf": f"0000:41:00.{n}"} for n in (4, 5)])
    for n in (4, 5):
        host.shell(f"ln -s ../0000:41:00.0 /sys/bus/pci/devices/0000:41:00.{n}/physfn")
    assert [one for one in host.findings() if "0000:41" in one["place"]] == []


def test_a_gpu_without_any_driver_beside_working_ones_is_named(host):
    host.become(unbound=[{"bdf": "0000:41:00.0"}, {"bdf": "0000:42:00.0", "driver": "vfio-pci"}])
    assert host.one_fault() == (
        "degraded", "GPU 0000:41:00.0", "has no driver, and is in no spec; see dmesg for lines of NVRM",
    )  # fmt: skip


@pytest.mark.parametrize("case", [TEGRA, BESIDE], ids=["Tegra", "Thor, a PCI function, beside another GPU"])
def test_a_tegra_is_clean_right_after_oneshot(host, case):
    host.machine.become(case)
    assert host.run("oneshot").returncode == 0
    assert [one for one in above_info(host) if one["rule"] != "hook-runs"] == []


@pytest.mark.parametrize(
    ("case", "what"),
    [
        (listed("dev, /dev/nvmap\n"), "Tegra"),
        ({"gpus": [], "no_module": True, "extra_nodes": {"dxg": [10, 63]}, "add": {
            "/usr/lib/wsl/lib/libcuda.so.1": ""}}, "WSL"),
    ],
    ids=["Tegra", "WSL"],
)  # fmt: skip
def test_a_host_with_a_gpu_and_no_spec_is_never_ok(host, case, what):
    host.machine.become(case)
    host.shell("rm -rf /run/cdi /etc/cdi")
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/var/run/cdi")
    assert said.startswith(f"has no spec for {what}'s GPU")


def test_a_host_with_only_a_spec_of_another_kind_has_no_findings_but_a_note(host):
    options = ("--device-name-strategy", "uuid", "--format", "json", "--no-all-device")
    of_kind(host, PLUGIN, "k8s.device-plugin.nvidia.com/gpu", *options)
    host.path(SPEC).unlink()
    host.clean_line()
    note = next(one for one in host.findings() if one["rule"] == "other-kind")
    assert "k8s.device-plugin.nvidia.com/gpu" in note["fact"]


def test_a_named_file_is_not_compared_with_the_gpus_of_the_host(host):
    host.shell("mkdir -p /run/one; cp /run/cdi/nvidia.yaml /run/one/x.yaml")
    host.become(gpus=[*GPUS, {}])
    host.clean_line("/run/one/x.yaml")
    assert all(one["place"] for one in host.findings("/run/one/x.yaml"))


def hand_made(mounts, nodes=("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm"), kind="example.com/gpu", **more):
    edits = {"deviceNodes": [{"path": path} for path in nodes]}
    edits |= {"mounts": [{"hostPath": path, "containerPath": path} for path in mounts]} if mounts else {}
    return {"cdiVersion": "0.5.0", "kind": kind, "devices": [{"name": "all", "containerEdits": edits | more}]}


def test_a_spec_for_images_with_their_own_libraries_has_no_findings(host):
    host.write("/etc/cdi/made.json", hand_made(["/etc/hostname"]))
    host.shell("touch /etc/hostname")
    host.clean_line()


@pytest.mark.parametrize("path", ["/home/kubernetes/bin/nvidia", "/etc/ld.so.conf.d", "/usr/lib/x86_64-linux-gnu"])
def test_a_mounted_directory_is_not_reported_as_a_replaced_file(host, path):
    host.shell(f"mkdir -p {path}/lib64; echo x > {path}/lib64/libcuda.so.1")
    host.write("/etc/cdi/made.json", hand_made([path]))
    host.clean_line()


def test_a_spec_that_mounts_the_directory_of_libcuda_has_it(host):
    ml = "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.580.95.05"
    host.shell("mkdir -p /opt/driver/lib64 /opt/empty; echo x > /opt/driver/lib64/libcuda.so.1")
    host.write("/etc/cdi/made.json", hand_made([ml, "/opt/driver"]))
    host.clean_line()
    host.write("/etc/cdi/made.json", hand_made([ml, "/opt/empty"]))
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/etc/cdi/made.json")
    assert said.endswith("run the generator of example.com again")


def test_nodes_that_several_drivers_may_own_are_not_a_finding(host):
    host.become(extra_nodes={"accel/accel0": [261, 0], "nvidia-vgpu1": [230, 1]})
    host.edit("/proc/devices", ("\nBlock devices:", "230 nvidia-vgpu-vfio\n261 habanalabs\n\nBlock devices:"))
    host.publish()
    host.write("/etc/cdi/made.json", hand_made([], ["/dev/accel/accel0", "/dev/nvidia-vgpu1"]))
    assert above_info(host) == []


def test_the_program_that_makes_a_spec_that_is_not_ours_is_named(host):
    host.write("/etc/cdi/pva.yaml", hand_made(["/run/pva"], ["/dev/null"], "nvidia.com/pva"))
    host.write("/etc/cdi/gds.yaml", hand_made(["/run/gds"], ["/dev/null"], "nvidia.com/gds"))
    host.write("/etc/cdi/xx.yaml", hand_made(["/run/xx"], ["/dev/null"], "xx.example/card"))
    hints = {one["file"]: one["hint"] for one in host.findings() if one["rule"] == "mount-missing"}
    assert "pva-allow-2" in hints["/etc/cdi/pva.yaml"]
    assert "nvidia.com/gds" in hints["/etc/cdi/gds.yaml"]
    assert "xx.example" in hints["/etc/cdi/xx.yaml"]
    assert not any("cdi-refreshd" in hint for hint in hints.values())


def test_the_hint_for_a_foreign_spec_of_our_kind_is_to_run_its_generator(host):
    host.path(SPEC).unlink()
    host.write("/etc/cdi/nvidia.yaml", hand_made(["/run/gone"], kind="nvidia.com/gpu"))
    hint = next(one["hint"] for one in host.findings() if one["rule"] == "mount-missing")
    assert hint == "run its generator again, such as nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


def test_the_hint_for_another_vendors_hook_names_no_option_for_nvidias_hook_program(host):
    hook = {"hookName": "createContainer", "path": "/opt/nvidia-ctk"}
    host.write("/etc/cdi/xx.yaml", hand_made([], ["/dev/null"], "xx.example/card", hooks=[hook]))
    assert "--nvidia-cdi-hook-path" not in host.one_fault()[2]
    host.become(path_bins=[])
    host.shell("rm /etc/cdi/xx.yaml")
    assert HOOK in host.one_fault()[1] and "--nvidia-cdi-hook-path" in host.one_fault()[2]


def test_nvidia_modprobe_is_not_proposed_for_nodes_below_a_dev_root(host):
    host.become(dev_root="/run/nvidia/driver")
    done = host.run("oneshot", "--dev-root", "/run/nvidia/driver")
    assert done.returncode == 0, done.stderr
    host.path("/run/nvidia/driver/dev/nvidiactl").unlink()
    severity, place, said = host.one_fault()
    assert (severity, place) == ("fatal", "/run/nvidia/driver/dev/nvidiactl")
    assert "the driver container at /run/nvidia/driver makes it" in said
    host.become(dev_root="/run/nvidia/driver", nodes=["ctl", "uvm-tools", "modeset"])
    host.run("oneshot", "--dev-root", "/run/nvidia/driver")
    hint = next(one["hint"] for one in host.findings() if one["rule"] == "control-node")
    assert hint.startswith("the driver container at /run/nvidia/driver makes it")


def test_adopt_is_proposed_only_where_it_helps(host):
    for name in ("a", "b"):
        host.write(f"/etc/cdi/{name}.json", hand_made([], ["/dev/null"], "xx.example/card"))
    assert host.one_fault()[2].endswith("; remove one of the files")
    host.write("/etc/cdi/b.json", hand_made([], kind="nvidia.com/gpu"))
    host.write("/etc/cdi/a.json", hand_made([], kind="nvidia.com/gpu"))
    assert host.one_fault()[2].endswith("; cdi-refreshd adopt moves aside what is not ours")
    host.path(SPEC).unlink()
    assert host.one_fault()[2].endswith("; remove one of the files")


def test_no_hint_says_to_remove_a_node_that_does_not_exist(host):
    node = {"path": "/dev/nvidia-uvm", "type": "c", "major": 509, "minor": 0}
    host.path("/dev/nvidia-uvm").unlink()
    host.path(SPEC).unlink()
    edits = {"deviceNodes": [node]}
    host.write("/etc/cdi/x.json", {"cdiVersion": "0.5.0", "kind": "xx.example/card", "devices": [
        {"name": "0", "containerEdits": edits}]})  # fmt: skip
    fault = next(one for one in host.findings() if one["rule"] == "node-driver")
    assert "remove" not in fault["hint"]


def test_list_and_check_report_a_conflict_in_the_same_words(host):
    for name in ("a", "b"):
        host.write(f"/etc/cdi/{name}.json", hand_made([], ["/dev/null"], "xx.example/card"))
    host.write("/etc/cdi/c.json", "{")
    assert set(host.run("list").stderr.splitlines()) == set(host.said()[1][:-1])


def test_the_tests_leave_the_shared_case_unchanged():
    assert CASE["gpus"] == GPUS
