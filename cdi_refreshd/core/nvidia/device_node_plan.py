"""Which of the driver's device nodes and of their links in /dev/char are missing or stale: facts in, actions out.

The nodes are those that nvidia-modprobe makes, by the same rules: numbers from /proc/devices and from what the driver
lists at this moment, modes and owners from its parameters. Nobody makes them where that setuid program cannot run.
The links are what udev would make if it knew these nodes: systemd before 240, and runc between 1.1.3 and 1.1.6, grant a
container no device without one, or take it away with the next daemon-reload.
"""

import re
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from cdi_refreshd.core.entries import CHARACTER, NOTHING, Entry
from cdi_refreshd.core.nvidia.inventory import Node

MAKE, REPLACE, JOIN, REJOIN, REMOVE, LEAVE = "make", "replace", "link", "link anew", "remove", "leave"
PAST = {
    MAKE: "made",
    REPLACE: "replaced",
    JOIN: "linked",
    REJOIN: "linked anew",
    REMOVE: "removed",
    LEAVE: "left as it is",
}
MISSING = "is missing"
CONTROL_MINOR, MODESET_MINOR = 255, 254
UVM_MINORS = (("nvidia-uvm", 0), ("nvidia-uvm-tools", 1))
MODES_AT_MOST, IDS_AT_MOST = 0o777, 0xFFFF_FFFE
_NUMBER = re.compile(r"^(\w+):[ \t]*(\d{1,10})[ \t]*$", re.MULTILINE | re.ASCII)
_OURS = re.compile(r"nvidia[\w-]*|nvidia-caps/nvidia-cap\d+|nvidia-caps-imex-channels/channel\d+", re.ASCII)


class Permissions(NamedTuple):
    """The driver's parameters for its nodes, with its defaults."""

    mode: int = 0o666
    uid: int = 0
    gid: int = 0
    allowed: bool = True
    """ModifyDeviceFiles: False if the administrator manages the nodes."""


class Capability(NamedTuple):
    path: str
    """Below /proc/driver/nvidia/capabilities, such as mig/config and gpu0/mig/gi1/ci0/access."""
    minor: int
    mode: int = 0o444
    allowed: bool = True


class Facts(NamedTuple):
    majors: Mapping[str, int] = {}
    """Of NVIDIA's character devices, by the names in /proc/devices. Empty where no module is loaded."""
    readable: bool = True
    """False if /proc/devices cannot be read: then nothing is known to be stale."""
    minors: tuple[int, ...] = ()
    """Minors of the GPUs that the driver lists now; without sleeping ones, which are not asked."""
    modeset: bool = False
    """nvidia-modeset is loaded."""
    permissions: Permissions = Permissions()
    capabilities: tuple[Capability, ...] = ()
    standing: Mapping[str, Entry] = {}
    """Everything named nvidia in `dev` and its directories for capabilities and channels, by path."""
    links: Mapping[str, str] = {}
    """What is in /dev/char, by name: the link's text, or "" if it is not a link."""
    dev: str = "/dev"
    exempt: str = ""
    """Why no nodes are made here at all: "WSL", "Tegra"."""
    modules: tuple[int, ...] = ()
    """Another value for every time that one of the driver's modules was loaded."""


class Action(NamedTuple):
    do: str
    path: str
    why: str
    node: Node | None = None
    text: str = ""
    """The link's."""
    before: str = ""
    """REJOIN: the text that it has."""

    def __str__(self) -> str:
        return f"{self.path}: {self.why}; would be {PAST[self.do]}{self._how()}"

    def past(self) -> str:
        """Why, for the report of what was done; "" if it was just missing."""
        return f"{PAST[self.do]}{self._how()}" + ("" if self.why == MISSING else f": {self.why}")

    def _how(self) -> str:
        if self.node and self.do in (MAKE, REPLACE):
            node = self.node
            return f" as c {node.major}:{node.minor}, mode {node.mode:04o}, owner {node.uid}:{node.gid}"
        return f" to {self.text}" if self.do in (JOIN, REJOIN) else ""


class Memory(NamedTuple):
    """What existed before, so that a node that was removed by hand stays away until the driver is loaded again."""

    modules: tuple[int, ...] = ()
    seen: tuple[str, ...] = ()


FORGETFUL = Memory()


def permissions(text: str) -> Permissions:
    """Parsed from /proc/driver/nvidia/params. Invalid values become the default."""
    values = _numbers(text)
    mode = values.get("DeviceFileMode", 0o666)
    uid, gid = (values.get(name, 0) for name in ("DeviceFileUID", "DeviceFileGID"))
    return Permissions(
        mode if mode <= MODES_AT_MOST else 0o666,
        uid if uid <= IDS_AT_MOST else 0,
        gid if gid <= IDS_AT_MOST else 0,
        values.get("ModifyDeviceFiles", 1) != 0,
    )


def capability(path: str, text: str) -> Capability | None:
    """Parsed from a file below /proc/driver/nvidia/capabilities; None if it has no minor."""
    values = _numbers(text)
    minor, mode = values.get("DeviceFileMinor"), values.get("DeviceFileMode", 0o444)
    if minor is None:
        return None
    allowed = values.get("DeviceFileModify", 1) != 0
    return Capability(path, minor, mode if mode <= MODES_AT_MOST else 0o444, allowed)


def _numbers(text: str) -> dict[str, int]:
    return {name: int(number) for name, number in _NUMBER.findall(text)}


