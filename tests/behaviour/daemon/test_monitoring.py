"""What monitoring sees of a daemon: metrics, as node_exporter and Prometheus read them, health, and labels."""

import contextlib
import json
import signal
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

import pytest

from tests.contrib.programs import program
from tests.contrib.test_node_problem_detector import PLUGIN
from tests.contrib.test_prometheus import alerts

from .running import CASE, LIMIT_S, PROGRAM, patched

TEXTFILE = "/var/lib/metrics/cdi-refreshd.prom"
CONFIG = f"[metrics]\ntextfile = {TEXTFILE}\n"
HEALTH = "/run/cdi-refreshd/health"
FAST = "from cdi_refreshd.daemon import exports\nexports.BEAT_EVERY_S = 0.2\n"


@pytest.fixture
def begin(machine, start):
    machine.path(TEXTFILE).parent.mkdir(parents=True, exist_ok=True)

    def begun(config=CONFIG, **options):
        daemon = start(config=config, **options)
        daemon.until_passes(1)
        return daemon

    return begun


def metrics(machine):
    """The values in the file by series; empty where there is none."""
    path = machine.path(TEXTFILE)
    lines = path.read_text().splitlines() if path.exists() else []
    return {key: float(value) for key, _, value in (line.rpartition(" ") for line in lines if line[0] != "#")}


def state_of(machine):
    prefix = 'cdi_refreshd_state{state="'
    series = metrics(machine).items()
    return [name.removeprefix(prefix)[:-2] for name, value in series if name.startswith(prefix) and value]


def test_metrics_follow_the_host_and_are_removed_when_the_daemon_stops(machine, begin):
    daemon = begin()
    found = metrics(machine)
    assert state_of(machine) == ["ready"]
    assert found['cdi_refreshd_host_gpus{driver="nvidia"}'] == 2
    assert found['cdi_refreshd_spec_devices{kind="gpu"}'] == 2
    assert found["cdi_refreshd_spec_up_to_date"] == 1
    assert any(daemon.state()["spec"]["sha256"] in series for series in found)
    machine.path("/dev/nvidia1").unlink()
    daemon.until(lambda: state_of(machine) == ["degraded"])
    assert metrics(machine)['cdi_refreshd_spec_devices{kind="gpu"}'] == 1
    assert any(series.startswith('cdi_refreshd_findings{severity="degraded"') for series in metrics(machine))
    daemon.stop()
    assert list(machine.path(TEXTFILE).parent.iterdir()) == []
    assert not machine.path(HEALTH).exists()


def test_metrics_contain_no_uuid_unless_the_configuration_asks_for_it(machine, begin):
    daemon = begin()
    assert "GPU-" not in machine.path(TEXTFILE).read_text()
    daemon.configure(f"{CONFIG}uuids = yes\n")
    daemon.until(lambda: "GPU-" in machine.path(TEXTFILE).read_text())


