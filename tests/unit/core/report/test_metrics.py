"""Prometheus' own parser reads the metrics, and they agree with the record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.report import metrics
from cdi_refreshd.core.report.lines import PRIORITY
from cdi_refreshd.core.report.metrics import Measured

families_of = pytest.importorskip("prometheus_client.parser").text_string_to_metric_families
READY = Measured(
    "1.2.3",
    "ready",
    1_800_000_000.25,
    since_s=1_799_999_000,
    probed_s=1_799_999_990.5,
    probe_duration_s=0.0213,
    module="580.95.05",
    libraries="580.95.05",
    host_gpus=(("nvidia", 2), ("", 1)),
    expected_gpus=3,
    spec_devices=(("gpu", 2), ("mig", 7)),
    is_up_to_date=True,
    sha256="ab" * 32,
    layout_sha256="cd" * 32,
    cdi_version="0.5.0",
    findings=(("degraded", "gpu-missing"), ("info", "leftover"), ("degraded", "gpu-missing")),
    probes_ok=3,
    probes_failed=1,
    published=2,
)


def read(measured):
    """Values by name and labels, from the parser."""
    found = {}
    for family in families_of(metrics.text(measured)):
        for sample in family.samples:
            key = (sample.name.removeprefix(metrics.PREFIX), *sorted(sample.labels.items()))
            assert key not in found, "a series twice"
            assert sample.timestamp is None
            found[key] = sample.value
    return found


def test_each_state_is_a_series_and_one_of_them_is_1():
    series = {key[1][1]: value for key, value in read(READY).items() if key[0] == "state"}
    assert series == {state: float(state == "ready") for state in PRIORITY}
    assert len(series) == 7


def test_before_the_first_probe_no_state_is_1_and_no_moment_is_reported():
    found = read(Measured("1.2.3", "", 5.0))
    assert {value for key, value in found.items() if key[0] == "state"} == {0.0}
    assert not [key for key in found if key[0] in ("last_probe_timestamp_seconds", "state_since_timestamp_seconds")]
    assert found[("heartbeat_timestamp_seconds",)] == 5.0
    assert found[("spec_up_to_date",)] == 0.0


def test_the_record_comes_back_from_the_parser():
    found = read(READY)
    assert found[("build_info", ("version", "1.2.3"))] == 1
    assert found[("driver_info", ("libraries", "580.95.05"), ("module", "580.95.05"))] == 1
    assert found[("heartbeat_timestamp_seconds",)] == 1_800_000_000.25
    assert found[("last_probe_duration_seconds",)] == 0.0213
    assert found[("host_gpus", ("driver", "nvidia"))] == 2
    assert found[("host_gpus", ("driver", "none"))] == 1
    assert found[("expected_gpus",)] == 3
    assert found[("spec_devices", ("kind", "mig"))] == 7
    hashes = (("layout_sha256", "cd" * 32), ("sha256", "ab" * 32))
    assert found[("spec_info", ("cdi_version", "0.5.0"), *hashes)] == 1
    assert found[("findings", ("rule", "gpu-missing"), ("severity", "degraded"))] == 2
    assert found[("probes_total", ("result", "ok"))] == 3
    assert found[("probes_total", ("result", "failed"))] == 1
    assert found[("published_total",)] == 2
    assert found[("restored_total",)] == 0


def test_every_series_has_a_help_and_the_type_that_its_name_promises():
    for family in families_of(metrics.text(READY)):
        assert family.documentation.endswith(".")
        assert family.type in ("gauge", "counter")
    for family in metrics.families(READY):
        assert (family.kind == "counter") == family.name.endswith("_total")


def test_no_uuid_is_exported_unless_configured():
    uuid = "GPU-00000000-0000-4000-8000-000000000001"
    assert "uuid" not in metrics.text(READY)
    found = read(READY._replace(device_uuids=(("0", uuid),)))
    assert found[("device_info", ("device", "0"), ("uuid", uuid))] == 1


@given(st.text(), st.text(), st.integers(0, 1 << 53))
def test_any_driver_name_is_read_back(module, rule, count):
    measured = READY._replace(module=module, findings=(("info", rule),), published=count)
    found = read(measured)
    shown = module.encode("utf-8", "replace").decode()
    assert found[("driver_info", ("libraries", "580.95.05"), ("module", shown))] == 1
    assert found[("published_total",)] == count
    metrics.text(measured).encode("utf-8")
