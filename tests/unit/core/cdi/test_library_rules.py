"""The reference library's rules, one by one, on generated documents: what breaks one is refused at its place, and what
keeps all of them is accepted. The rules are those of library 1.1.0 (pkg/cdi, pkg/parser, specs-go)."""

import string
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.version import KNOWN_VERSIONS

ALNUM = string.ascii_letters + string.digits
EDITS = "devices[0].containerEdits"


def word(first, middle, last, least):
    """Texts of a regular expression first middle* last, of a minimal length."""
    inner = st.text(middle, max_size=6)
    long = st.builds(lambda a, b, c: a + b + c, st.sampled_from(first), inner, st.sampled_from(last))
    return long if least == 2 else long | st.sampled_from(first)


vendors = word(string.ascii_letters, ALNUM + "_.-", ALNUM, 2)
classes = word(string.ascii_letters, ALNUM + "_-", ALNUM, 2)
device_names = word(ALNUM, ALNUM + "_.:-", ALNUM, 1)
some = st.text(ALNUM + " _-./:#'é日", min_size=1, max_size=5)
envs = st.builds("{}={}".format, some, some | st.just("") | st.just("="))
int64 = st.integers(-(2**63), 2**63 - 1)
uint32 = st.integers(0, 2**32 - 1)
hook_names = st.sampled_from(
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
)


def objects(required, optional):
    return st.fixed_dictionaries(required, optional=optional)


nodes = objects(
    {"path": some},
    {
        "hostPath": some,
        "type": st.sampled_from(["", "b", "c", "u", "p"]),
        "major": int64,
        "minor": int64,
        "fileMode": uint32,
        "permissions": st.text("rwm", max_size=5),
        "uid": uint32,
        "gid": uint32,
    },
)
hooks = objects(
    {"hookName": hook_names, "path": some},
    {"args": st.lists(some, max_size=2), "env": st.lists(envs, max_size=2), "timeout": int64},
)
mounts = objects({"hostPath": some, "containerPath": some}, {"options": st.lists(some, max_size=2), "type": some})
nets = st.lists(st.tuples(some, some), min_size=1, max_size=3, unique_by=(lambda p: p[0], lambda p: p[1])).map(
    lambda pairs: [{"hostInterfaceName": host, "name": name} for host, name in pairs]
)
rdts = objects(
    {},
    {
        "closID": st.sampled_from(["", "/", "a", "...", "x" * 4095]),
        "l3CacheSchema": some,
        "schemata": st.lists(some, max_size=2),
        "enableMonitoring": st.booleans(),
    },
)
FIELDS = {
    "env": st.lists(envs, min_size=1, max_size=2),
    "deviceNodes": st.lists(nodes, min_size=1, max_size=2),
    "hooks": st.lists(hooks, min_size=1, max_size=2),
    "mounts": st.lists(mounts, min_size=1, max_size=2),
    "netDevices": nets,
    "intelRdt": rdts,
    "additionalGids": st.lists(uint32, min_size=1, max_size=2),
}
any_edits = objects({}, FIELDS)
full_edits = st.sampled_from(sorted(FIELDS)).flatmap(
    lambda name: objects({name: FIELDS[name]}, {other: of for other, of in FIELDS.items() if other != name})
)


@st.composite
def documents(draw):
    """Documents that keep every rule, whatever else they hold."""
    named = draw(st.lists(device_names, min_size=1, max_size=3, unique=True))
    return {
        "cdiVersion": draw(st.sampled_from(["1.1.0", "v1.1.0"])),
        "kind": f"{draw(vendors)}/{draw(classes)}",
        "annotations": draw(st.dictionaries(some, some, max_size=2)),
        "devices": [
            {
                "name": name,
                "containerEdits": draw(full_edits),
                "annotations": draw(st.dictionaries(some, some, max_size=1)),
            }
            for name in named
        ],
        "containerEdits": draw(any_edits),
    }


@given(documents())
def test_a_document_that_keeps_every_rule_is_accepted(document):
    spec, findings = decode_valid(document)
    assert findings == []
    assert [device.name for device in spec.devices] == [device["name"] for device in document["devices"]]


