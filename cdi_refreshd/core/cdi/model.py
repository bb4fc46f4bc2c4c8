"""The CDI document as frozen records, and the one table of its keys.

The records are NamedTuples and not dataclasses: this program starts at every boot, and defining two dozen frozen
dataclasses takes longer than probing eight GPUs (tests/bench/boot_path.py measures it).

Source: the CDI specification 1.1.0 (tags.cncf.io/container-device-interface, SPEC.md and specs-go/config.go).
"""

from typing import Any, NamedTuple

Annotations = tuple[tuple[str, str], ...]
"""Pairs of key and value, sorted by key: a frozen mapping that is always written as the same bytes."""


class DeviceNode(NamedTuple):
    """A device node in the container. `major` and `minor` 0 mean "not given", as in the document."""

    path: str
    host_path: str = ""
    type: str = ""
    major: int = 0
    minor: int = 0
    file_mode: int | None = None
    """Permission bits, without the type bits."""
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class NetDevice(NamedTuple):
    host_interface_name: str
    name: str


class Hook(NamedTuple):
    hook_name: str
    path: str
    args: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    timeout: int | None = None
    """Seconds."""


class Mount(NamedTuple):
    host_path: str
    container_path: str
    options: tuple[str, ...] = ()
    type: str = ""


class IntelRdt(NamedTuple):
    clos_id: str = ""
    l3_cache_schema: str = ""
    mem_bw_schema: str = ""
    schemata: tuple[str, ...] | None = None
    """None where absent; an explicit empty list is content and raises the version."""
    enable_monitoring: bool = False


class ContainerEdits(NamedTuple):
    env: tuple[str, ...] = ()
    device_nodes: tuple[DeviceNode, ...] = ()
    net_devices: tuple[NetDevice, ...] = ()
    hooks: tuple[Hook, ...] = ()
    mounts: tuple[Mount, ...] = ()
    intel_rdt: IntelRdt | None = None
    additional_gids: tuple[int, ...] = ()


class Device(NamedTuple):
    name: str
    container_edits: ContainerEdits
    annotations: Annotations = ()


class Spec(NamedTuple):
    kind: str
    devices: tuple[Device, ...]
    container_edits: ContainerEdits = ContainerEdits()
    cdi_version: str = ""
    annotations: Annotations = ()

    @property
    def vendor(self) -> str:
        return self.kind.partition("/")[0]

    @property
    def class_name(self) -> str:
        return self.kind.partition("/")[2]


class Key(NamedTuple):
    """One key of the document: where its value lives in the record, and what it holds.

    `holds` is one of str, int64, uint32, int, bool, map, a record type, or a list of str, uint32 or a record type.
    """

    attribute: str
    key: str
    holds: Any
    required: bool = False


# In the order in which they are written.
KEYS: dict[type, tuple[Key, ...]] = {
    Spec: (
        Key("cdi_version", "cdiVersion", "str", True),
        Key("kind", "kind", "str", True),
        Key("annotations", "annotations", "map"),
        Key("devices", "devices", [Device], True),
        Key("container_edits", "containerEdits", ContainerEdits),
    ),
    Device: (
        Key("name", "name", "str", True),
        Key("annotations", "annotations", "map"),
        Key("container_edits", "containerEdits", ContainerEdits, True),
    ),
    ContainerEdits: (
        Key("env", "env", ["str"]),
        Key("device_nodes", "deviceNodes", [DeviceNode]),
        Key("net_devices", "netDevices", [NetDevice]),
        Key("hooks", "hooks", [Hook]),
        Key("mounts", "mounts", [Mount]),
        Key("intel_rdt", "intelRdt", IntelRdt),
        Key("additional_gids", "additionalGids", ["uint32"]),
    ),
    DeviceNode: (
        Key("path", "path", "str", True),
        Key("host_path", "hostPath", "str"),
        Key("type", "type", "str"),
        Key("major", "major", "int64"),
        Key("minor", "minor", "int64"),
        Key("file_mode", "fileMode", "uint32"),
        Key("permissions", "permissions", "str"),
        Key("uid", "uid", "uint32"),
        Key("gid", "gid", "uint32"),
    ),
    NetDevice: (
        Key("host_interface_name", "hostInterfaceName", "str", True),
        Key("name", "name", "str", True),
    ),
    Mount: (
        Key("host_path", "hostPath", "str", True),
        Key("container_path", "containerPath", "str", True),
        Key("options", "options", ["str"]),
        Key("type", "type", "str"),
    ),
    Hook: (
        Key("hook_name", "hookName", "str", True),
        Key("path", "path", "str", True),
        Key("args", "args", ["str"]),
        Key("env", "env", ["str"]),
        Key("timeout", "timeout", "int"),
    ),
    IntelRdt: (
        Key("clos_id", "closID", "str"),
        Key("l3_cache_schema", "l3CacheSchema", "str"),
        Key("mem_bw_schema", "memBwSchema", "str"),
        Key("schemata", "schemata", ["str"]),
        Key("enable_monitoring", "enableMonitoring", "bool"),
    ),
}
