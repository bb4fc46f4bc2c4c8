import json
import subprocess
import sys

import pytest
import yaml
from hypothesis import given

from cdi_refreshd.core.cdi.encode import plain, to_json, to_yaml
from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, IntelRdt, Mount, Spec
from cdi_refreshd.core.findings import Fault

from .specs import AWKWARD, specs, texts

LOADERS = [yaml.SafeLoader] + ([yaml.CSafeLoader] if hasattr(yaml, "CSafeLoader") else [])


def one(text):
    return Spec("a/b", (Device("x", ContainerEdits(env=(text,))),), annotations=((text, text),))


@given(specs)
def test_every_yaml_reader_gives_back_the_document_that_was_written(spec):
    for loader in LOADERS:
        assert yaml.load(to_yaml(spec), loader) == plain(spec)


@given(specs)
def test_json_gives_back_the_document_that_was_written(spec):
    assert json.loads(to_json(spec)) == plain(spec)
    assert list(json.loads(to_json(spec))) == list(plain(spec))


@pytest.mark.parametrize("text", AWKWARD, ids=ascii)
def test_an_awkward_text_stays_the_text_it_is(text):
    for loader in LOADERS:
        assert yaml.load(to_yaml(one(text)), loader) == plain(one(text))


@given(texts)
def test_any_text_is_read_back_unchanged(text):
    for loader in LOADERS:
        assert yaml.load(to_yaml(one(text)), loader) == plain(one(text))


def test_the_layout_is_that_of_nvidia_ctk():
    hook = Hook("createContainer", "/usr/bin/nvidia-cdi-hook", ("nvidia-cdi-hook", "--link", "a.so.1::/lib/a.so"))
    spec = Spec(
        kind="nvidia.com/gpu",
        cdi_version="0.5.0",
        devices=(
            Device(
                "0", ContainerEdits(device_nodes=(DeviceNode("/dev/nvidia0", major=195, file_mode=438),), hooks=(hook,))
            ),
            Device("all", ContainerEdits()),
        ),
        container_edits=ContainerEdits(
            env=("NVIDIA_VISIBLE_DEVICES=void",), mounts=(Mount("/lib/a.so", "/lib/a.so", ("ro", "rbind")),)
        ),
    )
    assert (
        to_yaml(spec).decode()
        == """\
---
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices:
    - name: "0"
      containerEdits:
        deviceNodes:
            - path: /dev/nvidia0
              major: 195
              fileMode: 438
        hooks:
            - hookName: createContainer
              path: /usr/bin/nvidia-cdi-hook
              args:
                - nvidia-cdi-hook
                - --link
                - a.so.1::/lib/a.so
    - name: all
      containerEdits: {}
containerEdits:
    env:
        - NVIDIA_VISIBLE_DEVICES=void
    mounts:
        - hostPath: /lib/a.so
          containerPath: /lib/a.so
          options:
            - ro
            - rbind
"""
    )


def test_json_is_one_line_without_an_end_of_line():
    assert to_json(one("A=b")) == (
        b'{"cdiVersion":"","kind":"a/b","annotations":{"A=b":"A=b"},'
        b'"devices":[{"name":"x","containerEdits":{"env":["A=b"]}}]}'
    )


def test_empty_values_are_left_out_and_explicit_empty_ones_kept():
    assert plain(Spec("a/b", ())) == {"cdiVersion": "", "kind": "a/b", "devices": []}
    assert plain(DeviceNode("/dev/x")) == {"path": "/dev/x"}
    assert plain(DeviceNode("/dev/x", uid=0, gid=0, file_mode=0)) == {
        "path": "/dev/x",
        "fileMode": 0,
        "uid": 0,
        "gid": 0,
    }
    assert plain(ContainerEdits(intel_rdt=IntelRdt())) == {"intelRdt": {}}
    assert plain(ContainerEdits(intel_rdt=IntelRdt(schemata=()))) == {"intelRdt": {"schemata": []}}


@pytest.mark.parametrize("write", [to_yaml, to_json])
def test_a_file_name_with_stray_bytes_is_named_instead_of_written(write):
    with pytest.raises(Fault, match=r"^annotations\.'\\udcff|^annotations\..*udcff.*is not valid UTF-8"):
        write(one("\udcff"))
    node = Spec("a/b", (Device("x", ContainerEdits(device_nodes=(DeviceNode("/dev/\udcff"),))),))
    with pytest.raises(Fault, match=r"^devices\[0\]\.containerEdits\.deviceNodes\[0\]\.path: '/dev/\\udcff'"):
        write(node)


def test_encoding_a_spec_imports_neither_pyyaml_nor_json():
    heavy = "('yaml', 'json', 'dataclasses')"
    code = f"import sys, cdi_refreshd.core.cdi.encode; print(*(m for m in {heavy} if m in sys.modules))"
    done = subprocess.run([sys.executable, "-S", "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == ""
