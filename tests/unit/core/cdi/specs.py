"""Hypothesis strategies for whole specs, and texts that YAML readers may take for another type."""

from hypothesis import strategies as st

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, IntelRdt, Mount, NetDevice, Spec

AWKWARD = [
    "0", "0:0", "1:30", "1:30.5", "755", "0755", "0x1f", "0o17", "0b11", "1e3", "1.", ".5", "-1", "+1", "1_000",
    "-", "--", "---", "...", "- a", "? a", ": a", "a: b", "a:", "a #b", "#a", "", " ", " a", "a ", "true",
    "True", "yes", "NO", "on", "Off", "y", "N", "null", "NULL", "~", "<<", "=", ".inf", "-.Inf", ".nan",
    "2024-01-01", "2024-01-01 10:00:00", "2024-01-01T10:00:00Z", "0.5.0", "580.95.05", "1.10", "*a", "&a", "!a",
    "!!str a", "|", ">", "%YAML", "@a", "`a`", "[", "]", "{", "}", ",", "a, b", "'a'", '"a"', "\\", "a\\nb",
    "a\nb", "\n", "\r\n", "\t", "a\tb", "\0", "\x07", "\x1b", "\x7f", "\x85", "\xa0", "\u2028", "\u2029",
    "\ufeff", "\ufffe", "\uffff", "é", "日本", "😀", "\U0001fffe", "a  b", "_1", "/dev/a:", "a::b", "a:: b",
    "--link", "-i", "--1", "../a", "./a", "..", "1g.10gb", "0.5", "1.2.3", "1.2.3.", "inf", "nan", "None",
]  # fmt: skip

texts = st.sampled_from(AWKWARD) | st.text(max_size=8) | st.text("0123456789:._-+eExXo", max_size=8)
u32 = st.integers(0, 2**32 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)


def tuples(of):
    return st.lists(of, max_size=2).map(tuple)


annotations = st.dictionaries(texts | st.just("k" * 2000), texts, max_size=2).map(lambda d: tuple(sorted(d.items())))
nodes = st.builds(
    DeviceNode,
    path=texts,
    host_path=texts,
    type=texts,
    major=i64,
    minor=i64,
    file_mode=st.none() | u32,
    permissions=texts,
    uid=st.none() | u32,
    gid=st.none() | u32,
)
hooks = st.builds(Hook, hook_name=texts, path=texts, args=tuples(texts), env=tuples(texts), timeout=st.none() | i64)
mounts = st.builds(Mount, host_path=texts, container_path=texts, options=tuples(texts), type=texts)
rdt = st.builds(
    IntelRdt,
    clos_id=texts,
    l3_cache_schema=texts,
    mem_bw_schema=texts,
    schemata=st.none() | tuples(texts),
    enable_monitoring=st.booleans(),
)
edits = st.builds(
    ContainerEdits,
    env=tuples(texts),
    device_nodes=tuples(nodes),
    net_devices=tuples(st.builds(NetDevice, texts, texts)),
    hooks=tuples(hooks),
    mounts=tuples(mounts),
    intel_rdt=st.none() | rdt,
    additional_gids=tuples(u32),
)
specs = st.builds(
    Spec,
    kind=texts,
    devices=tuples(st.builds(Device, name=texts, container_edits=edits, annotations=annotations)),
    container_edits=edits,
    cdi_version=texts,
    annotations=annotations,
)