def put(*path):
    """Changes the value at a path of the document, and makes what is missing on the way."""

    def change(document, value):
        at = document
        for step, following in pairwise(path):
            if isinstance(at, dict) and (step not in at or not at[step]):
                at[step] = [{}] if following == 0 else {}
            at = at[step]
        at[path[-1]] = value

    return change


def edit(field, *more):
    return put("devices", 0, "containerEdits", field, *more)


def lacks(pattern_of, least=0):
    """Any texts but those that a rule allows."""
    return st.text(ALNUM + "_.:-/=é \n", min_size=least, max_size=4).filter(lambda text: not pattern_of(text))


def is_label(text):
    ok = len(text) > 1 and text[0] in string.ascii_letters and text[-1] in ALNUM
    return ok and set(text) <= set(ALNUM + "_.-")


def is_device(text):
    return bool(text) and text[0] in ALNUM and text[-1] in ALNUM and set(text) <= set(ALNUM + "_.:-")


bad_env = st.text("=A b", max_size=4).filter(lambda text: text.find("=") < 1)
too_large = st.integers(2**63, 2**70)
not_uint32 = st.integers(2**32, 2**40) | st.integers(-(2**40), -1)
one_env = bad_env.map(lambda entry: [entry])
HOOK = {"hookName": "prestart", "path": "/h"}
bad_types = st.text("bcupxC", min_size=1, max_size=2).filter(lambda text: text not in ["b", "c", "u", "p"])
bad_permissions = st.text("rwmx RW", min_size=1, max_size=4).filter(lambda text: text.strip("rwm"))


def each(field, key, values, **others):
    """One object in a list of the device's edits, whose `key` has these values."""
    return edit(field), values.map(lambda value: [{**others, key: value}]), f"{EDITS}.{field}[0].{key}"


def without(field, key, **others):
    """The same, with the key empty or missing."""
    objects = st.sampled_from([[others], [{**others, key: ""}], [{**others, key: None}]])
    return edit(field), objects, f"{EDITS}.{field}[0].{key}"


def twice(key, other):
    """Two network interfaces that have one name in common."""
    pairs = some.map(lambda name: [{key: name, other: "a"}, {key: name, other: "b"}])
    return edit("netDevices"), pairs, f"{EDITS}.netDevices[1].{key}"


