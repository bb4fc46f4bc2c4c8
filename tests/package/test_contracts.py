"""Every JSON document is valid by its schema, and has no key that the schema does not describe."""

import copy
import json
import shutil
import sys
from pathlib import Path

import pytest

from tests.behaviour.daemon.running import CASE, Running
from tests.machine import booted

jsonschema = pytest.importorskip("jsonschema")
SCHEMAS = Path(__file__).parents[2] / "cdi_refreshd/schemas"
NAMES = sorted(path.name for path in SCHEMAS.glob("*.json"))
PROGRAM = [sys.executable, "-m", "cdi_refreshd"]
LEFTOVER = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n- name: '0'\n  containerEdits:\n    env: [A=B]\n"


def schema(name):
    return json.loads((SCHEMAS / f"{name}-1.schema.json").read_text())


def closed(part):
    """The same schema, where a key that it does not describe is an error."""
    part = copy.deepcopy(part)
    if isinstance(part, dict):
        if "properties" in part:
            part.setdefault("additionalProperties", False)
        return {key: closed(value) for key, value in part.items()}
    return [closed(entry) for entry in part] if isinstance(part, list) else part


def hold(name, document):
    jsonschema.Draft202012Validator(closed(schema(name))).validate(document)


@pytest.mark.parametrize("name", NAMES)
def test_each_schema_is_valid_and_its_name_has_the_version_of_its_document(name):
    document = json.loads((SCHEMAS / name).read_text())
    jsonschema.Draft202012Validator.check_schema(document)
    stem, _, version = name.removesuffix(".schema.json").rpartition("-")
    assert document["$id"] == f"urn:cdi-refreshd:{stem}:{version}"
    assert document["properties"]["version"]["const"] == int(version)


def test_the_documentation_names_every_schema():
    text = (SCHEMAS.parents[1] / "docs/json.md").read_text()
    assert [name for name in NAMES if f"`{name}`" not in text] == []


def test_a_document_with_an_undescribed_key_fails_its_schema():
    document = {"version": 1, "devices": [], "errors": []}
    hold("list", document)
    with pytest.raises(jsonschema.ValidationError):
        hold("list", {**document, "more": 1})


@pytest.fixture(scope="module")
def host():
    with booted(CASE) as machine:
        machine.run([*PROGRAM, "oneshot"], check=True)
        yield machine


def printed(machine, *words):
    done = machine.run([*PROGRAM, *words])
    return done.returncode, json.loads(done.stdout)


@pytest.mark.root
def test_list_check_and_config_match_their_schemas(host):
    host.path("/etc/cdi").mkdir(exist_ok=True)
    host.path("/etc/cdi/nvidia.yaml").write_text(LEFTOVER)
    host.path("/etc/cdi/broken.yaml").write_text("{")
    host.path("/etc/cdi-refreshd").mkdir(exist_ok=True)
    host.path("/etc/cdi-refreshd/cdi-refreshd.conf").write_text("[daemon]\nsweep = 1min\nnonsense = 1\n")
    try:
        _, listed = printed(host, "list", "--json")
        _, checked = printed(host, "check", "--json", "--level", "info")
        _, configured = printed(host, "config", "--json")
    finally:
        shutil.rmtree(host.path("/etc/cdi"))
        shutil.rmtree(host.path("/etc/cdi-refreshd"))
    assert {one["state"] for one in listed["devices"]} == {"ok", "shadowed"} and listed["errors"]
    assert checked["findings"] and configured["findings"]
    hold("list", listed)
    hold("check", checked)
    hold("config", configured)


@pytest.mark.root
def test_a_bundle_matches_its_schema(host):
    _, document = printed(host, "bundle")
    assert document["files"] and document["procfs"] and document["pci"]
    hold("bundle", document)


@pytest.mark.root
def test_diff_as_json_has_the_changes_and_matches_its_schema(host):
    status, same = printed(host, "diff", "--json")
    hold("diff", same)
    assert (status, same["status"], same["changes"]) == (0, 0, [])
    host.path("/dev/nvidia1").unlink()
    status, changed = printed(host, "diff", "--json")
    host.become(CASE | {"gpus": []})
    host.become(CASE)
    hold("diff", changed)
    assert (status, changed["status"]) == (1, 1)
    assert "nvidia.com/gpu=1 is removed" in changed["changes"]


@pytest.mark.root
def test_the_daemons_state_file_matches_its_schema_in_several_states():
    with booted(CASE) as machine:
        running = Running(machine)
        try:
            running.until_passes(1)
            hold("state", running.state())
            machine.path("/dev/nvidia1").unlink()
            running.until(lambda: running.state()["state"] == "degraded")
            assert running.state()["findings"]
            hold("state", running.state())
            machine.become(CASE | {"gpus": []})
            running.until(lambda: running.state()["state"] == "no-gpu")
            hold("state", running.state())
            hold("state", printed(machine, "status", "--json")[1])
        finally:
            running.close()
        hold("state", json.loads(machine.path("/run/cdi-refreshd/state.json").read_text()))
