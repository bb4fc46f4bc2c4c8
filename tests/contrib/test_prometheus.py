"""The alert rules, the dashboard and their README: Prometheus reads them, and they use existing metrics."""

import json
import re
import subprocess
from pathlib import Path

import pytest
import yaml

from cdi_refreshd.core.report import metrics
from cdi_refreshd.core.report.lines import PRIORITY
from cdi_refreshd.core.report.metrics import Measured

from .programs import program

FOLDER = Path(__file__).parents[2] / "contrib/prometheus"
RULES = FOLDER / "cdi-refreshd.rules.yaml"
FULL = Measured(
    "1.2.3",
    "ready",
    1e9,
    since_s=1e9,
    probed_s=1e9,
    probe_duration_s=0.1,
    host_gpus=(("nvidia", 1),),
    expected_gpus=1,
    spec_devices=(("gpu", 1), ("mig", 0)),
    device_uuids=(("0", "GPU-1"),),
    sha256="a",
    layout_sha256="b",
    findings=(("info", "leftover"),),
)
FAMILIES = {f"{metrics.PREFIX}{family.name}": family for family in metrics.families(FULL)}


def promtool(*words, **options):
    done = subprocess.run([program("promtool"), *words], check=False, capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def dashboard():
    """Title and expression of each query."""
    for panel in json.loads((FOLDER / "dashboard.json").read_text())["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def alerts():
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule["expr"] for rule in group["rules"]}


def test_promtool_finds_no_fault_in_the_rules_and_their_tests_pass():
    promtool("check", "rules", RULES)
    promtool("test", "rules", "cdi-refreshd.rules.test.yaml", cwd=FOLDER)


def test_each_alert_is_seen_to_fire_and_not_to_fire_by_a_test():
    tests = yaml.safe_load((FOLDER / "cdi-refreshd.rules.test.yaml").read_text())["tests"]
    seen = {(one["alertname"], bool(one["exp_alerts"])) for test in tests for one in test.get("alert_rule_test", ())}
    assert seen == {(name, fires) for name in alerts() for fires in (True, False)}


def test_each_alert_keeps_the_labels_that_identify_its_target():
    tests = yaml.safe_load((FOLDER / "cdi-refreshd.rules.test.yaml").read_text())["tests"]
    fired = [one for test in tests for check in test.get("alert_rule_test", ()) for one in check["exp_alerts"]]
    known = [one["exp_labels"] for one in fired if "pool" not in one["exp_labels"]]
    assert known and all({"instance", "job"} <= set(labels) for labels in known)


def test_promtool_accepts_the_metrics():
    assert promtool("check", "metrics", input=metrics.text(FULL)) == ""


@pytest.mark.parametrize(("title", "expr"), [*alerts().items(), *dashboard()])
def test_every_query_uses_only_metrics_labels_and_states_that_exist(title, expr):
    for name, braces in re.findall(r"\b(cdi_refreshd_\w+)(?:\{([^}]*)\})?", expr):
        labels = {label for label, _ in FAMILIES[name].samples[0][0]}
        for label, wanted in re.findall(r'(\w+)[=!]~?"([^"]*)"', braces):
            assert label in {*labels, "instance"}, f"{name} has no {label}"
            assert label != "state" or set(wanted.split("|")) <= set(PRIORITY)


def test_grafana_can_lay_out_the_dashboard_and_knows_each_variable_in_it():
    board = json.loads((FOLDER / "dashboard.json").read_text())
    panels = board["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [cell for panel in panels for cell in covered(panel["gridPos"])]
    assert len(set(cells)) == len(cells) and max(x for x, _ in cells) < 24
    for panel in panels:
        assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])
    known = {variable["name"] for variable in board["templating"]["list"]} | {"__rate_interval"}
    assert set(re.findall(r"\$\{?(\w+)", json.dumps(panels))) == known


def covered(at):
    return [(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])]


def test_prometheus_parses_every_query_of_the_dashboard(tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "5m").replace("$instance", ".*")}
        for number, (_, expr) in enumerate(dashboard())
    ]
    (tmp_path / "rules.yaml").write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    promtool("check", "rules", tmp_path / "rules.yaml")


def test_the_readme_has_every_metric_with_its_labels_and_its_help():
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*) \|$", (FOLDER / "README.md").read_text(), re.MULTILINE)
    reported = {(name, tuple(re.findall(r"`(\w+)`", labels)), help_) for name, labels, help_ in rows}
    assert reported == {
        (family.name, tuple(label for label, _ in family.samples[0][0]), family.help) for family in FAMILIES.values()
    }