def test_promtool_accepts_the_metrics_file(machine, begin):
    begin()
    with machine.path(TEXTFILE).open() as file:
        done = subprocess.run([program("promtool"), "check", "metrics"], check=False, stdin=file, capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_missing_directory_of_the_metrics_is_reported_and_has_no_other_effect(machine, start):
    daemon = start(config="[metrics]\ntextfile = /none/x.prom\n")
    daemon.until_devices("0", "1")
    daemon.until(lambda: "ReadWritePaths" in daemon.journal())


FOLDER = TEXTFILE.rpartition("/")[0]
FAULTS = {
    "No such file": (f"rm -r {FOLDER}", f"mkdir {FOLDER}"),
    "Read-only": (f"mount -t tmpfs -o ro none {FOLDER}", f"umount {FOLDER}"),
    "No space": (
        f"mount -t tmpfs -o size=64k none {FOLDER}; cat /dev/zero > {FOLDER}/full 2> /dev/null || :",
        f"rm {FOLDER}/full",
    ),
    "Permission": (f"chown -R 1234 {FOLDER}", f"chown -R 0 {FOLDER}"),
    "Is a directory": (f"rm {TEXTFILE}; mkdir {TEXTFILE}", f"rmdir {TEXTFILE}"),
}


def heartbeats(daemon, number):
    """Waits until there were that many more."""
    seen = set()
    daemon.until(lambda: seen.add(daemon.machine.path(HEALTH).stat().st_mtime_ns) or len(seen) > number)


@pytest.mark.parametrize("fault", FAULTS)
def test_failing_and_recovering_metrics_are_each_reported_once_and_passes_go_on(machine, begin, fault):
    breaks, mends = FAULTS[fault]
    # Root without the capability to write everywhere, as in the unit.
    without = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    daemon = begin(env=patched(machine, FAST), prefix=without)
    machine.run(["sh", "-ec", breaks], check=True)
    daemon.until(lambda: f"{TEXTFILE}: cannot be written: {fault}" in daemon.journal())
    machine.path("/dev/nvidia1").unlink()
    daemon.until_devices("0")
    heartbeats(daemon, 3)
    assert daemon.journal().count(TEXTFILE) == 1
    machine.run(["sh", "-ec", mends], check=True)
    daemon.until(lambda: f"{TEXTFILE}: is written again" in daemon.journal())
    heartbeats(daemon, 2)
    assert daemon.journal().count(TEXTFILE) == 2
    assert [path.name for path in machine.path(FOLDER).iterdir()] == [TEXTFILE.rpartition("/")[2]]
    assert state_of(machine) == ["degraded"]


def test_a_link_in_place_of_the_metrics_file_is_replaced_and_not_followed(machine, begin):
    daemon = begin(env=patched(machine, FAST))
    machine.path("/etc/precious").write_text("x")
    machine.run(["ln", "-sf", "/etc/precious", TEXTFILE], check=True)
    daemon.until(lambda: not machine.path(TEXTFILE).is_symlink())
    assert machine.path("/etc/precious").read_text() == "x"


def test_a_daemon_that_was_killed_leaves_its_metrics_and_the_next_one_takes_over(machine, begin):
    killed = begin()
    killed.signal(signal.SIGKILL)
    killed.process.wait()
    machine.path(f"{FOLDER}/.cdi-refreshd.prom.tmp").write_text("half")
    left = metrics(machine)["cdi_refreshd_heartbeat_timestamp_seconds"]
    assert state_of(machine) == ["ready"]
    daemon = begin()
    daemon.until(lambda: metrics(machine)["cdi_refreshd_heartbeat_timestamp_seconds"] > left)
    assert [path.name for path in machine.path(FOLDER).iterdir()] == [TEXTFILE.rpartition("/")[2]]
    daemon.stop()
    assert list(machine.path(FOLDER).iterdir()) == []


def plugin(machine):
    done = machine.run(["sh", str(PLUGIN)])
    return done.returncode, done.stdout.split()[0]


def test_the_health_plugin_and_status_check_report_the_state_of_the_health_file(machine, begin):
    daemon = begin("")
    assert plugin(machine) == (0, "Ready")
    assert machine.run([*PROGRAM, "status", "--check"]).stdout.startswith("Ready 2 GPUs")
    for case, expected in (
        ({"gpus": []}, (0, "NoGPU")),
        ({"no_module": True}, (1, "WaitingDriver")),
        ({"files_version": "590.10"}, (1, "DriverMismatch")),
        ({"nvml": ["fail nvmlInit_v2 999"]}, (1, "Failed")),
    ):
        machine.become(CASE | case)
        daemon.signal(signal.SIGHUP)
        daemon.until(lambda expected=expected: plugin(machine) == expected, f"never was {expected}")
    assert machine.run([*PROGRAM, "status", "--alive"]).returncode == 0
    daemon.stop()
    assert plugin(machine) == (2, "Unknown")
    assert machine.run([*PROGRAM, "status", "--check"]).returncode == 2
    assert machine.run([*PROGRAM, "status", "--alive"]).returncode == 1


def test_before_the_first_probe_has_ended_health_is_unknown(machine, start):
    machine.become(CASE | {"nvml": ["hang nvmlInit_v2 3600"]})
    machine.path(TEXTFILE).parent.mkdir(parents=True)
    daemon = start(config=CONFIG)
    daemon.until(lambda: machine.path(HEALTH).exists())
    assert plugin(machine) == (2, "Unknown")
    daemon.until(lambda: metrics(machine))
    assert state_of(machine) == []


def test_labels_for_node_feature_discovery_follow_the_state(machine, start):
    machine.path("/features.d").mkdir()
    daemon = start(config="[metrics]\nnfd-features = /features.d/cdi-refreshd\n")
    labels = machine.path("/features.d/cdi-refreshd")
    daemon.until(lambda: labels.exists() and "cdi-refreshd.state=ready\n" in labels.read_text())
    machine.become(CASE | {"gpus": []})
    daemon.until(lambda: "cdi-refreshd.state=no-gpu\n" in labels.read_text())
    daemon.stop()
    assert not labels.exists()


def free_ports(count):
    """Different ones."""
    with contextlib.ExitStack() as probes:
        bound = [probes.enter_context(socket.socket()) for _ in range(count)]
        for probe in bound:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in bound]


