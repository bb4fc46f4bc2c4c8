"""A spec as seen from inside a pod, where the host's / is a directory such as /host, and as container runtimes read it.

Container runtimes run on the host, so the spec that they read has the host's paths; the spec that is compared with
files here has the prefix before each. Paths within the container are the same for both. A prefix is "" if the host's /
is our own.

/dev is the host's in its own place: NVML opens device nodes by these names, so a pod has it there.
"""

from collections.abc import Callable

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Spec
from cdi_refreshd.core.cdi.version import minimum_version
from cdi_refreshd.core.paths import with_prefix, without_prefix


def outside(spec: Spec, prefix: str) -> Spec:
    """The spec for the host's container runtimes, at the lowest version that it needs then."""
    if not prefix:
        return spec
    made = _mapped(spec, lambda path: without_prefix(path, prefix))
    return made._replace(cdi_version=minimum_version(made))


def inside(spec: Spec, prefix: str) -> Spec:
    """The spec by the paths where a pod finds the host's files."""
    return _mapped(spec, lambda path: with_prefix(path, prefix)) if prefix else spec


def _mapped(spec: Spec, path: Callable[[str], str]) -> Spec:
    devices = tuple(
        Device(device.name, _edits(device.container_edits, path), device.annotations) for device in spec.devices
    )
    return spec._replace(devices=devices, container_edits=_edits(spec.container_edits, path))


def _edits(edits: ContainerEdits, path: Callable[[str], str]) -> ContainerEdits:
    return edits._replace(
        device_nodes=tuple(_node(node, path) for node in edits.device_nodes),
        hooks=tuple(hook._replace(path=path(hook.path)) for hook in edits.hooks),
        mounts=tuple(mount._replace(host_path=path(mount.host_path)) for mount in edits.mounts),
    )


def _node(node: DeviceNode, path: Callable[[str], str]) -> DeviceNode:
    """Without a host path, the path in the container is used."""
    host_path = path(node.host_path or node.path)
    return node._replace(host_path="" if host_path == node.path else host_path)
