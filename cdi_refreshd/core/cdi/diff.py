"""What differs between two specs, device by device, in words."""

from collections.abc import Iterator
from typing import Any

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, Spec
from cdi_refreshd.core.findings import printable

EVERY = "every device"


def differences(old: Spec | None, new: Spec | None) -> list[str]:
    """One line for each; None stands for no file. Order within a spec is no difference."""
    return [printable(text) for text in _told(old, new)]


def _told(old: Spec | None, new: Spec | None) -> list[str]:
    kind = (new or old or Spec("", ())).kind
    if old and new and old.kind != new.kind:
        return [f"kind changes from {old.kind} to {new.kind}: every device has another name"]
    before = {device.name: device for device in old.devices} if old else {}
    after = {device.name: device for device in new.devices} if new else {}
    changes = [f"{kind}={name} is removed" for name in before if name not in after]
    changes += [f"{kind}={name} is added: {summary(after[name])}" for name in after if name not in before]
    if old and new:
        changes += versions(old, new)
        changes += between_kinds(old, new)
        old, new = alike(old, new)
        changes += [f"{EVERY}: {text}" for text in of_edits(old.container_edits, new.container_edits)]
        before = {device.name: device for device in old.devices}
        after = {device.name: device for device in new.devices}
        for name, device in before.items():
            if name in after:
                changes += [f"{kind}={name}: {text}" for text in of_device(device, after[name])]
    return changes


def between_kinds(old: Spec, new: Spec) -> Iterator[str]:
    """From a spec with hooks to one without, or back: what replaces what, instead of a hundred lines."""
    if bool(old.container_edits.hooks) == bool(new.container_edits.hooks):
        return
    before, after = ({mount.container_path for mount in spec.container_edits.mounts} for spec in (old, new))
    if old.container_edits.hooks:
        yield f"{EVERY}: hooks are replaced by {len(after - before)} mounts"
    else:
        yield f"{EVERY}: {len(before - after)} mounts are replaced by hooks"


def alike(old: Spec, new: Spec) -> tuple[Spec, Spec]:
    """Both without what `between_kinds` has reported."""
    if bool(old.container_edits.hooks) == bool(new.container_edits.hooks):
        return old, new
    paths = [{mount.container_path for mount in spec.container_edits.mounts} for spec in (old, new)]
    return _without(old, paths[0] & paths[1]), _without(new, paths[0] & paths[1])


def _without(spec: Spec, common: set[str]) -> Spec:
    edits = spec.container_edits
    mounts = tuple(mount for mount in edits.mounts if mount.container_path in common)
    env = tuple(entry for entry in edits.env if not entry.startswith("TRITON_LIBCUDA_PATH="))
    devices = tuple(device._replace(container_edits=_plain(device.container_edits)) for device in spec.devices)
    return spec._replace(container_edits=_plain(edits)._replace(mounts=mounts, env=env), devices=devices)


def _plain(edits: ContainerEdits) -> ContainerEdits:
    nodes = tuple(node for node in edits.device_nodes if not node.path.startswith("/dev/dri/by-path/"))
    return edits._replace(hooks=(), device_nodes=nodes)


def versions(old: Spec, new: Spec) -> Iterator[str]:
    if old.cdi_version != new.cdi_version:
        yield f"cdiVersion changes from {old.cdi_version} to {new.cdi_version}"
    if dict(old.annotations) != dict(new.annotations):
        yield "annotations of the spec change"


def summary(device: Device) -> str:
    """A new device."""
    paths = [node.path for node in device.container_edits.device_nodes]
    return ", ".join(paths) or "no node of its own"


def of_device(old: Device, new: Device) -> Iterator[str]:
    if dict(old.annotations) != dict(new.annotations):
        yield "annotations change"
    yield from of_edits(old.container_edits, new.container_edits)


def of_edits(old: ContainerEdits, new: ContainerEdits) -> Iterator[str]:
    for field, noun, key in FIELDS:
        before = {key(item): item for item in getattr(old, field)}
        after = {key(item): item for item in getattr(new, field)}
        for name, item in before.items():
            if name not in after:
                yield f"{noun} {name} is removed"
            elif item != after[name]:
                yield f"{noun} {name} changes: {changes(item, after[name])}"
        yield from (f"{noun} {name} is added" for name in after if name not in before)
    if old.intel_rdt != new.intel_rdt:
        yield "intelRdt changes"


def changes(old: Any, new: Any) -> str:
    if isinstance(old, DeviceNode) and (old.major, old.minor) != (new.major, new.minor):
        return f"{old.major}:{old.minor} becomes {new.major}:{new.minor}"
    if hasattr(old, "_fields"):
        pairs = [(field, getattr(old, field), getattr(new, field)) for field in old._fields]
        return ", ".join(f"{field} {shown(field, a)} becomes {shown(field, b)}" for field, a, b in pairs if a != b)
    return f"{old} becomes {new}"


def shown(field: str, value: Any) -> str:
    if field == "file_mode" and isinstance(value, int):
        return f"{value:04o}"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return str(value) if value not in ("", None) else "none"


def hook_name(hook: Hook) -> str:
    return f"{hook.hook_name} {' '.join((hook.path, *hook.args[1:]))}"


def mount_name(mount: Mount) -> str:
    return mount.container_path


FIELDS: tuple[tuple[str, str, Any], ...] = (
    ("device_nodes", "node", lambda node: node.path),
    ("mounts", "mount", mount_name),
    ("env", "variable", lambda entry: entry.partition("=")[0]),
    ("hooks", "hook", hook_name),
    ("net_devices", "network interface", lambda net: net.host_interface_name),
    ("additional_gids", "group", lambda gid: gid),
)
"""Field of ContainerEdits, the word for one item, and the key by which two items are the same."""
