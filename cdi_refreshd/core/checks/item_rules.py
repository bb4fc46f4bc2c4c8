"""Does the host really have what a spec names? Rules about single nodes, mounts, hooks and interfaces, of any vendor.

What a runtime does with each item is from library 1.1.0 (pkg/cdi/container-edits_unix.go): numbers in the document win
over the node's own, so a stale number reaches the container silently.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

from cdi_refreshd.core.cdi.model import DeviceNode, Hook, Mount, NetDevice
from cdi_refreshd.core.checks import hints
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import Subject, affected, every_edits, host_path, is_bound, is_minimal, items
from cdi_refreshd.core.entries import BLOCK, CHARACTER, DIRECTORY, FIFO, FILE, LINK, NOTHING, UNKNOWN, Entry

TYPES = {"c": CHARACTER, "u": CHARACTER, "b": BLOCK, "p": FIFO}
# Which drivers may own a node, by its path. The names are those of /proc/devices; other paths may belong to
# any driver: nvidia-fs, nvidia-nvswitch and nvidia-vgpu have changed their drivers' names too often.
DRIVERS = tuple(
    (re.compile(pattern, re.ASCII), names)
    for pattern, names in (
        (r"/dev/nvidia-uvm(-tools)?", ("nvidia-uvm",)),
        (r"/dev/nvidia-caps-imex-channels/channel\d+", ("nvidia-caps-imex-channels",)),
        (r"/dev/nvidia-caps/nvidia-cap\d+", ("nvidia-caps",)),
        (r"/dev/nvidia-modeset", ("nvidia-modeset", "nvidia", "nvidia-frontend")),
        (r"/dev/nvidiactl", ("nvidiactl", "nvidia", "nvidia-frontend")),
        (r"/dev/nvidia\d+", ("nvidia", "nvidia-frontend")),
        (r"/dev/dri/.*", ("drm",)),
        (r"/dev/kfd", ("kfd",)),
        (r"/dev/accel/.*", ("accel", "habanalabs")),
    )
)
# Sources whose names say that they are files. Directories can have any name: /etc/ld.so.conf.d, bin/nvidia.
FILE_NAME = re.compile(r"/lib[^/]*\.so(\.\d[\d.]*)?$|\.(json|icd)$|/gsp[^/]*\.bin$|/socket$|\.sock$", re.ASCII)
SOCKET_NAME = ("/socket", ".sock")
EVERYBODYS = ("/tmp/", "/var/tmp/", "/dev/shm/")  # noqa: S108 - no file is created there
GONE = ("node-missing", "node-from-numbers", "mount-missing")
"""Rules about things that do not exist."""

Said = tuple[str, str, str] | None
"""The rule's id, a fact, a hint; None if the rule holds."""


def paths(of: Subject) -> set[str]:
    """All paths whose entries the rules need."""
    wanted: set[str] = set()
    for _, edits in every_edits(of):
        wanted.update(map(host_path, edits.device_nodes))
        wanted.update(mount.host_path for mount in edits.mounts)
        wanted.update(hook.path for hook in edits.hooks)
    return wanted


