"""Random machines: the driver's layout, the GPUs, and what is broken. The same seed makes the same machine."""

import random
from typing import NamedTuple

from tests.behaviour.pipeline.test_modes import TEGRA
from tests.machine.hook_programs import CDI_HOOK, CTK, RELEASES, place, script

VERSION, OLD, NEW = "580.95.05", "570.10.01", "590.48.01"
LAYOUTS = ("debian", "debian-alternatives", "rhel", "arch", "cache")
ROOT = "/run/nvidia/driver"
LIBRARIES = (
    "libcuda.so",
    "libnvidia-ml.so",
    "libnvidia-ptxjitcompiler.so",
    "libnvidia-nvvm.so",
    "libEGL_nvidia.so",
    "libnvidia-glcore.so",
    "libnvidia-encode.so",
)
EMPTY_EDITS = '[{"name": "%s", "containerEdits": {"env": ["A=b"]}}]'


CURRENT = max(RELEASES)


class Made(NamedTuple):
    case: dict
    """The case for tests.machine."""
    shell: str = ""
    """A shell script that changes it before anything runs."""
    options: tuple[str, ...] = ()
    """Options of oneshot."""
    hook: str = CURRENT
    """The release of the hook program."""
    before: bool = False
    """A spec is published before anything breaks."""
    faults: tuple[str, ...] = ()
    """What is wrong, in words; none on an untouched machine."""


def made(seed: int) -> Made:
    chance = random.Random(f"machine {seed}")
    if chance.random() < 0.06:
        return broken(chance, Made(TEGRA | {"path_bins": [CDI_HOOK]}))
    machine = Made(layout(chance, {"gpus": gpus(chance), "path_bins": [CDI_HOOK]}))
    machine = driver_root(chance, machine) if chance.random() < 0.2 else machine
    machine = hook_program(chance, machine) if chance.random() < 0.4 else machine
    return broken(chance, machine._replace(before=chance.random() < 0.3))


def gpus(chance: random.Random) -> list[dict]:
    found = []
    for index in range(chance.choice((0, 1, 1, 2, 2, 3, 5))):
        gpu: dict = {"drm": [index + 1, 128 + index]} if chance.random() < 0.7 else {}
        kind = chance.random()
        if kind < 0.15:
            gpu["mig"] = []
        elif kind < 0.3:
            gpu["mig"] = [[gi, 0] for gi in range(1, chance.randint(2, 4))]
        elif kind < 0.4:
            gpu["runtime_status"] = chance.choice(("active", "suspended"))
        found.append(gpu)
    return found


def layout(chance: random.Random, case: dict) -> dict:
    case = case | {"layout": chance.choice(LAYOUTS)}
    if chance.random() < 0.3:
        case |= {"drm_mode": "0660", "drm_gid": 44}
    if chance.random() < 0.3:
        case["sockets"] = ["/run/nvidia-persistenced/socket"]
    if case["gpus"] and chance.random() < 0.2:
        case["unbound"] = [{"bdf": "0000:41:00.0", "driver": chance.choice(("vfio-pci", "nvidia"))}]
    if chance.random() < 0.2:
        case["nodes"] = ["ctl", "uvm", "uvm-tools", "caps"]
    return case


def driver_root(chance: random.Random, machine: Made) -> Made:
    """A driver container, with the host's /dev or one of its own."""
    own_dev = chance.random() < 0.5
    case = machine.case | {"driver_root": ROOT, "layout": "debian"} | ({"dev_root": ROOT} if own_dev else {})
    options = ("--driver-root", ROOT, "--dev-root", ROOT if own_dev else "/")
    return machine._replace(case=case, options=options)


def hook_program(chance: random.Random, machine: Made) -> Made:
    """Of any release."""
    release = chance.choice(sorted(RELEASES))
    path = place(release)
    text = script(release).replace("'", "'\\''")
    return machine._replace(
        case=machine.case | {"path_bins": [path]},
        hook=release,
        shell=f"{machine.shell}printf %s '{text}' > {path}; chmod 755 {path}\n",
    )


def broken(chance: random.Random, machine: Made) -> Made:
    for _ in range(chance.choice((0, 0, 1, 1, 2))):
        machine = chance.choice(FAULTS)(chance, machine)
    return machine


def fault(machine: Made, reported: str, shell: str = "", **changes) -> Made:
    return machine._replace(
        case=machine.case | changes,
        shell=f"{machine.shell}{shell}\n" if shell else machine.shell,
        faults=(*machine.faults, reported),
    )


def each_file(name: str, command: str) -> str:
    """`command` on $f for each real file of a library, in any directory."""
    return f'for f in $(find /usr /opt /run -xdev -type f -name "{name}.*" 2>/dev/null); do {command}; done'


def library(chance: random.Random, machine: Made) -> Made:
    name = chance.choice(LIBRARIES)
    what, command = chance.choice(
        (
            ("is missing", 'rm -f "$f"'),
            ("is empty", ': > "$f"'),
            ("is cut short", 'truncate -s 40 "$f"'),
            ("is no library", 'echo text > "$f"'),
            ("is not readable", 'chmod 0 "$f"'),
            ("is of another version", f'mv "$f" "${{f%{VERSION}}}{NEW}"'),
        )
    )
    return fault(machine, f"{name} {what}", each_file(name, command))


def leftover(chance: random.Random, machine: Made) -> Made:
    """A library of another version beside the right one; the link may lead to it."""
    name, version = chance.choice(LIBRARIES[:3]), chance.choice((OLD, NEW))
    copy = f'cp "$f" "${{f%{VERSION}}}{version}"'
    link = f'; ln -sf {name}.{version} "$(dirname "$f")/{name}.1"' if chance.random() < 0.5 else ""
    return fault(
        machine, f"{name}.{version} is there, too{', and linked' if link else ''}", each_file(name, copy + link)
    )


