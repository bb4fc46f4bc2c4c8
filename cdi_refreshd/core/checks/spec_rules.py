"""Rules about a spec as a whole, of any vendor: do its devices fit each other, and the people whom they are for?"""

from collections.abc import Callable, Iterator

from cdi_refreshd.core.cdi.model import Device
from cdi_refreshd.core.checks.host_facts import CHARACTER, Host
from cdi_refreshd.core.checks.host_rules import Found, Subject, again, host_path, items
from cdi_refreshd.core.findings import Finding

Rule = Callable[[Subject, Host], Iterator[Found]]
NAMED_AT_MOST = 3


def whole(of: Subject, host: Host) -> list[Found]:
    return [found for rule in RULES for found in rule(of, host)]


def listed(words: list[str]) -> str:
    more = len(words) - NAMED_AT_MOST
    return ", ".join(words[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def all_is_all(of: Subject, _: Host) -> Iterator[Found]:
    """The device `all` has every node that the others have."""
    everything = next((device for device in of.devices if device.name == "all"), None)
    if everything is None:
        return
    has = {host_path(node) for node in everything.container_edits.device_nodes}
    has |= {host_path(node) for node in of.spec.container_edits.device_nodes}
    lacks: dict[str, None] = {}
    for device in of.devices:
        lacks.update((host_path(node), None) for node in device.container_edits.device_nodes)
    missing = [path for path in lacks if path not in has]
    if missing:
        fact = f"leaves out {listed(missing)}, which other devices of the spec have"
        yield Found("all-is-all", Finding("degraded", name_of(of, "all"), fact, again(of)), of.file, ("all",))


def drm_nodes_of_one_gpu(of: Subject, host: Host) -> Iterator[Found]:
    """A device with one card and one render node: DRM numbers its devices anew at each boot."""
    for device in of.devices:
        nodes = [node.path.removeprefix("/dev/dri/") for node in device.container_edits.device_nodes]
        owners = {name: host.drm[name] for name in nodes if name in host.drm}
        kinds = sorted(name.rstrip("0123456789") for name in owners)
        if kinds == ["card", "renderD"] and len(set(owners.values())) == 2:
            card, render = sorted(owners)
            fact = f"{card} is of {owners[card]} and {render} of {owners[render]}: they were numbered anew"
            yield Found(
                "drm-pair", Finding("degraded", name_of(of, device.name), fact, again(of)), of.file, (device.name,)
            )


def may_be_used(of: Subject, host: Host) -> Iterator[Found]:
    """Nodes that only a group may read: somebody in the container has to be in it."""
    common = of.spec.container_edits.additional_gids
    by_name: dict[str, Device] = {device.name: device for device in of.devices}
    for node, names in items(of, "device_nodes").items():
        entry = host.entry(host_path(node))
        if entry.kind != CHARACTER or entry.mode & 0o004 or not entry.gid:
            continue
        for name in names:
            own = by_name[name].container_edits.additional_gids if name else ()
            granted = {*common, *own, *([node.gid] if node.gid else [])}
            if not granted or (entry.gid in granted and entry.mode & 0o040):
                continue
            fact = f"is for group {entry.gid}, and the spec gives {listed(sorted(map(str, granted)))}"
            if entry.gid in granted:
                fact = f"may not be read by group {entry.gid}, which the spec gives (mode {entry.mode:04o})"
            yield Found("node-group", Finding("degraded", host_path(node), fact, again(of)), of.file, (name,))
            break


def name_of(of: Subject, device: str) -> str:
    return f"{of.spec.kind}={device}"


RULES: tuple[Rule, ...] = (all_is_all, drm_nodes_of_one_gpu, may_be_used)
