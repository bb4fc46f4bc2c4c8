import contextlib
import os
import time

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from cdi_refreshd.commands.validate import run
from cdi_refreshd.core.cdi.decode import decode, decode_valid
from cdi_refreshd.core.cdi.encode import to_json, to_yaml
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import yaml_file
from tests.unit.core.cdi.specs import specs


@pytest.fixture(params=["C", "Python"], autouse=True, scope="module")
def parser(request):
    """Once with libyaml's parser, and once as if PyYAML had been built without it."""
    with pytest.MonkeyPatch.context() as patch:
        if request.param == "Python":
            patch.delattr(yaml, "CSafeLoader", raising=False)
        yield request.param


def parse(text):
    return yaml_file.parse(text if isinstance(text, bytes) else text.encode(), "x.yaml")


def fault(text):
    with pytest.raises(Fault) as caught:
        parse(text)
    assert caught.value.finding.place == "x.yaml"
    assert "\n" not in str(caught.value)
    return caught.value.finding.fact


@given(specs)
def test_a_written_spec_reads_back_as_the_same_spec(spec):
    assert decode(yaml_file.parse(to_yaml(spec), "x")) == (spec, [])
    # JSON has no way to write a key that is too long for a YAML parser.
    if all(len(key) < 1000 for record in (spec, *spec.devices) for key, _ in record.annotations):
        assert decode(yaml_file.parse(to_json(spec), "x")) == (spec, [])


GOOD = to_yaml(
    decode(
        {
            "cdiVersion": "1.1.0",
            "kind": "example.org/card",
            "devices": [{"name": "0", "containerEdits": {"deviceNodes": [{"path": "/dev/x", "major": 1}]}}],
            "containerEdits": {"hooks": [{"hookName": "prestart", "path": "/x", "args": ["a", "b"]}]},
        }
    )[0]
)


@settings(max_examples=300)
@given(st.data())
def test_a_damaged_document_gives_a_verdict_or_a_fault_and_nothing_else(data):
    document = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(document)))
        length = data.draw(st.integers(0, 5))
        piece = st.binary(max_size=3) | st.sampled_from(
            [
                b"null",
                b"*a",
                b"&a ",
                b"<<: ",
                b"!!int ",
                b"!x ",
                b"[",
                b"{",
                b"]",
                b"}",
                b"- ",
                b"\n",
                b": ",
                b"?",
                b"|\n",
                b'"',
                b"'",
                b"---\n",
                b"...",
                b"%YAML 1.1\n",
                b"\xef\xbb\xbf",
                b'"\\ud800"',
                b'"\\U99999999"',
                b"1e999",
                b".nan",
                b"\t",
                b"#",
            ]
        )
        document[at : at + length] = data.draw(piece)
    try:
        spec, findings = decode_valid(yaml_file.parse(bytes(document), "x"))
    except Fault:
        return
    assert (spec is None) == bool(findings)
    assert all(str(finding).isprintable() for finding in findings)


@given(st.binary(max_size=40) | st.text("{}[]:,-?!&*#|>'\"%@ \n\tab<0.", max_size=40).map(str.encode))
def test_any_bytes_give_data_or_a_fault(data):
    with contextlib.suppress(Fault):
        decode_valid(yaml_file.parse(data, "x"))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only\n", None),
        ("---\n", None),
        ("null", None),
        ("---\na: 1\n---\n{{{{", {"a": 1}),
        ('{"a": 1} xx', {"a": 1}),
        ('{"a": 1, # so\n "b": 2}', {"a": 1, "b": 2}),
        ("\ufeffa: 1", {"a": 1}),
        ("a: 2024-01-01", {"a": "2024-01-01"}),
        ("a: 1:30", {"a": "1:30"}),
        ("a: y", {"a": True}),
        ('a: "y"', {"a": "y"}),
        ("a: 0o17", {"a": 15}),
        ("a: 08", {"a": 8.0}),
        ("a: '0'", {"a": "0"}),
        ("a: =", {"a": "="}),
        ("a: |\n  1\n", {"a": "1\n"}),
        ("a: !!str 1", {"a": "1"}),
        ("a: !x 1", {"a": "1"}),
        ("a: !!int '1'", {"a": 1}),
        ("a: !!float 1", {"a": 1.0}),
        ("a: !x [1]", {"a": [1]}),
        ("a: !!binary YQ==", {"a": "a"}),
        ("a: &x 1\nb: *x", {"a": 1, "b": 1}),
        ("a: &x 1\nb: &x 2\nc: *x", {"a": 1, "b": 2, "c": 2}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
        ("<<: [{a: 1}, {b: 2}]", {"a": 1, "b": 2}),
        ('"<<": 1', {"<<": 1}),
        ("1: a", {"1": "a"}),
        ("1: a\n'1': b", {"1": "b"}),
        ("yes: a", {"true": "a"}),
        ("1.50: a", {"1.5": "a"}),
        (r'"\u00e9\x41"', "éA"),
        ('"a\\\\/b"', "a\\/b"),
        ("%YAML 1.1\n---\na: 1", {"a": 1}),
        ("a: 1\r\nb: 2\r\n", {"a": 1, "b": 2}),
        ("a: 1".encode("utf-16"), {"a": 1}),
    ],
    ids=ascii,
)
def test_a_document_is_read_as_container_runtimes_read_it(text, value):
    assert parse(text) == value


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a: 1\na: 2", "line 2: 'a' stands there twice"),
        ('{"a": {"b": 1, "b": 1}}', "'b' stands there twice"),
        ("a: &x {b: 1}\nc: {<<: *x, b: 2}", "'b' stands there twice"),
        ("a: &x {b: 1}\nc: {b: 2, <<: *x}", "'b' stands there twice"),
        ("yes: 1\ny: 2", "'true' stands there twice"),
        ("? [a]\n: 1", "a key must be text"),
        ("~: 1", "a key must be text"),
        ("a: *x", "x"),
        ("a: &x [*x]", "levels deep, or an alias within itself"),
        ("<<: 1", "<< takes a mapping"),
        ("<<: [1]", "<< takes a mapping"),
        ("a: !!int b", "'b' is not of type int"),
        ("a: !!binary '*'", "is not base64"),
        ("a: {", "line"),
        ("a: [1\nb: 2", "line"),
        ("a: \0", ""),
        ("a: \x07", ""),
        ("a: \x7f", ""),
        (b"a: \xff", ""),
        ("a:\n\t- 1", ""),
        ("%YAML 1.2\n---\na: 1", "%YAML must say 1.1"),
        (r'"\/dev"', "the escape"),
        ('\ufeff{"a": "\\\\\\/dev"}', "the escape"),
        (r'"\ud83d\ude00"', ""),
        ("[" * 65 + "]" * 65, "more than 64 levels deep"),
    ],
    ids=ascii,
)
def test_a_document_that_container_runtimes_refuse_is_refused_with_the_line(text, words):
    assert words in fault(text)


