"""Does the host really have what a spec names? One rule a function, in tables; for the spec of any vendor.

What a runtime does with each item is from library 1.1.0 (pkg/cdi/container-edits_unix.go): numbers in the document win
over the node's own, which is why a stale number reaches the container without a word.
"""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, NetDevice, Spec
from cdi_refreshd.core.checks.host_facts import (
    BLOCK,
    CHARACTER,
    DIRECTORY,
    FIFO,
    FILE,
    LINK,
    NOTHING,
    UNKNOWN,
    Entry,
    Host,
)
from cdi_refreshd.core.findings import Finding

TYPES = {"c": CHARACTER, "u": CHARACTER, "b": BLOCK, "p": FIFO}
# Which drivers may own a node, by the beginning of its path. The names are those of /proc/devices.
DRIVERS = (
    ("/dev/nvidia-uvm", ("nvidia-uvm",)),
    ("/dev/nvidia-caps-imex-channels/", ("nvidia-caps-imex-channels",)),
    ("/dev/nvidia-caps/", ("nvidia-caps",)),
    ("/dev/nvidia-modeset", ("nvidia-modeset", "nvidia", "nvidia-frontend")),
    ("/dev/nvidiactl", ("nvidiactl", "nvidia", "nvidia-frontend")),
    ("/dev/nvidia", ("nvidia", "nvidia-frontend")),
    ("/dev/dri/", ("drm",)),
    ("/dev/kfd", ("kfd",)),
    ("/dev/accel/", ("accel",)),
)
OWN_NAMES = ("/dev/nvidia-fs", "/dev/nvidia-nvswitch", "/dev/nvidia-nvlink")
"""Of drivers whose names in /proc/devices have changed too often."""
INTEGRATED = ("/dev/nvmap", "/dev/nvhost", "/dev/nvgpu")
"""Nodes that only a Tegra has."""
GENERATORS = {
    "nvidia.com": "make it again: cdi-refreshd oneshot",
    "amd.com": "make it again: amd-ctk cdi generate",
    "intel.com": "make it again: intel-cdi-specs-generator",
}
FILE_NAME = re.compile(r"\.(so|json|conf|icd|bin|ya?ml|ini|cfg|txt|sock|pid|py|sh)(\.[\w.]+)?$|/s?bin/[^/]+$|/socket$")
BINDS = ("bind", "rbind")
GONE = ("node-missing", "mount-missing")
"""Rules about things that are not there at all."""


class Subject(NamedTuple):
    """A spec, and those of its devices that containers get."""

    file: str
    spec: Spec
    devices: tuple[Device, ...]


class Found(NamedTuple):
    """A finding, by the rule that made it."""

    rule: str
    finding: Finding
    file: str = ""
    """Of the spec that it is about, "" where it is about none."""
    devices: tuple[str, ...] = ()
    """Names of the devices that it is about; none where it is about every device of the file."""


def subject(file: str, spec: Spec) -> Subject:
    """A spec on its own: nobody takes its devices from it."""
    return Subject(file, spec, spec.devices)


def every_edits(of: Subject) -> Iterator[tuple[str, ContainerEdits]]:
    """The spec's own edits under the name "", then those of each device."""
    yield "", of.spec.container_edits
    for device in of.devices:
        yield device.name, device.container_edits


def host_path(node: DeviceNode) -> str:
    return node.host_path or node.path


def is_bound(mount: Mount) -> bool:
    """Whether the runtime needs something at the host path; a tmpfs is made out of nothing."""
    return mount.type in ("", "bind", "rbind", "none") or any(option in BINDS for option in mount.options)


def paths(of: Subject) -> set[str]:
    """All that the rules want to know the entries of."""
    wanted: set[str] = set()
    for _, edits in every_edits(of):
        wanted.update(map(host_path, edits.device_nodes))
        wanted.update(mount.host_path for mount in edits.mounts)
        wanted.update(hook.path for hook in edits.hooks)
    return wanted


