"""The rules with generated specs and hosts: a host that has all of a spec is clean, and each missing thing is found."""

from hypothesis import assume, given
from hypothesis import strategies as st

from cdi_refreshd.core.cdi.diff import differences
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, NetDevice, Spec
from cdi_refreshd.core.checks.device_rules import RULES as DEVICE_RULES
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.item_rules import TYPES, paths, verify
from cdi_refreshd.core.checks.subject import host_path, is_minimal, items, subject
from cdi_refreshd.core.entries import BLOCK, CHARACTER, DIRECTORY, FILE, LINK, NOTHING, SOCKET, Entry, registered
from tests.unit.core.cdi.specs import specs

names = st.text("abcdefgh", min_size=1, max_size=3)
devices_in_dev = names.map("/dev/{}".format)
numbers = st.integers(1, 300), st.integers(0, 300)


@st.composite
def nodes(draw):
    path, kind = draw(devices_in_dev), draw(st.sampled_from(["", "c", "u", "b"]))
    numbered = draw(st.booleans())
    major, minor = (draw(numbers[0]), draw(numbers[1])) if numbered else (0, 0)
    return DeviceNode(path, draw(st.sampled_from(["", f"/run/x{path}"])), kind, major, minor)


mounts = st.builds(lambda name: Mount(f"/lib/{name}", f"/lib/{name}"), names)
hooks = st.builds(lambda name: Hook("prestart", f"/bin/{name}"), names)
nets = st.builds(lambda name: NetDevice(name, "eth0"), names)


def few(of):
    return st.lists(of, max_size=3, unique=True).map(tuple)


edits = st.tuples(few(nodes()), few(nets), few(hooks), few(mounts)).map(lambda parts: ContainerEdits((), *parts))
plain = st.builds(
    lambda common, own: Spec("a.example/cc", tuple(Device(str(i), e) for i, e in enumerate(own)), common, "1.1.0"),
    edits,
    st.lists(edits, min_size=1, max_size=3),
)


def a_host_for(spec):
    """A host that has everything in the spec; None where the spec contradicts itself."""
    of = subject("/f", spec)
    entries = {mount.host_path: Entry(FILE, FILE, mode=0o644) for mount in items(of, "mounts")}
    entries |= {hook.path: Entry(FILE, FILE, mode=0o755) for hook in items(of, "hooks")}
    made = {}
    for node in items(of, "device_nodes"):
        kind = TYPES.get(node.type, "")
        known = made.setdefault(host_path(node), [kind, node.major, node.minor])
        if (kind and known[0] not in ("", kind)) or (node.major and known[1] and known[1:] != [node.major, node.minor]):
            return None
        known[0] = known[0] or kind
        known[1:] = known[1:] if known[1] else [node.major, node.minor]
    for path, (kind, major, minor) in made.items():
        real = kind or CHARACTER
        entries[path] = Entry(real, real, major or 7, minor, 0o666)
    everybody = dict.fromkeys(range(400), ("driver",))
    interfaces = frozenset(net.host_interface_name for net in items(of, "net_devices"))
    return Host(entries=entries, characters=everybody, blocks=everybody, interfaces=interfaces)


@given(plain)
def test_a_host_that_has_everything_that_a_spec_names_has_no_findings(spec):
    host = a_host_for(spec)
    assume(host is not None)
    of = subject("/f", spec)
    assert set(host.entries) == paths(of)
    assert verify(of, host) == []
    assert [found for rule in DEVICE_RULES for found in rule(of, host) if found.rule != "all-is-all"] == []


@given(plain, st.data())
def test_each_file_that_is_missing_or_of_another_type_is_reported(spec, data):
    host = a_host_for(spec)
    assume(host is not None and host.entries)
    path = data.draw(st.sampled_from(sorted(host.entries)))
    was = host.entries[path]
    kind = data.draw(st.sampled_from([NOTHING, DIRECTORY, SOCKET]))
    assume(path.startswith(("/dev", "/run", "/bin")) or kind == NOTHING)
    changed = host._replace(entries=host.entries | {path: Entry(kind, kind)})
    found = verify(subject("/f", spec), changed)
    assert {one.finding.place for one in found} == {path}, was


@given(plain, st.data())
def test_each_device_number_that_differs_from_its_node_is_reported(spec, data):
    host = a_host_for(spec)
    assume(host is not None)
    numbered = [node for node in items(subject("/f", spec), "device_nodes") if node.major]
    assume(numbered)
    node = data.draw(st.sampled_from(numbered))
    path = host_path(node)
    entry = host.entries[path]
    moved = entry._replace(minor=entry.minor + data.draw(st.integers(1, 9)))
    found = verify(subject("/f", spec), host._replace(entries=host.entries | {path: moved}))
    assert {(one.rule, one.finding.place, one.finding.severity) for one in found} == {("node-numbers", path, "fatal")}


@given(plain)
def test_a_link_in_place_of_a_node_is_reported_where_the_runtime_reads_the_host(spec):
    host = a_host_for(spec)
    assume(host is not None)
    nodes = items(subject("/f", spec), "device_nodes")
    wanted = {host_path(node) for node in nodes if not is_minimal(node)}
    links = {path: host.entries[path]._replace(kind=LINK) for path in wanted}
    found = verify(subject("/f", spec), host._replace(entries=host.entries | links))
    assert {one.finding.place for one in found if one.rule == "node-kind"} == wanted


@given(specs)
def test_a_spec_does_not_differ_from_itself(spec):
    assert differences(spec, spec) == []


@given(plain, plain)
def test_any_difference_of_nodes_or_devices_is_reported(one, other):
    reported = differences(one, other)
    assert bool(reported) or set(one.container_edits.device_nodes) == set(other.container_edits.device_nodes)
    assert bool(reported) or {device.name for device in one.devices} == {device.name for device in other.devices}
    assert all(text.isprintable() for text in reported)
    assert differences(one, None) == [f"a.example/cc={device.name} is removed" for device in one.devices]


@given(st.dictionaries(st.integers(0, 511), st.lists(names, min_size=1, max_size=2).map(tuple)))
def test_registered_drivers_are_read_as_the_kernel_writes_them(table):
    lines = [f"{number:3d} {name}" for number, owners in table.items() for name in owners]
    text = "Character devices:\n" + "\n".join(lines) + "\n\nBlock devices:\n  7 loop\n"
    assert registered(text) == (table, {7: ("loop",)})
    assert BLOCK != CHARACTER