def test_json_that_is_indented_with_tabs_is_read(parser):
    if parser == "C":  # PyYAML's own parser does not accept a tab as a blank
        assert parse('{\n\t"a": 1\n}') == {"a": 1}


@pytest.mark.parametrize("text", ["[" * 5000, "{a: " * 5000, "".join(" " * n + "a:\n" for n in range(2000))], ids=len)
def test_deep_nesting_is_refused_before_it_can_exhaust_the_stack(text):
    assert fault(text)  # by our own check or by the parser, whichever comes first


def test_aliases_that_expand_to_billions_of_values_are_refused_soon():
    bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
    bomb += "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    assert "aliases" in fault(bomb)
    merges = "a0: &a0 {k: v}\n" + "".join(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}]}}\n" for n in range(1, 60))
    fault(merges)


def test_a_file_that_is_not_regular_is_neither_waited_for_nor_opened(tmp_path, monkeypatch):
    fifo = str(tmp_path / "a.yaml")
    os.mkfifo(fifo)
    start = time.monotonic()
    with pytest.raises(yaml_file.Unreadable, match="is a FIFO, not a regular file"):
        yaml_file.read(fifo)
    assert time.monotonic() - start < 30
    with pytest.raises(yaml_file.Unreadable, match="is a directory"):
        yaml_file.read(str(tmp_path))
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("opening a device can wake it"))
    with pytest.raises(yaml_file.Unreadable, match="is a device node"):
        yaml_file.read("/dev/null")


def test_a_file_that_becomes_a_fifo_after_it_was_inspected_is_refused_without_waiting(tmp_path, monkeypatch):
    regular, fifo = tmp_path / "a.yaml", tmp_path / "b.yaml"
    regular.write_text("a: 1")
    os.mkfifo(fifo)
    probed = os.stat(regular)
    monkeypatch.setattr(os, "stat", lambda *_, **__: probed)
    with pytest.raises(yaml_file.Unreadable, match="is a FIFO"):
        yaml_file.read_bytes(str(fifo))


def test_a_file_that_cannot_be_read_is_reported_with_the_reason(tmp_path, monkeypatch):
    os.symlink("nowhere", tmp_path / "a.yaml")
    os.symlink("b.yaml", tmp_path / "b.yaml")
    with pytest.raises(yaml_file.Unreadable, match="no such file; the symbolic link leads nowhere"):
        yaml_file.read(str(tmp_path / "a.yaml"))
    with pytest.raises(yaml_file.Unreadable, match="circle"):
        yaml_file.read(str(tmp_path / "b.yaml"))
    with pytest.raises(yaml_file.Unreadable, match=r"no such file$"):
        yaml_file.read(str(tmp_path / "c.yaml"))
    with pytest.raises(yaml_file.Unreadable):
        yaml_file.read("a\0b")
    big = tmp_path / "big.yaml"
    big.write_bytes(b"")
    os.truncate(big, yaml_file.SIZE_LIMIT_BYTES + 1)
    with pytest.raises(yaml_file.Unreadable, match="larger than 2097152 bytes"):
        yaml_file.read(str(big))

    def refuse(*_args, **_more):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(yaml_file.Unreadable, match="Permission denied; read it as root"):
        yaml_file.read(str(big))


def test_validate_exits_with_the_worst_status_of_its_files(tmp_path, capsys, monkeypatch):
    good, bad = tmp_path / "good.yaml", tmp_path / "bad.json"
    good.write_bytes(GOOD)
    bad.write_text(
        '{"cdiVersion": "0.5.0", "kind": "aa/bb", "devices": [{"name": "a", "containerEdits": {"env": ["A"]}}]}'
    )
    assert run([str(good)]) == 0
    assert capsys.readouterr().out == f"{good}: valid, cdiVersion 1.1.0, 1 device\n"
    assert run([str(good), str(bad)]) == 1
    out, err = capsys.readouterr()
    assert out.startswith(f"{good}: valid")
    assert err == f"{bad}: devices[0].containerEdits.env[0]: 'A' must be NAME=value\n"
    assert run([str(tmp_path / "none"), str(bad)]) == 2
    with pytest.raises(SystemExit) as caught:
        run([])
    assert caught.value.code == 2
    with open(good) as stdin:
        monkeypatch.setattr("sys.stdin", stdin)
        assert run(["-"]) == 0