def again(of: Subject, host: Host | None = None) -> str:
    """How to have the spec made anew. A new one of NVIDIA's would do no good while module and libraries differ."""
    vendor = of.spec.vendor
    if host and vendor == "nvidia.com" and "" != host.module_version != host.library_version != "":
        return f"module {host.module_version} and libraries {host.library_version} differ: reboot, or reload the module"
    return GENERATORS.get(vendor, f"have the generator of {vendor} make it again")


# What a rule says: severity, fact, hint; None where it has nothing to say.
Said = tuple[str, str, str] | None


def node_there(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    if entry.kind != NOTHING:
        return None
    if is_minimal(node):
        return "degraded", "is missing; the runtime makes one from the numbers in the spec", again(of)
    return "fatal", "is missing: containers with it do not start", node_hint(node, host) or again(of)


def is_minimal(node: DeviceNode) -> bool:
    """The document alone is enough for the runtime, whatever stands at the path."""
    return bool(node.type and (node.major or node.type == "p"))


def node_kind(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    if entry.kind in (NOTHING, UNKNOWN):
        return None
    if entry.kind == LINK:
        return "fatal", "is a symbolic link, which no runtime takes for a device node", "name the node it leads to"
    wanted = TYPES.get(node.type) or (CHARACTER if drivers_wanted(node.path) else "")
    if entry.kind not in TYPES.values():
        return "fatal", f"is a {entry.kind}, not a device node", f"remove it; {node_hint(node, host) or again(of)}"
    if wanted and wanted != entry.kind:
        return "fatal", f"is a {entry.kind}, and should be a {wanted}", again(of)
    return None


def node_numbers(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    if not node.major or entry.kind not in (CHARACTER, BLOCK) or (node.major, node.minor) == (entry.major, entry.minor):
        return None
    owners = drivers_of(host, entry.kind, node.major)
    gets = f"{' and '.join(owners)}'s device" if owners and node.major != entry.major else "another device, or none"
    fact = f"is {entry.major}:{entry.minor}, and the spec says {node.major}:{node.minor}: containers get {gets}"
    return "fatal", fact, again(of)


def node_owner(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    """The numbers are those of the node, but are they still those of its driver?"""
    if entry.kind == NOTHING and not is_minimal(node):
        return None
    kind = TYPES.get(node.type, CHARACTER) if entry.kind in (NOTHING, UNKNOWN) else entry.kind
    major = node.major or entry.major
    if entry.kind in (CHARACTER, BLOCK) and node.major not in (0, entry.major):
        return None
    table = host.characters if kind == CHARACTER else host.blocks if kind == BLOCK else {}
    if not table or not major:
        return None
    owners, wanted = table.get(major, ()), drivers_wanted(node.path)
    if wanted and kind != CHARACTER:
        return None
    if (owners and not wanted) or any(owner in wanted for owner in owners):
        return None
    if not owners and (kind, major, node.minor if node.major else entry.minor) in host.in_sysfs:
        return None
    if is_tegras(of):
        return None
    now = next((number for number, names in table.items() if any(name in wanted for name in names)), None)
    fact = f"{' and '.join(owners)} has major {major} now" if owners else f"no driver has major {major}"
    fact += f", {wanted[0]} has {now}" if now is not None and wanted else ""
    severity = "fatal" if wanted else "info"
    hint = f"remove the node; {node_hint(node, host) or 'load its driver again'}; then {again(of)}"
    return severity, f"{fact}: the device cannot be opened" if not owners else fact, hint


def is_tegras(of: Subject) -> bool:
    """Whose GPU has drivers of other names, on the same paths."""
    return any(node.path.startswith(INTEGRATED) for _, edits in every_edits(of) for node in edits.device_nodes)


def drivers_wanted(path: str) -> tuple[str, ...]:
    if path.startswith(OWN_NAMES):
        return ()
    return next((names for start, names in DRIVERS if path.startswith(start)), ())


def drivers_of(host: Host, kind: str, major: int) -> tuple[str, ...]:
    return (host.characters if kind == CHARACTER else host.blocks).get(major, ())


def node_hint(node: DeviceNode, host: Host) -> str:
    """What makes a node of NVIDIA's, "" for others: udev makes those."""
    if node.path.startswith("/dev/nvidia-uvm"):
        return "nvidia-modprobe -c 0 -u makes it"
    if node.path == "/dev/nvidia-modeset":
        return "nvidia-modprobe -m makes it"
    minor = node.path.removeprefix("/dev/nvidia-caps/nvidia-cap")
    if minor in {str(instance.minor) for instance in host.instances}:
        return "nvidia-modprobe -f makes it"
    number = node.path.removeprefix("/dev/nvidia")
    minors = {gpu.minor for gpu in host.gpus}
    if number == "ctl" or (number.isdigit() and int(number) in minors):
        return f"nvidia-modprobe -c {number if number != 'ctl' else 0} makes it"
    return ""


def mount_there(mount: Mount, entry: Entry, host: Host, of: Subject) -> Said:
    if entry.real != NOTHING or not is_bound(mount):
        return None
    what = "is a symbolic link that leads nowhere" if entry.kind == LINK else "is missing"
    return "fatal", f"{what}: containers with it do not start", again(of, host)


def mount_kind(mount: Mount, entry: Entry, _: Host, of: Subject) -> Said:
    if not is_bound(mount) or not FILE_NAME.search(mount.host_path):
        return None
    if entry.real == DIRECTORY:
        return "fatal", "is a directory where a file was", f"remove it; {again(of)}"
    if entry.real == FILE and mount.host_path.endswith(("/socket", ".sock")):
        return "degraded", "is a file where a socket was", "start the service that makes it again"
    return None


def hook_runs(hook: Hook, entry: Entry, _: Host, of: Subject) -> Said:
    if entry.real == UNKNOWN or (entry.real == FILE and entry.mode & 0o111):
        return None
    hint = "install what it belongs to"
    if hook.path.rpartition("/")[2] in ("nvidia-cdi-hook", "nvidia-ctk"):
        hint = "install nvidia-container-toolkit-base, or give --nvidia-cdi-hook-path"
    return "fatal", "cannot be run, so no container will start", hint


def interface_there(net: NetDevice, _: Entry, host: Host, of: Subject) -> Said:
    if net.host_interface_name in host.interfaces:
        return None
    return "fatal", "there is no such network interface, so no container that gets it starts", again(of)


ITEM_RULES: dict[str, dict[str, Any]] = {
    "device_nodes": {
        "node-missing": node_there,
        "node-kind": node_kind,
        "node-numbers": node_numbers,
        "node-driver": node_owner,
    },
    "mounts": {"mount-missing": mount_there, "mount-kind": mount_kind},
    "hooks": {"hook-runs": hook_runs},
    "net_devices": {"interface-missing": interface_there},
}
"""Field of ContainerEdits -> rule's name -> rule."""
PLACES: dict[type, Any] = {
    DeviceNode: host_path,
    Mount: lambda mount: mount.host_path,
    Hook: lambda hook: hook.path,
    NetDevice: lambda net: net.host_interface_name,
}


def items(of: Subject, field: str) -> dict[Any, list[str]]:
    """Each item of a field once, and the devices that have it; "" among them for every device."""
    found: dict[Any, list[str]] = {}
    for name, edits in every_edits(of):
        for item in getattr(edits, field):
            found.setdefault(item, []).append(name)
    return found


def verify(of: Subject, host: Host) -> list[Found]:
    """Everything that the spec says and the host does not bear out, each once."""
    told: dict[Found, None] = {}
    for field, rules in ITEM_RULES.items():
        for item, names in items(of, field).items():
            place = PLACES[type(item)](item)
            entry = host.entry(place)
            for rule, judge in rules.items():
                said = judge(item, entry, host, of)
                if said:
                    found = Found(rule, Finding(said[0], place, said[1], said[2]), of.file, affected(of, names))
                    told[found] = None
    return list(told)


def affected(of: Subject, names: Iterable[str]) -> tuple[str, ...]:
    """None where it is all of them."""
    names = tuple(dict.fromkeys(names))
    return () if "" in names or len(names) == len(of.devices) else names


def fatal_count(found: Iterable[Found]) -> int:
    return sum(one.finding.severity == "fatal" for one in found)
