"""Files that should be CDI documents: their size is limited, and nothing of any other file is printed."""

import re

import pytest
import yaml

from cdi_refreshd.commands.list import run as list_devices
from cdi_refreshd.commands.validate import run
from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.encode import to_yaml
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Spec
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import yaml_file

GOOD = b"cdiVersion: 0.5.0\nkind: a.b/cc\ndevices: [{name: '0', containerEdits: {env: [A=b]}}]\n"


@pytest.mark.parametrize(
    "text",
    [
        "root:$6$salt$secret:19000:0:99999:7:::\ndaemon:*:19000:0:99999:7:::\n",
        "password: secret\n",
        "secret: {",
        "*secret",
        "- !!int secret\n",
        "{secret: 1, secret: 1}",
        "apiVersion: v1\nkind: Secret\ndata: {a: secret}\n",
        "cdiVersion: secret\npassword: secret\n",
    ],
)
def test_a_file_that_is_not_a_cdi_document_is_one_line_without_its_content(text, tmp_path, capsys):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    for command, argv in ((run, [str(path)]), (list_devices, ["--spec-dir", str(tmp_path)])):
        command(argv)
        out, err = capsys.readouterr()
        assert out == ""
        assert "is not a CDI document" in err
        assert err.count("\n") == 1
        assert "secret" not in err


def test_keys_and_values_in_messages_are_cut_and_escaped(tmp_path, capsys):
    path = tmp_path / "x.yaml"
    long = "k" * 500
    path.write_text(f'cdiVersion: 0.5.0\nkind: {long}\n"{long}\\e[31m": 1\n"b\\n\\e": 1\ndevices: []\n')
    assert run([str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[1] == f"{path}: {'k' * 64}...: unknown key"
    assert lines[0] == f"{path}: b\\n\\x1b: unknown key"


def test_a_document_with_a_thousand_mistakes_is_reported_in_a_few_lines(tmp_path, capsys):
    path = tmp_path / "x.yaml"
    path.write_text("cdiVersion: 0.5.0\nkind: a.b/cc\n" + "".join(f"k{n}: 1\n" for n in range(1000)))
    assert run([str(path)]) == 1
    lines = capsys.readouterr().err.splitlines()
    assert (len(lines), lines[-1]) == (21, f"{path}: document: has 980 more such errors")


@pytest.mark.parametrize(
    ("behind", "line"),
    [
        ("", 0),
        ("# end\n\n", 0),
        ("...\n", 0),
        ("...\n# end\n---\n", 0),
        ("---\na: 1\n", 5),
        ("...\n\nkind: x\n", 6),
        ("--- {a: 1}\n", 4),
        ("---\n[\n", 5),
    ],
)
def test_text_after_the_first_document_is_reported_with_its_line(behind, line):
    text = "\ufeffa: 1\nb: 'ü'\nc: 3\n" + behind
    assert yaml_file.document(text.encode(), "x") == ({"a": 1, "b": "ü", "c": 3}, line)


def test_text_after_json_is_reported_with_its_line():
    assert yaml_file.document(b'{"a": 1}\n garbage', "x").unread_line == 2
    assert yaml_file.document(b'{"a": 1} garbage', "x").unread_line == 1
    assert yaml_file.document(b'{"a": 1}\n', "x").unread_line == 0


def test_validate_reports_the_line_after_which_nothing_is_read(tmp_path, capsys):
    path = tmp_path / "x.yaml"
    path.write_bytes(GOOD + b"\n---\nkind: a\n")
    assert run([str(path)]) == 0
    assert re.search(r"1 device; nothing after line \d+ is read\n$", capsys.readouterr().out)


LARGEST = Spec(
    "nvidia.com/gpu",
    tuple(
        Device(name, ContainerEdits(device_nodes=tuple(
            DeviceNode(f"/dev/nvidia-caps/nvidia-cap{minor}", "", "", 510, minor, 0o666, "rwm")
            for minor in (gpu * 135, gpu * 135 + each * 9 + 1, gpu * 135 + each * 9 + 2)
        )))
        for gpu in range(64) for each in range(7)
        for name in (f"{gpu}:{each}", f"MIG-{gpu:08x}-0000-4000-8000-{each:012x}", f"mig{gpu}:{each}")
    ),
    cdi_version="0.5.0",
)  # fmt: skip


def test_a_spec_of_64_gpus_with_seven_slices_each_is_read_with_room_to_spare():
    data = to_yaml(LARGEST)
    assert 400_000 < len(data) < yaml_file.SIZE_LIMIT_BYTES / 2
    assert decode_valid(yaml_file.document(data, "x").value)[0] == LARGEST
    nodes = sum(1 for event in yaml.parse(data, yaml.CSafeLoader) if not isinstance(event, yaml.CollectionEndEvent))
    assert nodes < yaml_file.NODES_AT_MOST / 2


def test_a_document_of_more_values_than_any_spec_has_is_refused_before_it_is_all_parsed():
    head = "cdiVersion: 0.5.0\nkind: a.b/cc\ndevices:\n"
    with pytest.raises(Fault, match="line 199997: more than 200000 values"):
        yaml_file.document((head + "- a\n" * 400_000).encode(), "x")
    aliased = f"x: &a [{'1,' * 90_000}]\nkind: a\ncdiVersion: [{'*a,' * 5}]\n"
    with pytest.raises(Fault, match="aliases make more than 400000 values"):
        yaml_file.document(aliased.encode(), "x")
