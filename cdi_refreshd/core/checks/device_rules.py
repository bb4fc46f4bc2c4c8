"""Rules about a spec's devices, of any vendor: are they consistent, and can the intended users open them?"""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import Device
from cdi_refreshd.core.checks.hints import make_again
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import Subject, host_path, items, listed, name_of
from cdi_refreshd.core.entries import CHARACTER


def all_is_all(of: Subject, _: Host) -> Iterator[RuleFinding]:
    """The device `all` has every node that the other devices have."""
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
        yield found("all-is-all", name_of(of, "all"), fact, make_again(of), of.file, devices=("all",))


def drm_nodes_of_one_gpu(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """A device with one card and one render node: DRM numbers its devices anew at each boot."""
    for device in of.devices:
        nodes = [node.path.removeprefix("/dev/dri/") for node in device.container_edits.device_nodes]
        owners = {name: host.drm[name] for name in nodes if name in host.drm}
        kinds = sorted(name.rstrip("0123456789") for name in owners)
        if kinds == ["card", "renderD"] and len(set(owners.values())) == 2:
            card, render = sorted(owners)
            fact = f"{card} is of {owners[card]} and {render} of {owners[render]}: they were renumbered"
            yield found("drm-pair", name_of(of, device.name), fact, make_again(of), of.file, devices=(device.name,))


def may_be_used(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """Nodes that only a group may read: the container's user must be in that group."""
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
            yield found("node-group", host_path(node), fact, make_again(of), of.file, devices=(name,) if name else ())
            break


RULES = (all_is_all, drm_nodes_of_one_gpu, may_be_used)
