"""What check would report of a spec is known before it is published: the same rules, with the other files."""

import json
import sys

import pytest

from .hosts import GPUS, SPEC

pytestmark = pytest.mark.root

AGAIN = "run cdi-refreshd oneshot"
"""A hint that does not apply before the spec is published."""
ASK = """
import json, sys
from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.host import yaml_file
from cdi_refreshd.inspect.published import before_publishing
spec = decode_valid(yaml_file.read(sys.argv[1]))[0]
others = [()] if sys.argv[3:] else []
found = before_publishing({sys.argv[2]: spec}, *others)
print(json.dumps([[one.rule, one.finding.severity, one.finding.place, one.finding.fact, one.finding.hint]
                  for one in found]))
"""


def before(host, path=SPEC, *words):
    """What the rules find in the former spec, were it published now. No spec is there any more."""
    host.shell(f"[ -e /run/spec ] || mv {SPEC} /run/spec")
    done = host.machine.run([sys.executable, "-c", ASK, "/run/spec", path, *words])
    assert done.returncode == 0, done.stderr
    return [tuple(one) for one in json.loads(done.stdout)]


def after(host):
    host.shell(f"mv /run/spec {SPEC}")
    keys = ("rule", "severity", "place", "fact", "hint")
    return [tuple(one[key] for key in keys) for one in host.findings()]


@pytest.fixture(autouse=True)
def _clean(host):
    yield
    host.shell("rm -f /run/spec")


def test_a_clean_machine_has_no_findings(host):
    assert before(host) == after(host) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"uvm_major": 509},
        {"gpus": [*GPUS, {}]},
        {"gpus": [*GPUS, {"mig": [[1, 0]]}]},
        {"unbound": [{"bdf": "0000:41:00.0"}]},
        {"sockets": ["/run/nvidia-persistenced/socket"]},
        {"driver": "590.48.01"},
        {"path_bins": []},
    ],
    ids=",".join,
)
def test_check_reports_the_same_before_and_after_publishing(host, changes):
    host.become(**changes)
    said = before(host)
    assert said
    assert said == [(*words, "" if hint == AGAIN else hint) for *words, hint in after(host)]


def test_a_conflict_in_the_same_directory_is_found_before_publishing(host):
    host.write("/run/cdi/z.json", {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [
        {"name": "0", "containerEdits": {"env": ["A=b"]}}]})  # fmt: skip
    (found,) = before(host)
    assert found[:2] == ("conflict", "fatal")
    assert "/var/run/cdi/z.json" in found[3]
    assert found == after(host)[0]
    host.shell(f"mv {SPEC} /run/spec")
    assert before(host, "/run/cdi/nvidia.yaml")[0][:2] == ("conflict", "fatal")


def test_conflicts_and_broken_files_of_others_are_not_reported(host):
    for name in ("a", "b"):
        host.write(f"/etc/cdi/{name}.json", {"cdiVersion": "0.5.0", "kind": "x.example/card", "devices": [
            {"name": "0", "containerEdits": {"env": ["A=b"]}}]})  # fmt: skip
    host.write("/etc/cdi/c.json", "{")
    assert before(host) == []


def test_a_spec_outside_of_the_spec_directories_conflicts_with_no_other(host):
    host.write("/run/cdi/z.json", {"cdiVersion": "0.5.0", "kind": "nvidia.com/gpu", "devices": [
        {"name": "0", "containerEdits": {"env": ["A=b"]}}]})  # fmt: skip
    host.become(gpus=[*GPUS, {}])
    assert before(host, "/run/elsewhere.yaml") == []


def test_a_missing_gpu_is_found_without_reading_the_other_specs(host):
    """As the daemon asks, which has a child check the other specs."""
    host.become(gpus=[*GPUS, {}])
    host.shell("mkdir -p /etc/cdi; mkfifo /etc/cdi/x.yaml")
    (found,) = before(host, SPEC, "alone")
    assert found[:3] == ("gpu-missing", "degraded", "GPU 0000:03:00.0")
