"""Specs of other vendors, by their public formats: planted faults are found, and no others."""

import pytest

from .hosts import Host, booted

pytestmark = pytest.mark.root

NODES = {
    "kfd": [236, 0],
    "dri/card1": [226, 1],
    "dri/renderD128": [226, 128],
    "dri/card2": [226, 2],
    "dri/renderD129": [226, 129],
    "accel/accel0": [261, 0],
    "infiniband/uverbs0": [231, 192],
    "infiniband/rdma_cm": [10, 58],
    "xfpga0": [240, 0],
}
MAJORS = "226 drm\n231 infiniband_verbs\n236 kfd\n240 xfpga\n261 accel\n"


def node(path, **more):
    return {"path": path, **more}


AMD = {
    "cdiVersion": "0.6.0",
    "kind": "amd.com/gpu",
    "containerEdits": {"deviceNodes": [node("/dev/kfd", permissions="rw")]},
    "devices": [
        {"name": name, "containerEdits": {"deviceNodes": [node(f"/dev/dri/{n}", permissions="rw") for n in names]}}
        for name, names in (
            ("0", ["card1", "renderD128"]),
            ("1", ["card2", "renderD129"]),
            ("all", ["card1", "renderD128", "card2", "renderD129"]),
        )
    ],
}
BY_PATH = {
    "hostPath": "/dev/dri/by-path/pci-0000:03:00.0-card",
    "containerPath": "/dev/dri/by-path/pci-0000:03:00.0-card",
    "options": ["bind", "rw"],
    "type": "none",
}
INTEL = {
    "cdiVersion": "0.6.0",
    "kind": "intel.com/gpu",
    "devices": [
        {
            "name": "0000:03:00.0-0x56c0",
            "containerEdits": {
                "deviceNodes": [node("/dev/dri/card1", type="c"), node("/dev/dri/renderD128", type="c")],
                "mounts": [BY_PATH],
            },
        },
    ],
}
CARD = {
    "cdiVersion": "1.1.0",
    "kind": "example.net/fpga-nic",
    "devices": [
        {
            "name": "port0",
            "containerEdits": {
                "deviceNodes": [
                    node("/dev/xfpga0", type="c", major=240, minor=0, fileMode=438),
                    node("/dev/infiniband/uverbs0", hostPath="/dev/infiniband/uverbs0", major=231, minor=192),
                    node("/dev/infiniband/rdma_cm"),
                ],
                "netDevices": [{"hostInterfaceName": "enp3s0", "name": "fast0"}],
                "mounts": [
                    {"hostPath": "/opt/fpga/lib/libfpga.so.2", "containerPath": "/usr/lib/libfpga.so.2"},
                    {"hostPath": "none", "containerPath": "/scratch", "type": "tmpfs"},
                ],
                "hooks": [{"hookName": "createContainer", "path": "/opt/fpga/bin/program-card"}],
            },
        }
    ],
}
FILES = """
mkdir -p /dev/dri/by-path /opt/fpga/lib /opt/fpga/bin /sys/class/net/enp3s0 /etc/cdi
ln -s ../card1 /dev/dri/by-path/pci-0000:03:00.0-card
echo library > /opt/fpga/lib/libfpga.so.2.1
ln -s libfpga.so.2.1 /opt/fpga/lib/libfpga.so.2
printf '#!/bin/sh\\n' > /opt/fpga/bin/program-card
chmod +x /opt/fpga/bin/program-card
rm -f /usr/bin/podman /usr/sbin/runc /usr/bin/runc
"""


@pytest.fixture
def host():
    with booted({"gpus": [], "no_module": True, "extra_nodes": NODES}) as machine:
        host = Host(machine)
        host.edit("/proc/devices", ("\nBlock devices:", f"{MAJORS}\nBlock devices:"))
        host.shell(FILES)
        host.write("/etc/cdi/amd.json", AMD)
        host.write("/etc/cdi/intel.com-gpu.json", INTEL)
        host.write("/etc/cdi/card.json", CARD)
        yield host


