"""Container edits: from host paths to container paths, and how edits are merged, thinned out and ordered."""

from collections.abc import Iterable
from typing import Any, TypeVar

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Mount
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.inventory import Config, Node

READ_ONLY = ("ro", "nosuid", "nodev", "rbind", "rprivate")
SOCKET = ("nosuid", "nodev", "rbind", "rprivate", "noexec")

T = TypeVar("T")


def below(root: str, path: str) -> str:
    """The path relative to the root: its path in the container."""
    return path[len(root) :] if root != "/" and path.startswith(f"{root}/") else path


def mount(root: str, path: str, options: tuple[str, ...] = READ_ONLY) -> Mount:
    return Mount(path, below(root, path), options)


def config_mount(config: Config) -> Mount:
    return Mount(config.path, config.container_path, READ_ONLY)


def nodes(found: Iterable[Node], choices: Choices) -> ContainerEdits:
    """The nodes, and the groups that a user in the container needs to open them."""
    found = tuple(found)
    gids: tuple[int, ...] = ()
    if "no-additional-gids-for-device-nodes" not in choices.feature_flags:
        gids = tuple(node.needed_gid for node in found if node.needed_gid)
    return ContainerEdits(device_nodes=tuple(device_node(node, choices) for node in found), additional_gids=gids)


def device_node(node: Node, choices: Choices) -> DeviceNode:
    path = below(choices.dev_root, node.path)
    host_path = "" if path == node.path else node.path
    if "no-device-numbers" in choices.feature_flags:
        # Without mode and group podman 5 and Docker 26 make every node 0666 root:root.
        return DeviceNode(path, host_path, file_mode=node.mode or None, gid=node.gid or None)
    return DeviceNode(
        path,
        host_path,
        major=node.major,
        minor=node.minor,
        file_mode=node.mode or None,
        permissions="rwm",
        gid=node.gid or None,
    )


def merged(*parts: ContainerEdits) -> ContainerEdits:
    """Field by field, in order. None of these fields is one that a container can have only once."""
    return ContainerEdits(
        env=_joined(part.env for part in parts),
        device_nodes=_joined(part.device_nodes for part in parts),
        net_devices=_joined(part.net_devices for part in parts),
        hooks=_joined(part.hooks for part in parts),
        mounts=_joined(part.mounts for part in parts),
        additional_gids=_joined(part.additional_gids for part in parts),
    )


def tidy(edits: ContainerEdits) -> ContainerEdits:
    """Each thing once; nodes and mounts by depth and path, groups by number; env and hooks in the order given."""
    return edits._replace(
        env=_unique(edits.env),
        device_nodes=tuple(sorted(_unique(edits.device_nodes), key=lambda node: _depth(node.path))),
        hooks=_unique(edits.hooks),
        mounts=tuple(sorted(_unique(edits.mounts), key=lambda item: _depth(item.container_path))),
        additional_gids=tuple(sorted(_unique(edits.additional_gids))),
    )


def without(edits: ContainerEdits, common: ContainerEdits) -> ContainerEdits:
    """Without what every device gets anyway, unless nothing would be left: an empty device is not valid."""
    less = edits._replace(
        env=_less(edits.env, common.env),
        device_nodes=_less(edits.device_nodes, common.device_nodes),
        hooks=_less(edits.hooks, common.hooks),
        mounts=_less(edits.mounts, common.mounts),
    )
    return less if less.env or less.device_nodes or less.hooks or less.mounts else edits


def finished(devices: Iterable[Device], common: ContainerEdits, all_device: bool) -> tuple[Device, ...]:
    """The devices with their edits reduced, ordered by name, and with `all` if it is wanted and missing."""
    done = [_finished(device, common) for device in devices]
    if all_device and done and all(device.name != "all" for device in done):
        everything = merged(*(device.container_edits for device in done))
        done.append(_finished(Device("all", everything), common))
    return tuple(sorted(done, key=lambda device: device.name.encode()))


def _finished(device: Device, common: ContainerEdits) -> Device:
    return device._replace(container_edits=without(tidy(device.container_edits), common))


def _depth(path: str) -> tuple[int, str]:
    parts = [part for part in path.split("/") if part not in ("", ".")]
    return len(parts), "/".join(parts)


def _joined(parts: Iterable[tuple[T, ...]]) -> tuple[T, ...]:
    return tuple(item for part in parts for item in part)


def _unique(items: tuple[T, ...]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(items))


def _less(items: tuple[Any, ...], common: tuple[Any, ...]) -> tuple[Any, ...]:
    known = set(common)
    return tuple(item for item in items if item not in known)
