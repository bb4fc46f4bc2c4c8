"""Metrics for Prometheus' textfile collector: one record, rendered in the text exposition format 0.0.4.

Source: prometheus.io/docs/instrumenting/exposition_formats. The collector refuses timestamps, and reads only files that
end in `.prom`. Own text and no library: importing prometheus_client's exposition took 57 ms and 14 MiB where this was
measured. A test holds the text to its parser.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.report.lines import PRIORITY

PREFIX = "cdi_refreshd_"
STATES = tuple(PRIORITY)


class Measured(NamedTuple):
    """What the daemon knows about itself and the host. Times are seconds since the epoch; 0 is never."""

    version: str
    """Of the program."""
    state: str
    """"" until the first probe has ended: then each state is 0."""
    heartbeat_s: float
    since_s: float = 0.0
    """When the state began."""
    probed_s: float = 0.0
    probe_duration_s: float = 0.0
    module: str = ""
    libraries: str = ""
    host_gpus: tuple[tuple[str, int], ...] = ()
    """How many NVIDIA GPUs each kernel driver has; the name is "" for those that have none."""
    expected_gpus: int = 0
    """0: not configured."""
    spec_devices: tuple[tuple[str, int], ...] = ()
    """How many devices of each kind containers can have: `gpu` (whole, or cut into slices) and `mig`."""
    device_uuids: tuple[tuple[str, str], ...] = ()
    """Name and UUID of each device; empty unless configured: they are one more series for each GPU."""
    is_up_to_date: bool = False
    """There is a spec, and the last probe published or confirmed it."""
    sha256: str = ""
    layout_sha256: str = ""
    """Of the spec without the UUIDs in it: equal on hosts of equal hardware and driver."""
    cdi_version: str = ""
    findings: tuple[tuple[str, str], ...] = ()
    """Severity and rule of each."""
    probes_ok: int = 0
    probes_failed: int = 0
    published: int = 0
    withdrawn: int = 0
    restored: int = 0
    overflows: int = 0
    stuck: int = 0
    reloads: int = 0


Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]


class Family(NamedTuple):
    """One metric with all its series. Without a sample it is left out."""

    name: str
    """Without the prefix."""
    kind: str
    help: str
    samples: tuple[Sample, ...]


def families(of: Measured) -> tuple[Family, ...]:
    return (*_about(of), *_host(of), *_spec(of), *_counters(of))


def text(of: Measured) -> str:
    """The file, whole: a collector reads nothing of one whose last line has no end."""
    return "".join(line for family in families(of) if family.samples for line in _lines(family))


def _about(of: Measured) -> Iterator[Family]:
    yield _gauge("build_info", "The version of cdi-refreshd; always 1.", _info(version=of.version))
    help_ = "Versions of the loaded kernel module and of the driver libraries; always 1."
    yield _gauge("driver_info", help_, _info(module=of.module, libraries=of.libraries))
    states = tuple(((("state", state),), float(state == of.state)) for state in STATES)
    yield _gauge("state", "1 for the state that the host is in, 0 for the others.", states)
    yield _gauge("heartbeat_timestamp_seconds", "When the daemon last wrote this file.", _one(of.heartbeat_s))
    yield _gauge("state_since_timestamp_seconds", "When the state began.", _moment(of.since_s))
    yield _gauge("last_probe_timestamp_seconds", "When the last probe ended.", _moment(of.probed_s))
    duration = _one(of.probe_duration_s) if of.probed_s else ()
    yield _gauge("last_probe_duration_seconds", "How long the last probe took, publishing included.", duration)


def _host(of: Measured) -> Iterator[Family]:
    drivers = tuple(((("driver", driver or "none"),), float(count)) for driver, count in of.host_gpus)
    yield _gauge("host_gpus", "NVIDIA GPUs of this host, by the kernel driver that has them.", drivers)
    expected = _one(of.expected_gpus) if of.expected_gpus else ()
    yield _gauge("expected_gpus", "NVIDIA GPUs that this host should have: [host] expected-gpus.", expected)


def _spec(of: Measured) -> Iterator[Family]:
    kinds = tuple(((("kind", kind),), float(count)) for kind, count in of.spec_devices)
    yield _gauge("spec_devices", "Devices in the spec: GPUs, whole or cut into slices, and MIG devices.", kinds)
    uuids = tuple(((("device", name), ("uuid", uuid)), 1.0) for name, uuid in of.device_uuids)
    yield _gauge("device_info", "The UUID of each device; always 1.", uuids)
    help_ = "1 where a spec is published and the last probe has confirmed it."
    yield _gauge("spec_up_to_date", help_, _one(of.is_up_to_date))
    labels = {"sha256": of.sha256, "layout_sha256": of.layout_sha256, "cdi_version": of.cdi_version}
    help_ = "SHA-256 of the published spec, the same without its UUIDs, and its cdiVersion; always 1."
    yield _gauge("spec_info", help_, _info(**labels) if of.sha256 else ())
    found = {(severity, rule): of.findings.count((severity, rule)) for severity, rule in of.findings}
    samples = tuple(((("severity", key[0]), ("rule", key[1])), float(found[key])) for key in sorted(found))
    yield _gauge("findings", "What is wrong with host or spec, by severity and rule.", samples)


def _counters(of: Measured) -> Iterator[Family]:
    results = ((("result", "ok"),), float(of.probes_ok)), ((("result", "failed"),), float(of.probes_failed))
    yield _counter("probes_total", "Probes that have ended since the daemon started.", results)
    yield _counter("published_total", "Specs published that differed from the one before.", _one(of.published))
    yield _counter("withdrawn_total", "Specs withdrawn.", _one(of.withdrawn))
    yield _counter(
        "restored_total", "Specs restored after something else overwrote or deleted them.", _one(of.restored)
    )
    yield _counter("event_overflows_total", "Overflows of a kernel queue of events.", _one(of.overflows))
    yield _counter("stuck_total", "Probes that hung in the driver and could not be killed.", _one(of.stuck))
    yield _counter("reloads_total", "Reloads of the configuration.", _one(of.reloads))


def _gauge(name: str, help_: str, samples: tuple[Sample, ...]) -> Family:
    return Family(name, "gauge", help_, samples)


def _counter(name: str, help_: str, samples: tuple[Sample, ...]) -> Family:
    return Family(name, "counter", help_, samples)


def _one(value: float) -> tuple[Sample, ...]:
    return (((), float(value)),)


def _moment(at_s: float) -> tuple[Sample, ...]:
    """A moment that never was has no series: 0 would be an age of fifty years."""
    return _one(at_s) if at_s else ()


def _info(**labels: str) -> tuple[Sample, ...]:
    return ((tuple(labels.items()), 1.0),)


def _lines(family: Family) -> Iterator[str]:
    name = f"{PREFIX}{family.name}"
    yield f"# HELP {name} {_escaped(family.help)}\n# TYPE {name} {family.kind}\n"
    for labels, value in family.samples:
        yield f"{name}{_braced(labels)} {_number(value)}\n"


def _braced(labels: Iterable[tuple[str, str]]) -> str:
    inside = ",".join(f'{name}="{_quoted(value)}"' for name, value in labels)
    return f"{{{inside}}}" if inside else ""


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _quoted(text: str) -> str:
    """The collector accepts only UTF-8, and a driver's texts may be anything."""
    return _escaped(text.encode("utf-8", "replace").decode()).replace('"', '\\"')


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(round(value, 6))
