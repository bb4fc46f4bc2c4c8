import pytest

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, IntelRdt, Mount, NetDevice, Spec
from cdi_refreshd.core.cdi.validate import validate
from cdi_refreshd.core.cdi.version import KNOWN_VERSIONS, minimum_version, requirement

FINE = ContainerEdits(env=("A=b",))


def document(edits=None, name="d", version="1.1.0", **more):
    edits = {"env": ["A=b"]} if edits is None else edits
    return {
        "cdiVersion": version,
        "kind": "example.org/card",
        "devices": [{"name": name, "containerEdits": edits}],
        **more,
    }


def places(data):
    spec, findings = decode_valid(data)
    assert (spec is None) == bool(findings)
    assert {finding.severity for finding in findings} <= {"fatal"}
    return [finding.place for finding in findings]


EDITS = "devices[0].containerEdits"
NODE = f"{EDITS}.deviceNodes[0]"
HOOK = f"{EDITS}.hooks[0]"

REFUSED = [
    (document(name="-a"), "devices[0].name"),
    (document(name="a:"), "devices[0].name"),
    (document(name="a\n"), "devices[0].name"),
    (document(name="é"), "devices[0].name"),
    (document(kind="example.org"), "kind"),
    (document(kind="/card"), "kind"),
    (document(kind="example.org/"), "kind"),
    (document(kind="e/card"), "kind"),
    (document(kind="example.org/c"), "kind"),
    (document(kind="example.org/card-"), "kind"),
    (document(kind="exämple.org/card"), "kind"),
    (document(kind="example.org/card\n"), "kind"),
    (document(version="1.1"), "cdiVersion"),
    (document(version="vv1.1.0"), "cdiVersion"),
    (document(version=""), "cdiVersion"),
    (document(devices=[]), "devices"),
    (document({}), EDITS),
    (document({"env": [], "additionalGids": []}), EDITS),
    (document({"env": ["=b"]}), f"{EDITS}.env[0]"),
    (document({"env": ["A=b", None]}), f"{EDITS}.env[1]"),
    (document(containerEdits={"env": ["A"]}), "containerEdits.env[0]"),
    (document({"deviceNodes": [{"path": ""}]}), f"{NODE}.path"),
    (document({"deviceNodes": [{"path": "/dev/x", "type": "bc"}]}), f"{NODE}.type"),
    (document({"deviceNodes": [{"path": "/dev/x", "permissions": "RW"}]}), f"{NODE}.permissions"),
    (document({"deviceNodes": [{"path": "/dev/x", "permissions": "r w"}]}), f"{NODE}.permissions"),
    (document({"mounts": [{"hostPath": "/a"}]}), f"{EDITS}.mounts[0].containerPath"),
    (document({"hooks": [{"hookName": "createcontainer", "path": "/x"}]}), f"{HOOK}.hookName"),
    (document({"hooks": [{"hookName": "prestart"}]}), f"{HOOK}.path"),
    (document({"hooks": [{"hookName": "prestart", "path": "/x", "env": ["="]}]}), f"{HOOK}.env[0]"),
    (document({"intelRdt": {"closID": "x" * 4096}}), f"{EDITS}.intelRdt.closID"),
    (document({"intelRdt": {"closID": "é" * 2048}}), f"{EDITS}.intelRdt.closID"),
    (document({"intelRdt": {"closID": "a\nb"}}), f"{EDITS}.intelRdt.closID"),
    (document({"netDevices": [{"name": "a"}]}), f"{EDITS}.netDevices[0].hostInterfaceName"),
    (document({"netDevices": [{"hostInterfaceName": "a"}]}), f"{EDITS}.netDevices[0].name"),
]  # fmt: skip