def node_there(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    if entry.kind != NOTHING:
        return None
    if is_minimal(node):
        return (
            "node-from-numbers",
            "is missing; the runtime makes one from the numbers in the spec",
            hints.make_again(of),
        )
    hint = hints.make_node(node, host) or hints.make_again(of)
    return "node-missing", "is missing: containers with it do not start", hint


def node_kind(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    if entry.kind in (NOTHING, UNKNOWN):
        return None
    wanted = TYPES.get(node.type) or (CHARACTER if drivers_wanted(node.path) else "")
    if is_minimal(node):  # a runtime that has type and numbers does not stat the host's node
        if entry.real in (wanted, UNKNOWN):
            return None
        what = f"a {entry.real}" if entry.real != NOTHING else "a link that leads nowhere"
        fact = f"is {what}, not a {wanted}; the runtime makes one from the numbers in the spec"
        return "node-from-numbers", fact, hints.make_again(of)
    if entry.kind == LINK:
        return "node-kind", "is a symbolic link, which no runtime accepts as a device node", "name the node it leads to"
    if entry.kind not in TYPES.values():
        away = f"rmdir {host_path(node)}" if entry.kind == DIRECTORY else "remove it"
        hint = f"{away}; {hints.make_node(node, host) or hints.make_again(of)}"
        return "node-kind", f"is a {entry.kind}, not a device node", hint
    if wanted and wanted != entry.kind:
        return "node-kind", f"is a {entry.kind}, and should be a {wanted}", hints.make_again(of)
    return None


def node_numbers(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    if not node.major or entry.real not in (CHARACTER, BLOCK):
        return None
    if (node.major, node.minor) == (entry.major, entry.minor):
        return None
    owners = drivers_of(host, entry.real, node.major)
    gets = f"{' and '.join(owners)}'s device" if owners and node.major != entry.major else "another device, or none"
    fact = f"is {entry.major}:{entry.minor}, and the spec says {node.major}:{node.minor}: containers get {gets}"
    return "node-numbers", fact, hints.make_again(of)


def node_owner(node: DeviceNode, entry: Entry, host: Host, of: Subject) -> Said:
    """The numbers match the node, but does its driver still have them?"""
    if of.platform or (entry.kind == NOTHING and not is_minimal(node)):
        return None
    there = entry.real in (CHARACTER, BLOCK)
    if there and node.major not in (0, entry.major):
        return None  # node_numbers reports it
    kind = entry.real if there else TYPES.get(node.type, CHARACTER)
    major, minor = (node.major, node.minor) if node.major else (entry.major, entry.minor)
    table = host.characters if kind == CHARACTER else host.blocks if kind == BLOCK else {}
    wanted = drivers_wanted(node.path)
    if not table or not major or (wanted and kind != CHARACTER):
        return None
    owners = table.get(major, ())
    if (owners and not wanted) or any(owner in wanted for owner in owners):
        return None
    if not owners and (kind, major, minor) in host.in_sysfs:
        return None
    now = next((number for number, names in table.items() if any(name in wanted for name in names)), None)
    fact = f"{' and '.join(owners)} has major {major} now" if owners else f"no driver has major {major}"
    fact += f", {wanted[0]} has {now}" if now is not None and wanted else ""
    steps = ["remove the node"] if there else []
    steps += [hints.make_node(node, host) or "load its driver again"] if there else []
    hint = "; ".join([*steps, f"then {hints.make_again(of)}" if steps else hints.make_again(of)])
    rule = "node-driver" if wanted else "node-unclaimed"
    return rule, fact if owners else f"{fact}: the device cannot be opened", hint


def drivers_wanted(path: str) -> tuple[str, ...]:
    return next((names for pattern, names in DRIVERS if pattern.fullmatch(path)), ())


def drivers_of(host: Host, kind: str, major: int) -> tuple[str, ...]:
    return (host.characters if kind == CHARACTER else host.blocks).get(major, ())


def mount_there(mount: Mount, entry: Entry, host: Host, of: Subject) -> Said:
    if entry.real != NOTHING or not is_bound(mount):
        return None
    what = "is a symbolic link that leads nowhere" if entry.kind == LINK else "is missing"
    return "mount-missing", f"{what}: containers with it do not start", hints.make_again(of, host)


def mount_kind(mount: Mount, entry: Entry, _: Host, of: Subject) -> Said:
    path = mount.host_path
    if not is_bound(mount) or not FILE_NAME.search(path):
        return None
    if entry.real == DIRECTORY:
        # rmdir fails on a directory that is not empty.
        return "mount-kind", "is a directory where a file was", f"rmdir {path}; {hints.make_again(of)}"
    if entry.real == FILE and path.endswith(SOCKET_NAME):
        return "mount-socket", "is a file where a socket was", "start the service that makes it again"
    return None


def mount_owner(mount: Mount, entry: Entry, _: Host, of: Subject) -> Said:
    """Any user can create a link to any file there, and containers would get that file."""
    if entry.uid == 0 or not mount.host_path.startswith(EVERYBODYS) or not is_bound(mount):
        return None
    what = "is a symbolic link of" if entry.kind == LINK else "belongs to"
    fact = f"{what} user {entry.uid}, in a world-writable directory"
    return "mount-of-a-user", fact, f"remove it; {hints.make_again(of)}"


def hook_runs(hook: Hook, entry: Entry, _: Host, of: Subject) -> Said:
    if entry.real == UNKNOWN or (entry.real == FILE and entry.mode & 0o111):
        return None
    hint = "install what it belongs to"
    if hook.path.rpartition("/")[2] in ("nvidia-cdi-hook", "nvidia-ctk"):
        hint = "install nvidia-container-toolkit-base"
        hint += ", give --nvidia-cdi-hook-path, or do without: --hooks none" if of.ours else ""
    return "hook-runs", "cannot be executed, so containers do not start", hint


def interface_there(net: NetDevice, _: Entry, host: Host, of: Subject) -> Said:
    if net.host_interface_name in host.interfaces:
        return None
    fact = "there is no such network interface: containers with it do not start"
    return "interface-missing", fact, hints.make_again(of)


Judge = Callable[[Any, Entry, Host, Subject], Said]
SpecRule = Callable[[Subject, Host], Iterator[RuleFinding]]


def each(field: str, place_of: Callable[[Any], str], *judges: Judge) -> SpecRule:
    """Applies a rule to every item of a field of ContainerEdits, once however many devices have it."""

    def rule(of: Subject, host: Host) -> Iterator[RuleFinding]:
        for item, names in items(of, field).items():
            place = place_of(item)
            entry = host.entry(place)
            for judge in judges:
                said = judge(item, entry, host, of)
                if said:
                    yield found(said[0], place, said[1], said[2], of.file, devices=affected(of, names))

    return rule


RULES: tuple[SpecRule, ...] = (
    each("device_nodes", host_path, node_there, node_kind, node_numbers, node_owner),
    each("mounts", lambda mount: mount.host_path, mount_there, mount_kind, mount_owner),
    each("hooks", lambda hook: hook.path, hook_runs),
    each("net_devices", lambda net: net.host_interface_name, interface_there),
)


def verify(of: Subject, host: Host) -> list[RuleFinding]:
    """Everything in the spec that the host contradicts, each once."""
    return list(dict.fromkeys(one for rule in RULES for one in rule(of, host)))
