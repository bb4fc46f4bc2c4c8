import json
import os

import pytest

from cdi_refreshd.commands.list import run


@pytest.fixture
def machine(tmp_path):
    """Two spec directories, and a way to put specs into them."""

    class Machine:
        low, high = tmp_path / "low", tmp_path / "high"

        def put(self, directory, name, *devices, kind="example.org/card"):
            directory.mkdir(exist_ok=True)
            listed = [{"name": device, "containerEdits": {"env": [f"FROM={name}"]}} for device in devices]
            path = directory / name
            path.write_text(json.dumps({"cdiVersion": "0.5.0", "kind": kind, "devices": listed}))
            return str(path)

        def argv(self, *more):
            return ["--spec-dir", str(self.low), "--spec-dir", str(self.high), *more]

    return Machine()


def listed(machine, capsys):
    assert run(machine.argv()) == 0
    out, err = capsys.readouterr()
    return dict(line.split("\t") for line in out.splitlines()), err


def states(machine, capsys):
    assert run(machine.argv("--json")) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == 1
    return {(entry["name"].partition("=")[2], entry["file"]): entry["state"] for entry in document["devices"]}


def test_names_are_sorted_and_each_comes_with_its_file(machine, capsys):
    b = machine.put(machine.low, "b.json", "9", "10")
    a = machine.put(machine.low, "a.yaml", "all", kind="example.org/zoo")
    assert run(machine.argv()) == 0
    out, err = capsys.readouterr()
    assert out == f"example.org/card=10\t{b}\nexample.org/card=9\t{b}\nexample.org/zoo=all\t{a}\n"
    assert err == ""


def test_the_later_directory_wins_and_devices_of_only_the_earlier_one_stay(machine, capsys):
    low = machine.put(machine.low, "x.json", "0", "old")
    high = machine.put(machine.high, "y.json", "0")
    found, err = listed(machine, capsys)
    assert found == {"example.org/card=0": high, "example.org/card=old": low}
    assert err == f"info      {low}: {high} wins for example.org/card=0; remove the file that is not needed\n"
    assert states(machine, capsys) == {("0", low): "shadowed", ("0", high): "ok", ("old", low): "ok"}


def test_a_device_that_two_files_of_one_directory_define_is_unavailable(machine, capsys):
    a = machine.put(machine.high, "a.json", "0", "only")
    b = machine.put(machine.high, "b.yaml", "0")
    found, err = listed(machine, capsys)
    assert found == {"example.org/card=only": a}
    fact = f"defines the same devices as {b}, so no container gets example.org/card=0"
    assert err == f"fatal     {a}: {fact}; remove one of the files\n"
    assert states(machine, capsys) == {("0", a): "conflict", ("0", b): "conflict", ("only", a): "ok"}


def test_a_conflict_in_an_earlier_directory_hides_the_good_definition_in_a_later_one(machine, capsys):
    a, b = machine.put(machine.low, "a.json", "0"), machine.put(machine.low, "b.json", "0")
    good = machine.put(machine.high, "c.json", "0")
    assert listed(machine, capsys)[0] == {}
    assert states(machine, capsys) == dict.fromkeys([("0", a), ("0", b), ("0", good)], "conflict")


def test_many_devices_of_the_same_two_files_are_one_line(machine, capsys):
    for directory in (machine.low, machine.high):
        machine.put(directory, "a.json", *map(str, range(9)))
    err = listed(machine, capsys)[1]
    assert err.count("\n") == 1
    assert "and 6 more" in err


def test_only_files_with_the_two_extensions_are_read_and_those_with_a_leading_dot_too(machine, capsys):
    for number, name in enumerate(["a.yml", "a.YAML", "a.json.tmp", "a.yaml~", "yaml"]):
        machine.put(machine.low, name, f"no{number}")
    machine.put(machine.low, ".json", "dot")
    machine.put(machine.low, ".hidden.yaml", "hidden")
    (machine.low / "sub.yaml").mkdir()
    machine.put(machine.low / "sub.yaml", "a.yaml", "deep")
    found, err = listed(machine, capsys)
    assert sorted(found) == ["example.org/card=dot", "example.org/card=hidden"]
    assert err == ""


def test_a_broken_file_is_reported_and_harms_no_other(machine, capsys):
    good = machine.put(machine.low, "b.json", "0")
    (machine.low / "a.json").write_text("{")
    (machine.low / "c.json").write_text('{"kind": "a b/cc"}')
    os.symlink("nowhere", machine.low / "d.json")
    os.mkfifo(machine.low / "e.json")
    os.symlink(machine.low, machine.low / "f.json")
    found, err = listed(machine, capsys)
    assert found == {"example.org/card=0": good}
    for name in "acdef":
        assert f"{machine.low}/{name}.json: " in err
    run(machine.argv("--json"))
    errors = json.loads(capsys.readouterr().out)["errors"]
    assert {os.path.basename(error["file"]) for error in errors} == {f"{name}.json" for name in "acdef"}


def test_a_missing_directory_is_fine(machine, capsys):
    found, err = listed(machine, capsys)
    assert (found, err.startswith("cdi-refreshd: no CDI device in "), err.count("\n")) == ({}, True, 1)


def test_a_spec_directory_that_is_a_symbolic_link_is_not_read_since_runtimes_do_not(machine, capsys, tmp_path):
    machine.put(machine.low, "a.json", "0")
    os.symlink(machine.low, machine.high)
    machine.low = tmp_path / "none"
    found, err = listed(machine, capsys)
    assert found == {}
    assert f"{machine.high}: is a symbolic link" in err