ACCEPTED = [
    document(name="a"),
    document(name="0:1.b-c_d"),
    document(kind="Ex_ample/c9"),
    document(kind="example.org/card.fast"),
    document(version="v1.1.0"),
    document({"env": ["A="]}),
    document({"env": ["A==", "a b=c"]}),
    document({"additionalGids": [0]}),
    document({"intelRdt": {}}),
    document({"intelRdt": {"closID": "/"}}),
    document({"intelRdt": {"closID": "x" * 4095}}),
    document({"deviceNodes": [{"path": "relative", "major": -1, "permissions": "mmrwr"}]}),
    document({"mounts": [{"hostPath": "a", "containerPath": "b"}]}),
    document({"hooks": [{"hookName": "prestart", "path": "x", "timeout": -1}]}),
    document({"netDevices": [{"hostInterfaceName": "a", "name": "b"}, {"hostInterfaceName": "b", "name": "a"}]}),
    document(annotations={"": "", "***": "x"}),
]


@pytest.mark.parametrize(("data", "place"), REFUSED, ids=lambda value: None if isinstance(value, dict) else value)
def test_a_fault_is_named_with_its_place(data, place):
    assert places(data) == [place]


@pytest.mark.parametrize("data", ACCEPTED, ids=str)
def test_a_document_that_the_reference_library_accepts_is_accepted(data):
    assert places(data) == []


def test_all_faults_are_reported_not_only_the_first():
    devices = [{"name": "a", "containerEdits": {"env": ["x"]}}, {"name": "a"}]
    assert places(document(version="9", devices=devices)) == [
        "cdiVersion", f"{EDITS}.env[0]", "devices[1].name", "devices[1].containerEdits",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("more", "version", "place"),
    [
        ({}, "0.3.0", ""),
        ({"edits": ContainerEdits(mounts=(Mount("a", "b", type="bind"),))}, "0.4.0", f"{EDITS}.mounts[0].type"),
        ({"name": "0"}, "0.5.0", "devices[0].name"),
        ({"kind": "example.org/a.b"}, "0.6.0", "kind"),
        ({"annotations": (("a", "b"),)}, "0.6.0", "annotations"),
        ({"edits": ContainerEdits(additional_gids=(0,))}, "0.7.0", f"{EDITS}.additionalGids"),
        ({"edits": ContainerEdits(intel_rdt=IntelRdt())}, "0.7.0", f"{EDITS}.intelRdt"),
        ({"edits": ContainerEdits(intel_rdt=IntelRdt(schemata=()))}, "1.1.0", f"{EDITS}.intelRdt"),
        ({"edits": ContainerEdits(intel_rdt=IntelRdt(enable_monitoring=True))}, "1.1.0", f"{EDITS}.intelRdt"),
        ({"edits": ContainerEdits(net_devices=(NetDevice("a", "b"),))}, "1.1.0", f"{EDITS}.netDevices"),
    ],
)  # fmt: skip
def test_a_spec_needs_the_version_of_its_newest_feature_and_no_later(more, version, place):
    device = Device(more.get("name", "d"), more.get("edits", FINE))
    spec = Spec(more.get("kind", "a.b/cc"), (device,), annotations=more.get("annotations", ()))
    assert requirement(spec) == (version, place)
    assert minimum_version(spec) == version
    for candidate in KNOWN_VERSIONS:
        old = KNOWN_VERSIONS.index(candidate) < KNOWN_VERSIONS.index(version)
        assert [f.place for f in validate(spec._replace(cdi_version=candidate))] == ["cdiVersion"] * old


def test_the_features_of_spec_level_edits_count_as_those_of_a_device_do():
    spec = Spec("a.b/cc", (Device("d", FINE),), ContainerEdits(additional_gids=(1,)))
    assert requirement(spec) == ("0.7.0", "containerEdits.additionalGids")


def test_a_version_that_is_too_old_is_reported_with_the_needed_one_and_the_reason():
    _, findings = decode_valid(document({"additionalGids": [5]}, version="0.5.0"))
    assert [str(finding) for finding in findings] == [
        "cdiVersion: 0.5.0 is too old; needs cdiVersion 0.7.0 or later: "
        "devices[0].containerEdits.additionalGids is not in 0.5.0"
    ]