class Prometheus:
    """node_exporter in the machine, and a Prometheus that scrapes it every half a second."""

    def __init__(self, machine, folder):
        self.port, exporter = free_ports(2)
        directory = TEXTFILE.rpartition("/")[0]
        command = [program("prometheus-node-exporter"), "--collector.disable-defaults", "--collector.textfile"]
        command += [f"--collector.textfile.directory={directory}", f"--web.listen-address=127.0.0.1:{exporter}"]
        config = {
            "global": {"scrape_interval": "500ms", "scrape_timeout": "400ms"},
            "scrape_configs": [
                {"job_name": "node", "static_configs": [{"targets": [f"127.0.0.1:{exporter}"]}]},
            ],
        }
        (folder / "prometheus.yml").write_text(json.dumps(config))
        server = [program("prometheus"), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data"]
        server += [f"--web.listen-address=127.0.0.1:{self.port}", "--log.level=error"]
        silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "stdin": subprocess.DEVNULL}
        self.processes = [machine.popen(command, **silent), subprocess.Popen(server, **silent)]

    def value(self, expr):
        """None where there is no such series, or no answer yet."""
        query = urllib.parse.urlencode({"query": expr})
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/query?{query}", timeout=5) as answer:
                result = json.load(answer)["data"]["result"]
        except (OSError, urllib.error.URLError, ValueError):
            return None
        return float(result[0]["value"][1]) if result else None

    def until(self, expr, expected):
        ends_at = time.monotonic() + LIMIT_S
        while self.value(expr) != expected:
            assert time.monotonic() < ends_at, f"{expr} never was {expected}, but {self.value(expr)}"
            time.sleep(0.1)

    def close(self):
        for process in self.processes:
            process.kill()
            process.wait()


@pytest.fixture
def prometheus(machine, tmp_path):
    machine.path(TEXTFILE).parent.mkdir(parents=True, exist_ok=True)
    found = Prometheus(machine, tmp_path)
    yield found
    found.close()


def test_prometheus_sees_ready_a_lost_gpu_a_daemon_that_hangs_and_nothing_after_a_clean_stop(
    machine, begin, prometheus
):
    daemon = begin(env=patched(machine, FAST))
    prometheus.until('cdi_refreshd_state{state="ready"}', 1)
    prometheus.until("cdi_refreshd_host_gpus", 2)
    prometheus.until("time() - cdi_refreshd_heartbeat_timestamp_seconds < bool 2", 1)
    machine.path("/dev/nvidia1").unlink()
    prometheus.until('cdi_refreshd_state{state="degraded"}', 1)
    assert prometheus.value('cdi_refreshd_state{state="ready"}') == 0
    prometheus.until(alerts()["CDIFewerDevicesThanGPUs"], 1)
    assert prometheus.value(alerts()["CDISpecNotReady"]) is None
    daemon.signal(signal.SIGSTOP)
    prometheus.until("time() - cdi_refreshd_heartbeat_timestamp_seconds > bool 2", 1)
    daemon.signal(signal.SIGCONT)
    prometheus.until("time() - cdi_refreshd_heartbeat_timestamp_seconds < bool 2", 1)
    machine.become(CASE | {"no_module": True})
    prometheus.until(alerts()["CDISpecNotReady"], 1)
    machine.become(CASE | {"gpus": []})
    prometheus.until('cdi_refreshd_state{state="no-gpu"}', 1)
    # The alerts that fire for a host, with the labels of a real exporter.
    assert [name for name, expr in alerts().items() if prometheus.value(expr) is not None] == []
    daemon.stop()
    prometheus.until("absent(cdi_refreshd_build_info)", 1)
    prometheus.until(alerts()["CDIRefreshdGone"], 1)