def majors(registered: Mapping[int, tuple[str, ...]]) -> dict[str, int]:
    """NVIDIA's, by name, of the character devices in /proc/devices."""
    return {name: major for major, names in registered.items() for name in names if name.startswith("nvidia")}


def wanted(facts: Facts) -> tuple[Node, ...]:
    """The nodes that belong to what is loaded and listed now."""
    if facts.exempt:
        return ()
    mode, uid, gid, allowed = facts.permissions
    found = [Node(f"{facts.dev}/{name}", *numbers, mode, uid, gid) for name, numbers in _plain(facts) if allowed]
    major = facts.majors.get("nvidia-caps")
    for one in facts.capabilities:
        if major is not None and one.allowed and _is_of_listed_gpu(one.path, facts.minors):
            found.append(Node(f"{facts.dev}/nvidia-caps/nvidia-cap{one.minor}", major, one.minor, one.mode))
    return tuple(found)


def _plain(facts: Facts) -> Iterator[tuple[str, tuple[int, int]]]:
    names = ("nvidia", "nvidia-frontend", "nvidiactl")  # nvidia-frontend: before 550
    front = next((facts.majors[name] for name in names if name in facts.majors), None)
    if front is not None:
        yield "nvidiactl", (front, CONTROL_MINOR)
        if facts.modeset:
            yield "nvidia-modeset", (front, MODESET_MINOR)
        for minor in facts.minors:
            yield f"nvidia{minor}", (front, minor)
    if "nvidia-uvm" in facts.majors:
        yield from ((name, (facts.majors["nvidia-uvm"], minor)) for name, minor in UVM_MINORS)


def _is_of_listed_gpu(path: str, minors: tuple[int, ...]) -> bool:
    """Of MIG, and of the host or of a GPU that the driver lists."""
    if path.startswith("mig/"):
        return True
    gpu, _, rest = path.partition("/")
    return rest.startswith("mig/") and gpu in {f"gpu{minor}" for minor in minors}


def node_actions(facts: Facts, memory: Memory = FORGETFUL) -> tuple[Action, ...]:
    taken = frozenset(memory.seen) if memory.modules == facts.modules else frozenset()
    found = []
    for node in wanted(facts):
        there = facts.standing.get(node.path, Entry())
        if there.kind == NOTHING:
            if node.path not in taken:
                found.append(Action(MAKE, node.path, MISSING, node))
        elif there.kind != CHARACTER:
            found.append(Action(LEAVE, node.path, f"a {there.kind} is in the place of a device node", node))
        elif (there.major, there.minor) != (node.major, node.minor):
            found.append(Action(REPLACE, node.path, f"has the old number {there.major}:{there.minor}", node))
    return tuple(found)


def remembered(facts: Facts, memory: Memory, made: frozenset[str]) -> Memory:
    """For the next time. What is no longer wanted is forgotten: it counts as missing when it is wanted again."""
    before = frozenset(memory.seen) if memory.modules == facts.modules else frozenset()
    there = before | made | facts.standing.keys()
    return Memory(facts.modules, tuple(sorted(node.path for node in wanted(facts) if node.path in there)))


def link_actions(facts: Facts, char: str = "/dev/char") -> tuple[Action, ...]:
    """For the nodes that exist: called after they were made."""
    if not facts.readable:
        return ()
    known = frozenset(facts.majors.values())
    numbers = {f"{e.major}:{e.minor}": path for path, e in _nodes(facts) if e.major in known}
    found = []
    for number, path in sorted(numbers.items()):
        text = link_text(path)
        there = facts.links.get(number)
        if there is None:
            found.append(Action(JOIN, f"{char}/{number}", MISSING, text=text))
        elif leads_to(there, char) != path:
            stale = is_ours(there, facts.dev)
            what = f"leads to {there}, which is something else" if there else "is no link"
            found.append(Action(REJOIN if stale else LEAVE, f"{char}/{number}", what, text=text, before=there))
    for number, there in sorted(facts.links.items()):
        if number not in numbers and is_ours(there, facts.dev):
            why = f"no driver has {number} behind {leads_to(there, char)}"
            found.append(Action(REMOVE, f"{char}/{number}", why, text=there))
    return tuple(found)


def _nodes(facts: Facts) -> Iterator[tuple[str, Entry]]:
    # Backwards: if two have the same number, the link is for the first one.
    for path in sorted(facts.standing, reverse=True):
        entry = facts.standing[path]
        if entry.kind == CHARACTER:
            yield path, entry


def link_text(path: str) -> str:
    """As udev writes it, by which ours are also recognized; absolute for nodes of another root."""
    return f"../{path[len('/dev/') :]}" if path.startswith("/dev/") else path


def leads_to(text: str, char: str = "/dev/char") -> str:
    if text.startswith("../"):
        return f"{char.rpartition('/')[0]}/{text[3:]}"
    return text


def is_ours(text: str, dev: str = "/dev") -> bool:
    """Whether we may have made a link with this text."""
    prefix = "../" if dev == "/dev" else f"{dev}/"
    return text.startswith(prefix) and _OURS.fullmatch(text[len(prefix) :]) is not None


def after(facts: Facts, actions: tuple[Action, ...]) -> Facts:
    """As they will be when the nodes are made."""
    made = {
        action.path: Entry(CHARACTER, CHARACTER, action.node.major, action.node.minor)
        for action in actions
        if action.node and action.do in (MAKE, REPLACE)
    }
    return facts._replace(standing={**facts.standing, **made})
