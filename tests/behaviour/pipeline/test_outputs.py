"""Where a spec is written, in which form, and how many of them."""

import json

import pytest
import yaml

from .hosts import GPU, PUBLISHED, case, lines

pytestmark = pytest.mark.root

COHERENT = case({"addressing": 2}, {"addressing": 0}, {"mig": [[1, 0]]})
FLAG = ["--feature-flag", "enable-coherent-annotations"]


@pytest.mark.parametrize(
    ("words", "path", "form", "warning"),
    [
        (["--output", "/run/o/x.yaml"], "/run/o/x.yaml", "yaml", ""),
        (["--output", "/run/o/x.json"], "/run/o/x.json", "json", ""),
        (["--output", "/run/o/x.yml"], "/run/o/x.yml", "yaml", "/run/o/x.yml: runtimes read .yaml and .json, not .yml"),
        (["--output", "/run/o/x"], "/run/o/x.yaml", "yaml", ""),
        (["--output", "/run/o/x", "--format", "json"], "/run/o/x.json", "json", ""),
        (["--output", "/run/o/x", "--format", "YAML"], "/run/o/x.yaml", "yaml", ""),
        (["--output", "/run/o/x.JSON"], "/run/o/x.JSON.yaml", "yaml", ""),
        (["--output", "/run/o.d/x"], "/run/o.d/x.yaml", "yaml", ""),
        (
            ["--output", "/run/o/x.yaml", "--format", "json"],
            "/run/o/x.yaml",
            "yaml",
            "--format json: /run/o/x.yaml is written as yaml, by its ending",
        ),
        (["--output", "o/x.yaml"], "/run/o/x.yaml", "yaml", ""),
    ],
)  # fmt: skip
@pytest.mark.parametrize("command", ["generate", "oneshot"])
def test_the_file_extension_decides_the_format_and_missing_directories_are_made(
    host, command, words, path, form, warning
):
    host.become(case(GPU))
    host.shell("rm -rf /run/o /run/o.d")
    environment = {"PYTHONPATH": str(host.top)}
    done = host.run(command, *words, cwd="/run", env=environment)
    assert (done.returncode, done.stdout) == (0, "")
    if command == "generate" and path.removeprefix("/run/") not in (words[1], words[1].removeprefix("/run/")):
        warning = f"--output: {words[1]} does not end in .yaml or .json, so the spec is {path}"
    assert (warning in lines(done)) if warning else len(lines(done)) == (command == "oneshot")
    text = host.path(path).read_text()
    spec = json.loads(text) if form == "json" else yaml.safe_load(text)
    assert spec["kind"] == "nvidia.com/gpu"
    assert text.startswith("---\n") == (form == "yaml")
    found = [name for name in host.path(path).parent.iterdir() if name.name != host.path(path).name]
    assert found == []


def test_standard_output_is_yaml_unless_json_is_wanted(host):
    host.become(case(GPU))
    assert host.run("generate", check=True).stdout.startswith("---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\n")
    assert json.loads(host.run("generate", "--format", "json", check=True).stdout)["cdiVersion"] == "0.5.0"
    assert host.run("generate", "--output", "-", check=True).stdout.startswith("---\n")


def test_generate_writes_no_file_without_an_output_option(host):
    host.become(case(GPU))
    host.generate()
    assert not host.path("/run/cdi").exists()
    assert not host.path("/run/cdi-refreshd").exists()


def test_coherent_gpus_have_files_of_their_own(host):
    host.become(COHERENT)
    assert host.oneshot(*FLAG).returncode == 0
    kinds = {name: (host.published(f"/run/cdi/{name}") or {}).get("kind") for name in names(host)}
    assert kinds == {
        "nvidia.yaml": "nvidia.com/gpu",
        "nvidia.coherent.yaml": "nvidia.com/gpu.coherent",
        "nvidia.noncoherent.yaml": "nvidia.com/gpu.noncoherent",
    }
    assert host.published("/run/cdi/nvidia.coherent.yaml").nodes("all") == ["/dev/nvidia0"]
    assert host.published("/run/cdi/nvidia.noncoherent.yaml").nodes("all") == ["/dev/nvidia1"]
    assert "annotations" not in host.path(PUBLISHED).read_text()


def test_several_specs_are_printed_one_after_the_other(host):
    host.become(COHERENT)
    documents = list(yaml.safe_load_all(host.run("generate", *FLAG, check=True).stdout))
    assert [document["kind"] for document in documents] == [
        "nvidia.com/gpu",
        "nvidia.com/gpu.coherent",
        "nvidia.com/gpu.noncoherent",
    ]


def test_diff_prints_which_coherent_specs_would_be_removed(host):
    host.become(COHERENT)
    host.oneshot(*FLAG)
    gone = "/var/run/cdi/nvidia.{}.yaml is removed: its GPUs are no longer separated"
    assert host.run("diff").stdout.splitlines() == [gone.format("coherent"), gone.format("noncoherent")]
    assert host.run("diff", *FLAG).returncode == 0
    host.become(case())
    assert "/var/run/cdi/nvidia.coherent.yaml is removed" in host.run("diff", *FLAG).stdout.splitlines()


def names(host):
    return {path.name for path in host.path("/run/cdi").iterdir()}


@pytest.mark.parametrize("form", ["yaml", "json"])
@pytest.mark.parametrize(
    ("changed", "words", "left"),
    [
        (COHERENT, [], {"nvidia"}),
        (case({"addressing": 0}), FLAG, {"nvidia", "nvidia.noncoherent"}),
        (case(), FLAG, set()),
        (case({}, files=False), FLAG, set()),
    ],
    ids=["no flag", "no coherent gpu", "no gpu", "no driver files"],
)
def test_coherent_specs_are_removed_when_they_are_no_longer_wanted(host, form, changed, words, left):
    output = ["--output", f"/run/cdi/nvidia.{form}"]
    host.become(COHERENT)
    host.oneshot(*FLAG, *output)
    assert len(names(host)) == 3
    host.become(changed)
    host.oneshot(*words, *output)
    assert names(host) == {f"{name}.{form}" for name in left}


@pytest.mark.parametrize("text", ["kind: vendor.com/gpu\n", "cdiVersion: 0.6.0\nkind: a.b/c\ndevices: []\n", "{", ""])
def test_a_foreign_file_with_the_name_of_a_coherent_spec_stays(host, text):
    host.become(case(GPU))
    host.shell("mkdir -p /run/cdi")
    other = host.path("/run/cdi/nvidia.coherent.yaml")
    other.write_text(text)
    assert host.oneshot().returncode == 0
    assert other.read_text() == text


def test_validate_accepts_a_published_spec(host):
    for made in (case(GPU, {"mig": [[1, 0]]}), COHERENT):
        host.become(made)
        host.oneshot(*FLAG)
        done = host.run("validate", *(f"/run/cdi/{name}" for name in names(host)))
        assert done.returncode == 0, done.stdout + done.stderr
