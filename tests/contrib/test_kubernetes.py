"""The manifests and the rendered chart are valid by Kubernetes' schemas, and agree."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from cdi_refreshd import __version__
from cdi_refreshd.core.config import schema

DEPLOY = Path(__file__).parents[2] / "deploy"
CHART = DEPLOY / "chart/cdi-refreshd"
VERSIONS = ("1.29", "1.33")
FULL = {
    "expectedGpus": 8,
    "hooks": "none",
    "driverRoot": "/run/nvidia/driver",
    "metrics": {"textfileDirectory": "/var/lib/node_exporter"},
    "tolerations": [{"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 30}],
    "nodeSelector": {"feature.node.kubernetes.io/pci-10de.present": "true"},
    "extraConfiguration": "[daemon]\nlog-level = debug\n",
    "image": {
        "repository": "registry.example/cdi-refreshd",
        "tag": "2.0",
        "pullPolicy": "Always",
        "pullSecrets": ["mine"],
    },
}


def base():
    kustomization = yaml.safe_load((DEPLOY / "base/kustomization.yaml").read_text())
    documents = [yaml.safe_load((DEPLOY / "base" / name).read_text()) for name in kustomization["resources"]]
    for made in kustomization["configMapGenerator"]:
        data = {name: (DEPLOY / "base" / name).read_text() for name in made["files"]}
        documents.append({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": made["name"]}, "data": data})
    return documents


def rendered(tmp_path, **values):
    """By Go's own template engine: the chart uses nothing of Helm's beyond its objects."""
    if not shutil.which("tmpl"):
        pytest.skip("NOT RUN: tmpl is missing; type: tests/packages test")
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    data = {
        "Values": yaml.safe_load((CHART / "values.yaml").read_text()) | values,
        "Release": {"Name": "gpus", "Namespace": "kube-system"},
        "Chart": {"AppVersion": chart["appVersion"]},
    }
    documents = []
    for template in sorted((CHART / "templates").iterdir()):
        copy = tmp_path / f"{template.name}.tmpl"
        copy.write_text(template.read_text())
        subprocess.run(["tmpl", "-data", json.dumps(data), copy], check=True, cwd=tmp_path, capture_output=True)
        text = (tmp_path / template.name).read_text()
        assert "<no value>" not in text
        documents += yaml.safe_load_all(text)
    return documents


def validate(documents):
    validator = pytest.importorskip("kubernetes_validate")
    for document in documents:
        for version in VERSIONS:
            validator.validate(document, version, strict=True)


def of_kind(documents, kind):
    (found,) = (document for document in documents if document["kind"] == kind)
    return found


def settings(documents):
    """The configuration files of the config map, in the order of precedence."""
    data = of_kind(documents, "ConfigMap")["data"]
    found, _, findings = schema.parse([(name, data[name]) for name in sorted(data)])
    assert [str(finding) for finding in findings] == []
    return found


@pytest.mark.parametrize("values", [{}, FULL], ids=["defaults", "everything"])
def test_the_chart_matches_the_schemas_and_the_daemon_accepts_its_configuration(tmp_path, values):
    documents = rendered(tmp_path, **values)
    validate(documents)
    found = settings(documents)
    assert found.choices.driver_root == values.get("driverRoot", "/")


def test_the_kustomize_base_matches_the_schemas_and_the_daemon_accepts_its_configuration():
    validate(base())
    settings(base())


def test_the_chart_names_the_image_of_this_release():
    assert yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"] == __version__


def test_the_schemas_refuse_a_misspelt_key():
    kubernetes_validate = pytest.importorskip("kubernetes_validate")
    document = of_kind(base(), "DaemonSet")
    document["spec"]["template"]["spec"]["hostNetwrok"] = True
    with pytest.raises(kubernetes_validate.ValidationError):
        validate([document])


def test_the_chart_with_its_default_values_makes_the_pod_of_the_kustomize_base(tmp_path):
    chart, plain = (of_kind(documents, "DaemonSet") for documents in (rendered(tmp_path), base()))
    pods = [document["spec"]["template"]["spec"] for document in (chart, plain)]
    for pod in pods:
        (container,) = pod["containers"]
        container.pop("image")
        container.pop("imagePullPolicy", None)
        container["volumeMounts"] = [one for one in container["volumeMounts"] if one.get("subPath") != "extra.conf"]
        pod["volumes"] = [one for one in pod["volumes"] if one["name"] != "configuration"]
    assert pods[0] == pods[1]


def test_values_reach_the_pod(tmp_path):
    documents = rendered(tmp_path, **FULL)
    pod = of_kind(documents, "DaemonSet")["spec"]["template"]["spec"]
    assert pod["nodeSelector"] == FULL["nodeSelector"]
    assert pod["tolerations"] == FULL["tolerations"]
    assert pod["imagePullSecrets"] == [{"name": "mine"}]
    assert pod["containers"][0]["image"] == "registry.example/cdi-refreshd:2.0"
    assert {"name": "metrics", "hostPath": {"path": "/var/lib/node_exporter", "type": "DirectoryOrCreate"}} in pod[
        "volumes"
    ]
    found = settings(documents)
    assert (found.expected_gpus, found.log_level, found.choices.hooks) == (8, 7, "none")
    assert found.textfile == "/metrics/cdi-refreshd.prom"


def template_of(tmp_path, **values):
    return of_kind(rendered(tmp_path, **values), "DaemonSet")["spec"]["template"]


@pytest.mark.parametrize(
    "changed",
    [
        {"driverRoot": "/run/nvidia/driver"},
        {"hooks": "none"},
        {"expectedGpus": 8},
        {"metrics": {"textfileDirectory": "/var/lib/node_exporter"}},
        {"extraConfiguration": "[daemon]\nsettle = 5\n"},
    ],
    ids=lambda values: next(iter(values)),
)
def test_each_value_that_changes_the_configuration_makes_new_pods(tmp_path, changed):
    """A running pod keeps the old content of a file that is mounted by subPath."""
    before, after = (of_kind(rendered(tmp_path, **values), "ConfigMap") for values in ({}, changed))
    assert before != after
    assert template_of(tmp_path) != template_of(tmp_path, **changed)


def test_the_pod_has_no_cluster_permissions_and_its_probes_ignore_the_hosts_state():
    pod = of_kind(base(), "DaemonSet")["spec"]["template"]["spec"]
    assert pod["automountServiceAccountToken"] is False
    assert {document["kind"] for document in base()} == {"DaemonSet", "ConfigMap"}
    (container,) = pod["containers"]
    for probe in ("startupProbe", "readinessProbe", "livenessProbe"):
        assert container[probe]["exec"]["command"][1:] == ["status", "--alive"]
