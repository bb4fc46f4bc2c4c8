"""What the daemon has told, and to whom: the journal, systemd's STATUS=, and state.json for everybody else."""

import os
import time

from cdi_refreshd import last_pass
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.report import lines, state_document
from cdi_refreshd.core.report.lines import Line, Pass
from cdi_refreshd.daemon import state_file
from cdi_refreshd.events.inotify import DirectoryWatches
from cdi_refreshd.events.udev import UdevEvents
from cdi_refreshd.host.journal import Journal
from cdi_refreshd.host.sd_notify import ServiceManager
from cdi_refreshd.pipeline import Outcome


class Telling:
    """Set `udev` and `inotify` before anything is told: what is the matter with them is told with the rest."""

    udev: UdevEvents
    inotify: DirectoryWatches

    def __init__(self, journal: Journal, manager: ServiceManager) -> None:
        self.journal, self.manager = journal, manager
        self.last, self.probed = Pass("failed", "has not probed yet"), False
        self.life = state_document.Life(os.getpid(), utc())

    def outcome(self, outcome: Outcome, done: Pass) -> None:
        """`done` has what the outcome does not tell: why it was probed, and how long that took."""
        done, before = completed(done, outcome, self.last), self.last if self.probed else None
        for told in lines.lines(done, before):
            self.journal.write(told)
        done = done._replace(unsaid=lines.is_unsaid(done, before))
        same = self.probed and (done.state, done.reason) == (self.last.state, self.last.reason)
        now = utc()
        self.life = self.life._replace(
            since=self.life.since if self.probed and done.state == self.last.state else now,
            probed=now,
            repeated=self.life.repeated + 1 if same else 0,
            spec_changed=now if done.changed or not self.life.spec_changed else self.life.spec_changed,
            events=self.udev.source,
            note=self._note(),
        )
        self.count(
            passes=1,
            failures=int(done.state == "failed"),
            published=int(done.changed and done.stands),
            withdrawn=int(done.changed and not done.stands),
        )
        self.last, self.probed = done, True
        self.manager.status(lines.status(done, self.life.repeated, self.life.note))

    def count(self, **more: int) -> None:
        counters = self.life.counters
        more = {name: getattr(counters, name) + number for name, number in more.items()}
        overflows = self.udev.overflows + self.inotify.overflows
        self.life = self.life._replace(counters=counters._replace(overflows=overflows, **more))

    def state(self) -> None:
        try:
            state_file.write(state_document.document(self.last, self.life))
        except Fault as fault:
            self.journal.write(Line(lines.WARNING, str(fault)))

    def waited(self, waited_s: float) -> None:
        """The boot goes on without us."""
        if waited_s and (told := lines.waited(self.last if self.probed else None, waited_s)):
            self.journal.write(told)

    def stuck(self, pid: int, path: str) -> None:
        """`path` of the spec."""
        spec = "the spec stays" if os.path.exists(path) else "there is no spec"
        text = f"the child (pid {pid}) hangs in the driver and cannot be killed; {spec}; no other is started"
        self.count(stuck=1)
        self.journal.write(Line(lines.ERROR, text, "stuck", (("CDI_STATE", "failed"),)))
        self.life = self.life._replace(since=self.life.since if self.last.state == "failed" else utc())
        self.last = self.last._replace(state="failed", reason=text)
        self.manager.status(lines.status(self.last))

    def held(self, until: str) -> None:
        """`until` "": no longer."""
        self.life = self.life._replace(held=until)
        note = self._note()
        self.life = self.life._replace(note=note)
        ends = f"no probe begins until {until}, as somebody asked; cdi-refreshd refresh ends it"
        self.journal.write(Line(lines.NOTICE, ends if until else "probes may begin again", "held"))
        if self.probed:
            self.manager.status(lines.status(self.last, self.life.repeated, note))

    def stopped(self) -> None:
        self.life = self.life._replace(stopped=utc())
        self.state()
        self.journal.write(Line(lines.INFO, "stops; the spec stays as it is", "stopped"))

    def _note(self) -> str:
        notes = [str(finding) for finding in (*self.udev.faults, *self.inotify.faults)]
        notes += [f"no probe until {self.life.held}"] if self.life.held else []
        notes += [self.udev.note] if self.udev.note else []
        return "; ".join(notes)


def completed(done: Pass, outcome: Outcome, last: Pass) -> Pass:
    verdict, seen = outcome.verdict, outcome.verdict.seen
    # Those of the spec: one that is kept because a probe failed has what it had.
    devices = lines.devices(seen) if seen and verdict.spec else last.devices if outcome.files else ()
    return done._replace(
        stands=bool(outcome.files),
        changed=outcome.changed,
        sha256=last_pass.digest(done.path) if outcome.files else "",
        findings=outcome.findings,
        told=verdict.told,
        devices=devices,
        module_version=seen.presence.module_version if seen else last.module_version,
        library_version=(seen.driver.version or seen.driver.files_version) if seen else last.library_version,
    )


def utc() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
