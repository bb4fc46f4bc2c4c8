import pytest

from cdi_refreshd.core.cdi.decode import decode
from cdi_refreshd.core.cdi.scalars import key_of, resolve, text_of

NODE = "devices[0].containerEdits.deviceNodes[0]"


def with_edits(**edits):
    return {"devices": [{"name": "a", "containerEdits": edits}]}


def rdt(**keys):
    return {"containerEdits": {"intelRdt": keys}}


def edits_of(data):
    spec, findings = decode(data)
    assert findings == []
    return spec.devices[0].container_edits


def faults(data):
    spec, findings = decode(data)
    assert spec is None
    return [str(finding) for finding in findings]


SCALARS = [
    ("1.10", 1.1, "1.1"), ("1.0", 1.0, "1"), ("1e21", 1e21, "1e+21"), ("1e39", 1e39, "+Inf"),
    ("-.inf", None, "-Inf"), ("100000.0", 1e5, "100000"), ("1000000.0", 1e6, "1e+06"),
    ("123456789.0", 123456789.0, "1.2345679e+08"), ("0.0001", 1e-4, "0.0001"), ("0.00001", 1e-5, "1e-05"),
    ("-0.0", -0.0, "-0"), ("16777217.0", None, "1.6777216e+07"), ("1.", 1.0, "1"), (".5", 0.5, "0.5"),
    ("08", 8.0, "8"), ("0666", 438, "438"), ("0o666", 438, "438"), ("0b11", 3, "3"), ("0x1f", 31, "31"),
    ("1_000", 1000, "1000"), ("+5", 5, "5"), ("-0x10", -16, "-16"), ("00", 0, "0"), ("-0", 0, "0"),
    ("18446744073709551615", 2**64 - 1, "18446744073709551615"),
    ("18446744073709551616", 2.0**64, "1.8446744e+19"), ("yes", True, "true"), ("y", True, "true"),
    ("Off", False, "false"), ("N", False, "false"), ("TRUE", True, "true"), ("tRUE", "tRUE", "tRUE"),
    ("1:30", "1:30", "1:30"), ("2024-01-01", "2024-01-01", "2024-01-01"), ("1e400", "1e400", "1e400"),
    ("0.5.0", "0.5.0", "0.5.0"), ("-", "-", "-"), (".", ".", "."), ("0x", "0x", "0x"), ("1e", "1e", "1e"),
    ("٣", "٣", "٣"), ("1٣", "1٣", "1٣"), ("9" * 5000, "9" * 5000, "9" * 5000), ("1" * 40, None, "+Inf"),
]  # fmt: skip


@pytest.mark.parametrize(("plain", "value", "text"), SCALARS)
def test_a_plain_scalar_is_read_as_gos_yaml_reads_it(plain, value, text):
    if value is not None:
        assert repr(resolve(plain)) == repr(value)
    assert text_of(resolve(plain)) == text


@pytest.mark.parametrize("plain", ["", "~", "null", "Null", "NULL"])
def test_null_has_five_spellings(plain):
    assert resolve(plain) is None
    assert resolve("nULL") == "nULL"


def test_a_key_that_is_not_a_string_becomes_one():
    assert [key_of(resolve(text)) for text in ("1", "1.50", "yes", ".inf", "-.inf", ".nan")] == [
        "1", "1.5", "true", ".inf", "-.inf", ".nan",
    ]  # fmt: skip


def test_scalars_become_strings_where_strings_are_expected():
    edits = edits_of(with_edits(hooks=[{"hookName": "x", "path": True, "args": ["a", 1, False, 1.5, None]}]))
    assert edits.hooks[0].args == ("a", "1", "false", "1.5", "")
    assert edits.hooks[0].path == "true"
    assert decode({"annotations": {"b": 1, "a": None}})[0].annotations == (("a", ""), ("b", "1"))


