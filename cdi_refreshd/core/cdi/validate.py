"""Is it a valid CDI spec? By the rules of library 1.1.0 (pkg/cdi), which runtimes apply, not those of SPEC.md.

Paths and device numbers are not compared with the host here.
"""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, IntelRdt, NetDevice, Spec
from cdi_refreshd.core.cdi.names import device_problem, env_problem, label_problem, split_kind
from cdi_refreshd.core.cdi.version import KNOWN_VERSIONS, rank, requirement
from cdi_refreshd.core.findings import Finding, quoted, shown

HOOK_NAMES = ("prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop")
NODE_TYPES = ("", "b", "c", "u", "p")
CLOS_ID_BYTES = 4096
"""A closID must be shorter."""

EMPTY = "must not be empty"


def validate(spec: Spec) -> list[Finding]:
    """Everything that makes the library reject (or crash on) the spec; nothing if it is valid. All are fatal."""
    return [
        *_version(spec),
        *_kind(spec.kind),
        *_edits(spec.container_edits, "containerEdits"),
        *_devices(spec.devices),
    ]


def _fatal(place: str, fact: str, hint: str = "") -> Finding:
    return Finding("fatal", place, fact, hint)


def _version(spec: Spec) -> Iterator[Finding]:
    known = rank(spec.cdi_version)
    minimum, asks = requirement(spec)
    if not spec.cdi_version:
        yield _fatal("cdiVersion", EMPTY, f"write cdiVersion: {minimum}")
    elif known is None:
        hint = f"the versions are {', '.join(KNOWN_VERSIONS[2:])}"
        yield _fatal("cdiVersion", f"{quoted(spec.cdi_version)} is not a version of CDI", hint)
    elif known < KNOWN_VERSIONS.index(minimum):
        reason = f"{asks} is not in {spec.cdi_version}" if asks else "older documents are not read"
        yield _fatal("cdiVersion", f"{spec.cdi_version} is too old", f"needs cdiVersion {minimum} or later: {reason}")


def _kind(kind: str) -> Iterator[Finding]:
    vendor, class_name = split_kind(kind)
    if not vendor:
        fact = f"{quoted(kind)} is not vendor/class" if kind else EMPTY
        yield _fatal("kind", fact, "write vendor/class, as in nvidia.com/gpu")
        return
    for what, label in (("vendor", vendor), ("class", class_name)):
        if problem := label_problem(label):
            yield _fatal("kind", f"{what} {problem}")


def _devices(devices: tuple[Device, ...]) -> Iterator[Finding]:
    if not devices:
        yield _fatal("devices", EMPTY, "remove the file if there are no devices")
    first: dict[str, int] = {}
    for index, device in enumerate(devices):
        place = f"devices[{index}]"
        if problem := device_problem(device.name):
            yield _fatal(f"{place}.name", problem)
        elif device.name in first:
            yield _fatal(f"{place}.name", f"{shown(device.name)} is the name of devices[{first[device.name]}] already")
        first.setdefault(device.name, index)
        if device.container_edits == ContainerEdits():
            yield _fatal(f"{place}.containerEdits", EMPTY, "a device must change something in the container")
        yield from _edits(device.container_edits, f"{place}.containerEdits")


def _edits(edits: ContainerEdits, place: str) -> Iterator[Finding]:
    yield from _env(edits.env, place)
    for index, node in enumerate(edits.device_nodes):
        yield from _node(node, f"{place}.deviceNodes[{index}]")
    for index, hook in enumerate(edits.hooks):
        yield from _hook(hook, f"{place}.hooks[{index}]")
    for index, mount in enumerate(edits.mounts):
        if not mount.host_path:
            yield _fatal(f"{place}.mounts[{index}].hostPath", EMPTY)
        if not mount.container_path:
            yield _fatal(f"{place}.mounts[{index}].containerPath", EMPTY)
    if edits.intel_rdt is not None:
        yield from _rdt(edits.intel_rdt, f"{place}.intelRdt")
    yield from _net_devices(edits.net_devices, f"{place}.netDevices")


def _env(env: tuple[str, ...], place: str) -> Iterator[Finding]:
    for index, entry in enumerate(env):
        if problem := env_problem(entry):
            yield _fatal(f"{place}.env[{index}]", problem)


def _node(node: DeviceNode, place: str) -> Iterator[Finding]:
    # A relative path and the same path twice are fine for the library, and so are negative numbers.
    if not node.path:
        yield _fatal(f"{place}.path", EMPTY)
    if node.type not in NODE_TYPES:
        fact = f"{quoted(node.type)} is not a type of device node"
        yield _fatal(f"{place}.type", fact, "b, c, u or p, or leave it out")
    # The library trims r, w and m from both ends, and nothing may be left: order and repeats do not matter.
    if node.permissions.strip("rwm"):
        yield _fatal(f"{place}.permissions", f"{quoted(node.permissions)} may have only r, w and m")


def _hook(hook: Hook, place: str) -> Iterator[Finding]:
    if hook.hook_name not in HOOK_NAMES:
        fact = f"{quoted(hook.hook_name)} is not a hook" if hook.hook_name else EMPTY
        yield _fatal(f"{place}.hookName", fact, f"one of {', '.join(HOOK_NAMES)}")
    if not hook.path:
        yield _fatal(f"{place}.path", EMPTY)
    yield from _env(hook.env, place)


def _rdt(rdt: IntelRdt, place: str) -> Iterator[Finding]:
    clos_id = rdt.clos_id
    if clos_id == "/":
        return
    if len(clos_id.encode(errors="surrogatepass")) >= CLOS_ID_BYTES:
        yield _fatal(f"{place}.closID", f"must be shorter than {CLOS_ID_BYTES} bytes")
    elif clos_id in (".", "..") or "/" in clos_id or "\n" in clos_id:
        yield _fatal(f"{place}.closID", f"{quoted(clos_id)} must be a file name", "or / for the root class of service")


def _net_devices(devices: tuple[NetDevice, ...], place: str) -> Iterator[Finding]:
    for attribute, key in (("host_interface_name", "hostInterfaceName"), ("name", "name")):
        first: dict[str, int] = {}
        for index, device in enumerate(devices):
            name = getattr(device, attribute)
            if not name:
                yield _fatal(f"{place}[{index}].{key}", EMPTY)
            elif name in first:
                yield _fatal(f"{place}[{index}].{key}", f"{quoted(name)} is in [{first[name]}] already")
            first.setdefault(name, index)
