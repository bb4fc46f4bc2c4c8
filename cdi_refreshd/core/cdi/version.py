"""Which cdiVersion a spec needs. The lowest is the best: older runtimes silently drop a newer document."""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import ContainerEdits, Spec
from cdi_refreshd.core.cdi.names import split_kind

KNOWN_VERSIONS = ("0.1.0", "0.2.0", "0.3.0", "0.4.0", "0.5.0", "0.6.0", "0.7.0", "0.8.0", "1.0.0", "1.1.0")
"""All versions that library 1.1.0 knows, oldest first."""
FLOOR = "0.3.0"
"""0.1.0 and 0.2.0 are known, but no document may carry them."""


def rank(version: str) -> int | None:
    """The index of a version among the known ones (one leading `v` is accepted); None if it is unknown."""
    version = version.removeprefix("v")
    return KNOWN_VERSIONS.index(version) if version in KNOWN_VERSIONS else None


def minimum_version(spec: Spec) -> str:
    return requirement(spec)[0]


def requirement(spec: Spec) -> tuple[str, str]:
    """The lowest sufficient version, and the place in the document that requires it ("" for the floor)."""
    return max(_requirements(spec), key=lambda need: KNOWN_VERSIONS.index(need[0]), default=(FLOOR, ""))


def _requirements(spec: Spec) -> Iterator[tuple[str, str]]:
    if spec.annotations:
        yield "0.6.0", "annotations"
    vendor, class_name = split_kind(spec.kind)
    if vendor and "." in class_name:
        yield "0.6.0", "kind"
    yield from _edits(spec.container_edits, "containerEdits")
    for index, device in enumerate(spec.devices):
        place = f"devices[{index}]"
        if device.annotations:
            yield "0.6.0", f"{place}.annotations"
        if device.name[:1] in set("0123456789"):
            yield "0.5.0", f"{place}.name"
        yield from _edits(device.container_edits, f"{place}.containerEdits")


def _edits(edits: ContainerEdits, place: str) -> Iterator[tuple[str, str]]:
    rdt = edits.intel_rdt
    if rdt is not None:
        newer = rdt.schemata is not None or rdt.enable_monitoring
        yield "1.1.0" if newer else "0.7.0", f"{place}.intelRdt"
    if edits.net_devices:
        yield "1.1.0", f"{place}.netDevices"
    if edits.additional_gids:
        yield "0.7.0", f"{place}.additionalGids"
    for index, node in enumerate(edits.device_nodes):
        if node.host_path:
            yield "0.5.0", f"{place}.deviceNodes[{index}].hostPath"
    for index, mount in enumerate(edits.mounts):
        if mount.type:
            yield "0.4.0", f"{place}.mounts[{index}].type"
