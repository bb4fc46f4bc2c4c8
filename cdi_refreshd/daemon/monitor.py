"""What the daemon knows, as monitoring wants it: one record for metrics and labels, and the health line."""

import time
from collections.abc import Callable

from cdi_refreshd import __version__, last_pass
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.report import health
from cdi_refreshd.core.report.census import Census, census, without_uuids
from cdi_refreshd.core.report.lines import Pass
from cdi_refreshd.core.report.metrics import Measured
from cdi_refreshd.core.report.state_document import Counters
from cdi_refreshd.daemon.exports import Exports
from cdi_refreshd.pipeline import Outcome

UP_TO_DATE = ("ready", "degraded")


class Monitor:
    """Times are seconds of the wall clock, since monitoring compares them with it."""

    def __init__(self, warn: Callable[[Fault], None], note: Callable[[str], None]) -> None:
        self.exports = Exports(warn, note)
        self._settings = Settings()
        self._measured = Measured(__version__, "", 0.0, since_s=time.time())
        self._health = health.NOT_PROBED
        self._census = Census()

    def configure(self, settings: Settings) -> None:
        self._settings = settings
        self.exports.configure(settings)

    def outcome(self, outcome: Outcome, done: Pass) -> None:
        """Of a pass; `done` is the same for people."""
        verdict, before = outcome.verdict, self._measured
        self._census = census(verdict.seen, bool(outcome.files), outcome.stands, self._census)
        if outcome.files:
            content = without_uuids(outcome.files[0].content, (uuid for _, uuid in done.devices))
            version = verdict.spec.cdi_version if verdict.spec else ""
            before = before._replace(layout_sha256=last_pass.digest(content), cdi_version=version)
        self._measured = before._replace(
            probed_s=time.time(),
            probe_duration_s=done.duration_s,
            module=done.module_version,
            libraries=done.library_version,
            host_gpus=self._census.host_gpus,
            spec_devices=self._census.spec_devices,
            is_up_to_date=outcome.stands and done.state in UP_TO_DATE,
            sha256=done.sha256,
            findings=tuple((finding.severity, finding.rule or "probe") for finding in done.findings),
        )

    def write(self, done: Pass, counters: Counters) -> None:
        """What is known now. `done` may have another state than the last pass, for instance when a probe hangs."""
        since_s = self._measured.since_s if done.state == self._measured.state else time.time()
        uuids = done.devices if self._settings.metric_uuids else ()
        self._measured = self._measured._replace(
            state=done.state,
            since_s=since_s,
            expected_gpus=self._settings.expected_gpus,
            device_uuids=uuids,
            probes_ok=counters.passes - counters.failures,
            probes_failed=counters.failures,
            published=counters.published,
            withdrawn=counters.withdrawn,
            restored=counters.restored,
            overflows=counters.overflows,
            stuck=counters.stuck,
            reloads=counters.reloads,
        )
        self._health = health.health(done.state, done.reason, done.module_version, done.library_version)
        self.exports.write(self._measured, self._health)

    def first(self) -> None:
        """Before the first probe has ended."""
        self.exports.write(self._measured, self._health)