FAULTS = [
    ("mv /dev/kfd /dev/kfd1", "node-missing", "/dev/kfd", "is missing"),
    ("rm /dev/dri/renderD129", "node-missing", "/dev/dri/renderD129", "is missing"),
    ("rm /dev/dri/card2; ln -s card1 /dev/dri/card2", "node-kind", "/dev/dri/card2", "is a symbolic link"),
    ("rm /dev/dri/card2; mkdir /dev/dri/card2", "node-kind", "/dev/dri/card2", "is a directory, not a device node"),
    ("rm /dev/dri/card1; mknod /dev/dri/card1 b 226 1", "node-kind", "/dev/dri/card1", "is a block device"),
    (
        "rm /dev/kfd; mknod /dev/kfd c 231 0",
        "node-driver",
        "/dev/kfd",
        "infiniband_verbs has major 231 now, kfd has 236",
    ),
    ("rm /dev/xfpga0; mknod /dev/xfpga0 c 241 0", "node-numbers", "/dev/xfpga0", "is 241:0, and the spec says 240:0"),
    (
        "rm /dev/infiniband/uverbs0; mknod /dev/infiniband/uverbs0 c 231 193",
        "node-numbers",
        "/dev/infiniband/uverbs0",
        "is 231:193, and the spec says 231:192",
    ),
    ("rm /dev/xfpga0", "node-from-numbers", "/dev/xfpga0", "is missing; the runtime makes one from the numbers"),
    ("rmdir /sys/class/net/enp3s0", "interface-missing", "enp3s0", "there is no such network interface"),
    ("rm /opt/fpga/lib/libfpga.so.2.1", "mount-missing", "/opt/fpga/lib/libfpga.so.2", "leads nowhere"),
    (
        "rm /opt/fpga/lib/libfpga.so.2; mkdir /opt/fpga/lib/libfpga.so.2",
        "mount-kind",
        "/opt/fpga/lib/libfpga.so.2",
        "is a directory where a file was",
    ),
    ("rm /dev/dri/by-path/*", "mount-missing", "/dev/dri/by-path/pci-0000:03:00.0-card", "is missing"),
    ("chmod -x /opt/fpga/bin/program-card", "hook-runs", "/opt/fpga/bin/program-card", "cannot be executed"),
    ("rm /opt/fpga/bin/program-card", "hook-runs", "/opt/fpga/bin/program-card", "cannot be executed"),
    ("cp /etc/cdi/amd.json /etc/cdi/amd2.json", "conflict", "/etc/cdi/amd.json", "defines the same devices"),
    ("sed -i s/1.1.0/0.5.0/ /etc/cdi/card.json", "spec-invalid", "/etc/cdi/card.json", "0.5.0 is too old"),
    ("sed -i 's/.name.: .0.,/&\"x\": 1,/' /etc/cdi/amd.json", "spec-invalid", "/etc/cdi/amd.json", "unknown key"),
    ("chmod 600 /etc/cdi/amd.json", "file-mode", "/etc/cdi/amd.json", "is not world-readable"),
]


def test_correct_specs_of_other_vendors_get_one_line(host):
    assert host.clean_line("--level", "info").startswith("ok: 5 devices in /etc/cdi/amd.json, /etc/cdi/card.json, ")


def test_each_planted_fault_is_found_and_nothing_else(host):
    all_of_it = "dev/dri dev/infiniband dev/kfd dev/xfpga0 opt/fpga sys/class/net etc/cdi"
    host.shell(f"cd /; tar -cf /run/clean.tar {all_of_it}")
    for command, rule, place, fact in FAULTS:
        host.shell(command)
        found = host.findings()
        assert {(one["rule"], one["place"]) for one in found} == {(rule, place)}, command
        assert fact in found[0]["fact"], command
        assert found[0]["hint"], command
        assert host.said()[0] == 1
        host.shell(f"cd /; rm -rf {all_of_it} dev/kfd1; tar -xpf /run/clean.tar")
        assert host.findings() == [], f"after {command}"


def test_the_nodes_of_two_gpus_mixed_up_in_one_device_are_found(host):
    for name, address in (("card1", 3), ("renderD128", 3), ("card2", 4), ("renderD129", 4)):
        host.shell(f"mkdir -p /sys/class/drm/{name}; ln -s ../../../0000:0{address}:00.0 /sys/class/drm/{name}/device")
    host.clean_line("--level", "info")
    host.shell("rm /sys/class/drm/*/device")
    for name, address in (("card1", 4), ("renderD128", 3), ("card2", 3), ("renderD129", 4)):
        host.shell(f"ln -s ../../../0000:0{address}:00.0 /sys/class/drm/{name}/device")
    mixed = {one["place"] for one in host.findings()}
    assert mixed == {"amd.com/gpu=0", "amd.com/gpu=1", "intel.com/gpu=0000:03:00.0-0x56c0"}


def test_an_all_that_lacks_a_device_is_found_for_any_vendor(host):
    host.edit("/etc/cdi/amd.json", ('"path": "/dev/dri/card2", "permissions": "rw"}, {"path": "/dev/dri/renderD129", '
                                    '"permissions": "rw"}]}}]', '"path": "/dev/dri/renderD129"}]}}]'))  # fmt: skip
    assert host.one_fault()[1] == "amd.com/gpu=all"