def gone(chance: random.Random, machine: Made) -> Made:
    path = chance.choice(
        ("/usr/bin/nvidia-smi", "/usr/share/vulkan", "/etc/vulkan", "/usr/share/glvnd", "/usr/lib/firmware")
    )
    root = machine.case.get("driver_root", "")
    return fault(machine, f"{path} is gone", f"rm -rf {root}{path}")


def closed(chance: random.Random, machine: Made) -> Made:
    """Nobody but root may enter a directory of libraries, or read the loader's cache."""
    path = chance.choice(("/usr/lib64", "/opt/nvidia", "/etc/ld.so.cache", "/dev/dri", "/proc/driver/nvidia"))
    return fault(machine, f"{path} is closed", f"chmod 0 {path} 2>/dev/null; true")


def cache(_: random.Random, machine: Made) -> Made:
    return fault(machine, "no loader cache", f"rm -f {machine.case.get('driver_root', '')}/etc/ld.so.cache")


def versions(chance: random.Random, machine: Made) -> Made:
    version = chance.choice((OLD, NEW))
    return fault(machine, f"the module is {version}", module_version=version)


def node(chance: random.Random, machine: Made) -> Made:
    name = chance.choice(("nvidiactl", "nvidia-uvm", "nvidia-uvm-tools", "nvidia-modeset", "nvidia0", "dri/card1"))
    what, command = chance.choice(
        (
            ("is missing", "rm -f {}"),
            ("is a file", "rm -f {}; touch {}"),
            ("is a directory", "rm -f {}; mkdir -p {}"),
            ("is a link", "mv {0} {0}.real; ln -s {0}.real {0}"),
            ("has another driver's number", "rm -f {}; mknod {} c 1 3"),
            ("has nobody's number", "rm -f {}; mknod {} c 401 0"),
        )
    )
    path = f"{machine.case.get('dev_root', '').rstrip('/')}/dev/{name}"
    return fault(machine, f"{name} {what}", command.replace("{0}", path).replace("{}", path) + " 2>/dev/null; true")


def gpu_without_node(chance: random.Random, machine: Made) -> Made:
    listed = [dict(gpu) for gpu in machine.case.get("gpus", [])]
    if not listed:
        return machine
    chance.choice(listed)["node"] = False
    return fault(machine, "a GPU has no node", gpus=listed)


def slices_without_nodes(_: random.Random, machine: Made) -> Made:
    listed = [gpu | {"mig_nodes": False} if gpu.get("mig") else gpu for gpu in machine.case.get("gpus", [])]
    return fault(machine, "slices have no nodes", gpus=listed) if listed != machine.case.get("gpus", []) else machine


def gpu_that_nvml_does_not_list(_: random.Random, machine: Made) -> Made:
    if not machine.case.get("gpus"):
        return machine
    return fault(machine, "NVML does not list the last GPU", "sed -i '$!b; /^gpu /d' /run/fake-nvml; sed -i "
                 f"'/^gpu .*{len(machine.case['gpus']) - 1:012x} /d' /run/fake-nvml")  # fmt: skip


def hook(chance: random.Random, machine: Made) -> Made:
    what, command = chance.choice((("missing", "rm -f"), ("not executable", "chmod 644"), ("empty", "truncate -s 0")))
    return fault(machine, f"the hook program is {what}", f"{command} {CDI_HOOK} {CTK} 2>/dev/null; true")


def other_spec(chance: random.Random, machine: Made) -> Made:
    directory = chance.choice(("/etc/cdi", "/run/cdi"))
    kind = chance.choice(("nvidia.com/gpu", "nvidia.com/pva", "example.com/card"))
    name = chance.choice(("0", "all", "x"))
    text = f'{{"cdiVersion": "0.5.0", "kind": "{kind}", "devices": {EMPTY_EDITS % name}}}'
    file = f"{directory}/{chance.choice(('other', '.hidden', 'nvidia'))}.json"
    return fault(machine, f"{file} has {kind}={name}", f"mkdir -p {directory}; echo '{text}' > {file}")


def standing_spec(chance: random.Random, machine: Made) -> Made:
    """Our earlier spec, damaged or of another driver."""
    text = chance.choice(("{", "", "cdiVersion: 0.5.0\\nkind: nvidia.com/gpu\\ndevices: []\\n"))
    return fault(machine, "a damaged spec stands", f"mkdir -p /run/cdi; printf '{text}' > /run/cdi/nvidia.yaml")


def socket(_: random.Random, machine: Made) -> Made:
    path = "/run/nvidia-persistenced/socket"
    return fault(
        machine, "a file where a socket was", f"mkdir -p {path.rpartition('/')[0]}; rm -f {path}; touch {path}"
    )


def module(_: random.Random, machine: Made) -> Made:
    return fault(machine, "no module", no_module=True)


def unbound(_: random.Random, machine: Made) -> Made:
    return fault(machine, "a GPU has no driver", unbound=[{"bdf": "0000:42:00.0"}])


def major(_: random.Random, machine: Made) -> Made:
    command = "sed -i 's/nvidia-uvm$/nvidia-nothing/' /proc/devices 2>/dev/null; true"
    return fault(machine, "nvidia-uvm has no major", command)


FAULTS = (
    library,
    library,
    library,
    leftover,
    leftover,
    gone,
    closed,
    cache,
    versions,
    node,
    node,
    gpu_without_node,
    slices_without_nodes,
    gpu_that_nvml_does_not_list,
    hook,
    hook,
    other_spec,
    other_spec,
    standing_spec,
    socket,
    module,
    unbound,
    major,
)
