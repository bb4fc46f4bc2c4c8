"""What the daemon reports, and to whom: the journal, systemd's STATUS=, and state.json for everything else."""

import os
import time
from collections.abc import Sequence

from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.refresh.event import Event
from cdi_refreshd.core.refresh.event_source import EventSource
from cdi_refreshd.core.report import lines, state_document, wording
from cdi_refreshd.core.report.lines import Line, Pass
from cdi_refreshd.daemon import state_file
from cdi_refreshd.daemon.monitor import Monitor
from cdi_refreshd.host.journal import Journal
from cdi_refreshd.host.sd_notify import ServiceManager
from cdi_refreshd.pipeline import Outcome

FIRST = Pass("failed", "the first probe has not ended")


class Reporter:
    """Problems of event sources are reported with the rest."""

    def __init__(self, journal: Journal, manager: ServiceManager, sources: Sequence[EventSource]) -> None:
        self.journal, self.manager, self._sources = journal, manager, sources
        self.last, self.has_probed = FIRST, False
        self.life = state_document.Life(os.getpid(), utc(), since=utc(), events=self.origin)
        self.monitor = Monitor(
            lambda fault: journal.write(Line(lines.WARNING, str(fault))),
            lambda text: journal.write(Line(lines.NOTICE, text)),
        )

    @property
    def origin(self) -> str:
        """Where events of the hardware come from."""
        return next((source.origin for source in self._sources if source.origin), "none")

    def configure(self, settings: Settings) -> None:
        self.monitor.configure(settings)

    def started(self, version: str, path: str) -> None:
        text = f"cdi-refreshd {version} follows this host; events from {self.origin}, spec {path}"
        self.journal.write(Line(lines.INFO, text, "started"))
        self.last = self.last._replace(path=path)
        self.manager.status("starting")
        self.state()

    def event(self, event: Event) -> None:
        self.journal.write(Line(lines.DEBUG, wording.sentence(event)))
        self.count(triggers=1)

    def outcome(self, outcome: Outcome, done: Pass) -> None:
        """`done` has what the outcome lacks: the spec's digest and devices, why it was probed, how long that took."""
        done, before = completed(done, outcome, self.last), self.last if self.has_probed else None
        for line in lines.lines(done, before):
            self.journal.write(line)
        done = done._replace(unsaid=lines.is_unsaid(done, before))
        same = self.has_probed and (done.state, done.reason) == (self.last.state, self.last.reason)
        now = utc()
        self.life = self.life._replace(
            since=self.life.since if self.has_probed and done.state == self.last.state else now,
            probed=now,
            repeated=self.life.repeated + 1 if same else 0,
            spec_changed=now if done.changed or not self.life.spec_changed else self.life.spec_changed,
            events=self.origin,
        )
        self.count(
            passes=1,
            failures=int(done.state == "failed"),
            published=int(done.changed and done.stands),
            withdrawn=int(done.changed and not done.stands),
        )
        self.last, self.has_probed = done, True
        self.monitor.outcome(outcome, done)
        self._status()

    def count(self, **more: int) -> None:
        counters = self.life.counters
        more = {name: getattr(counters, name) + number for name, number in more.items()}
        overflows = sum(source.overflows for source in self._sources)
        self.life = self.life._replace(counters=counters._replace(overflows=overflows, **more))

    def restored(self, why: Event) -> None:
        self.count(restored=1)
        self.journal.write(Line(lines.NOTICE, wording.restored(why), "restored", (("CDI_SPEC_PATH", why.path),)))
        self.state()

    def left(self, what: str | Fault, path: str) -> None:
        """`what`: where the spec was before the configuration moved it to `path`, or why it is still there."""
        if isinstance(what, Fault):
            self.journal.write(Line(lines.WARNING, str(what)))
        else:
            self.journal.write(Line(lines.NOTICE, f"{what} withdrawn: the spec is {path} now", "withdrawn"))

    def configuration(self, findings: Sequence[Finding], fault: Fault | None) -> None:
        """`fault`: why the old one stays in effect."""
        if fault:
            text = f"{fault}; the old configuration stays in effect"
            self.journal.write(Line(lines.ERROR, text, "configuration"))
        for finding in findings:
            self.journal.write(Line(lines.WARNING, str(finding), "configuration"))

    def other_specs(self, findings: Sequence[Finding]) -> None:
        for one in findings:
            self.journal.write(Line(lines.DEBUG if one.severity == "info" else lines.WARNING, str(one), "neighbour"))

    def state(self) -> None:
        """state.json comes last: for its readers everything else is at least as new."""
        if self.has_probed or self.life.counters.stuck:
            self.monitor.write(self.last, self.life.counters)
        else:
            self.monitor.first()
        try:
            state_file.write(state_document.document(self.last, self.life))
        except Fault as fault:
            self.journal.write(Line(lines.WARNING, str(fault)))

    def waited(self, waited_s: float) -> None:
        """The boot continues without us."""
        if waited_s and (line := lines.waited(self.last if self.has_probed else None, waited_s)):
            self.journal.write(line)

    def stuck(self, pid: int) -> None:
        spec = "the spec stays" if os.path.exists(self.last.path) else "there is no spec"
        text = f"the child (pid {pid}) hangs in the driver and cannot be killed; {spec}; no other is started"
        self.count(stuck=1)
        self.journal.write(Line(lines.ERROR, text, "stuck", (("CDI_STATE", "failed"),)))
        self.life = self.life._replace(since=self.life.since if self.last.state == "failed" else utc())
        self.last = self.last._replace(state="failed", reason=text)
        self._status()

    def held(self, until: str) -> None:
        """`until` "": the hold is over."""
        if until == self.life.held:
            return
        self.life = self.life._replace(held=until)
        begins = f"no probe begins until {until}, by request; cdi-refreshd refresh ends it"
        self.journal.write(Line(lines.NOTICE, begins if until else "probes may begin again", "held"))
        self._status()
        self.state()

    def stopped(self) -> None:
        self.life = self.life._replace(stopped=utc())
        self.state()
        self.monitor.exports.remove()
        self.journal.write(Line(lines.INFO, "stops; the spec stays as it is", "stopped"))

    def _status(self) -> None:
        """systemd's status line, and the note in state.json, which has a key of its own for a hold."""
        notes = [str(fault) for source in self._sources for fault in source.faults]
        notes += [source.note for source in self._sources if source.note]
        self.life = self.life._replace(note="; ".join(notes))
        if self.has_probed:
            held = [f"no probe until {self.life.held}"] if self.life.held else []
            self.manager.status(lines.status(self.last, self.life.repeated, "; ".join([*held, *notes])))


def completed(done: Pass, outcome: Outcome, last: Pass) -> Pass:
    verdict, seen = outcome.verdict, outcome.verdict.seen
    return done._replace(
        state=verdict.state,
        reason=verdict.reason,
        path=outcome.path,
        stands=outcome.stands,
        changed=outcome.changed,
        findings=verdict.findings,
        in_reason=verdict.in_reason,
        module_version=seen.presence.module_version if seen else last.module_version,
        library_version=(seen.driver.version or seen.driver.files_version) if seen else last.library_version,
    )


def utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