def test_keys_match_in_any_letter_case_and_the_later_spelling_counts():
    assert decode({"KIND": "a", "\u017fomething": 1})[0] is None
    assert decode({"\u212aind": "a/b"})[0].kind == "a/b"
    assert decode({"KIND": "a", "kind": "b"})[0].kind == "b"
    assert decode({"kind": "b", "KIND": "a"})[0].kind == "b"
    assert edits_of(with_edits(additionalGIDs=[1])).additional_gids == (1,)


@pytest.mark.parametrize(
    ("number", "value"), [(195.0, 195), (1e3, 1000), (-0.0, 0), *((n, n) for n in (-1, 2**63 - 1, -(2**63)))]
)
def test_a_float_without_a_fraction_is_a_whole_number(number, value):
    assert edits_of(with_edits(deviceNodes=[{"major": number}])).device_nodes[0].major == value


NO_INT64 = ["195", 195.5, 2**63, -(2**63) - 1, 1e19, 1e21, 2.0**63, True, [], {}, float("nan"), float("inf")]


@pytest.mark.parametrize("number", NO_INT64, ids=str)
def test_a_number_beyond_64_bits_is_not_a_major(number):
    (line,) = faults(with_edits(deviceNodes=[{"major": number}]))
    assert line.startswith(f"{NODE}.major: must be ")


@pytest.mark.parametrize("key", ["uid", "gid", "fileMode"])
@pytest.mark.parametrize("number", [-1, 2**32, -0.0, "0", False])
def test_a_number_beyond_32_bits_is_not_an_id(key, number):
    (line,) = faults(with_edits(deviceNodes=[{key: number}]))
    assert line.startswith(f"{NODE}.{key}: must be ")


def test_null_is_the_same_as_nothing():
    assert decode({"kind": None, "devices": None, "containerEdits": None, "annotations": None}) == decode({})
    assert edits_of(with_edits(deviceNodes=[{"path": None, "major": None, "uid": None}])) == edits_of(
        with_edits(deviceNodes=[{}])
    )
    assert edits_of(with_edits(intelRdt=None)).intel_rdt is None
    assert edits_of(with_edits(intelRdt={"schemata": None})).intel_rdt.schemata is None
    assert edits_of(with_edits(intelRdt={"schemata": []})).intel_rdt.schemata == ()
    assert edits_of(with_edits(additionalGids=[None, 1])).additional_gids == (0, 1)
    assert decode({"devices": [None]})[1] == []


@pytest.mark.parametrize("key", ["deviceNodes", "mounts", "hooks", "netDevices"])
def test_a_null_element_that_would_crash_a_runtime_is_refused(key):
    (line,) = faults(with_edits(**{key: [{}, None]}))
    assert line == f"devices[0].containerEdits.{key}[1]: must not be null: it crashes container runtimes"


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (None, "document: holds nothing; a CDI document has cdiVersion, kind and devices"),
        ([], "document: must be an object with keys, not a list"),
        ("x", "document: must be an object with keys, not 'x'"),
        ({"devices": {}}, "devices: must be a list, not an object"),
        ({"devices": ["a"]}, "devices[0]: must be an object with keys, not 'a'"),
        ({"containerEdits": []}, "containerEdits: must be an object with keys, not a list"),
        ({"containerEdits": {"env": "A=b"}}, "containerEdits.env: must be a list, not 'A=b'"),
        ({"containerEdits": {"env": [["A=b"]]}}, "containerEdits.env[0]: must be text, not a list"),
        (rdt(enableMonitoring=1), "containerEdits.intelRdt.enableMonitoring: must be true or false, not 1"),
        (rdt(enableCMT=1), "containerEdits.intelRdt.enableCMT: unknown key: CDI 1.1.0 removed it; remove it"),
        ({"containerEdits": {"mount": []}}, "containerEdits.mount: unknown key; did you mean mounts?"),
        ({"annotations": {"a": {}}}, "annotations['a']: must be text, not an object"),
        ({"kind": {}}, "kind: must be text, not an object"),
    ],
    ids=str,
)  # fmt: skip
def test_a_wrong_shape_is_reported_with_its_place(data, line):
    assert faults(data) == [line]