versions = st.sampled_from(["", "0.9.0", "1.1", "vv1.1.0", "2.0.0", "1.1.0 "])
kinds = st.sampled_from(["", "a", "/aa", "aa/", "/"])
bad_vendors = lacks(is_label, 1).filter(lambda text: "/" not in text)
empty_edits = st.sampled_from([{}, None, {"env": []}, {"deviceNodes": None}, {"mounts": [], "hooks": []}])
class_ids = st.sampled_from([".", "..", "a/b", "a\nb", "x" * 4096])
RULES = {
    "the version is a known one": (put("cdiVersion"), versions, "cdiVersion"),
    "the kind has a vendor and a class": (put("kind"), kinds, "kind"),
    "the vendor is a label": (put("kind"), bad_vendors.map("{}/gpu".format), "kind"),
    "the class is a label": (put("kind"), lacks(is_label, 1).map("a.example/{}".format), "kind"),
    "a device's name is a name": (put("devices", 0, "name"), lacks(is_device), "devices[0].name"),
    "there are devices": (put("devices"), st.sampled_from([[], None]), "devices"),
    "a device edits something": (put("devices", 0, "containerEdits"), empty_edits, EDITS),
    "a variable has a name": (edit("env"), one_env, f"{EDITS}.env[0]"),
    "a spec's variable has a name": (put("containerEdits", "env"), one_env, "containerEdits.env[0]"),
    "a node has a path": without("deviceNodes", "path"),
    "a node is of a type": each("deviceNodes", "type", bad_types, path="/d"),
    "a node has permissions of r, w and m": each("deviceNodes", "permissions", bad_permissions, path="/d"),
    "a major fits": each("deviceNodes", "major", too_large, path="/d"),
    "a major is no text": each("deviceNodes", "major", int64.map(str), path="/d"),
    "a uid fits": each("deviceNodes", "uid", not_uint32, path="/d"),
    "a group fits": (edit("additionalGids"), not_uint32.map(lambda number: [number]), f"{EDITS}.additionalGids[0]"),
    "a mount has a source": without("mounts", "hostPath", containerPath="/c"),
    "a mount has a target": without("mounts", "containerPath", hostPath="/c"),
    "a hook has a known name": each("hooks", "hookName", st.sampled_from(["", "Prestart", "prestarts"]), path="/h"),
    "a hook has a path": without("hooks", "path", hookName="prestart"),
    "a hook's variable has a name": (
        edit("hooks"), one_env.map(lambda env: [{**HOOK, "env": env}]), f"{EDITS}.hooks[0].env[0]",
    ),
    "a closID is a file's name": (
        edit("intelRdt"), class_ids.map(lambda text: {"closID": text}), f"{EDITS}.intelRdt.closID",
    ),
    "a network interface is named": without("netDevices", "hostInterfaceName", name="a"),
    "a network interface has a name inside": without("netDevices", "name", hostInterfaceName="a"),
    "a network interface is there once": twice("hostInterfaceName", "name"),
    "a name of a network interface is there once": twice("name", "hostInterfaceName"),
    "every key is known": (put("containerEdits", "zzz"), st.sampled_from([None, 1, "a", [], {}]), "containerEdits.zzz"),
    "a list is a list": (put("containerEdits", "mounts"), st.sampled_from([{}, "a", 1, True]), "containerEdits.mounts"),
    "an object is an object": (put("containerEdits"), st.sampled_from([[], "a", 1, [{}]]), "containerEdits"),
    "a text is no object": (put("kind"), st.sampled_from([[], {}, ["a"]]), "kind"),
    "no node is null": (edit("deviceNodes"), st.just([None]), f"{EDITS}.deviceNodes[0]"),
    "no mount is null": (edit("mounts"), st.just([None]), f"{EDITS}.mounts[0]"),
    "no hook is null": (edit("hooks"), st.just([None]), f"{EDITS}.hooks[0]"),
    "no network interface is null": (edit("netDevices"), st.just([None]), f"{EDITS}.netDevices[0]"),
}  # fmt: skip


@pytest.mark.parametrize("rule", RULES)
@settings(max_examples=12)
@given(document=documents(), data=st.data())
def test_a_document_that_breaks_a_rule_is_refused_with_the_place(rule, document, data):
    change, values, place = RULES[rule]
    change(document, data.draw(values))
    spec, findings = decode_valid(document)
    assert spec is None
    assert place in [finding.place for finding in findings]
    assert {finding.severity for finding in findings} == {"fatal"}


NEEDS = {
    "0.4.0": {"mounts": [{"hostPath": "a", "containerPath": "b", "type": "bind"}]},
    "0.5.0": {"deviceNodes": [{"path": "/d", "hostPath": "/e"}]},
    "0.7.0": {"additionalGids": [1]},
    "1.1.0": {"netDevices": [{"hostInterfaceName": "a", "name": "b"}]},
}


@given(st.sampled_from(sorted(NEEDS)), st.sampled_from(KNOWN_VERSIONS), device_names)
def test_a_version_must_not_be_older_than_the_newest_feature_in_the_document(needed, version, name):
    document = {
        "cdiVersion": version,
        "kind": "a.b/cc",
        "devices": [{"name": f"d{name}", "containerEdits": NEEDS[needed]}],
    }
    spec, findings = decode_valid(document)
    new_enough = KNOWN_VERSIONS.index(version) >= KNOWN_VERSIONS.index(needed)
    assert (spec is not None) is new_enough
    assert [finding.place for finding in findings] == ([] if new_enough else ["cdiVersion"])


@given(documents(), st.integers(0, 2))
def test_a_device_name_that_occurs_twice_is_refused(document, index):
    twin = dict(document["devices"][min(index, len(document["devices"]) - 1)])
    document["devices"].append(twin)
    spec, findings = decode_valid(document)
    assert spec is None
    assert [finding.place for finding in findings] == [f"devices[{len(document['devices']) - 1}].name"]
