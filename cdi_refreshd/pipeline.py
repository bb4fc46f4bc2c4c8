"""The pipeline: the probe's answer, judge, apply, one outcome. Every command is a part of it."""

import os
import stat
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import partial
from typing import NamedTuple, Protocol

from cdi_refreshd import last_pass
from cdi_refreshd.core.cdi import encode
from cdi_refreshd.core.cdi.host_prefix import inside, outside
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks import expected_gpus, runtime_versions
from cdi_refreshd.core.checks.container_runtimes import INSTALLATIONS, Runtime
from cdi_refreshd.core.checks.item_rules import GONE
from cdi_refreshd.core.checks.registry import RuleFinding, fatal_count
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import SEVERITIES, Fault, Finding
from cdi_refreshd.core.nvidia.build.coherent import NAMES, parts
from cdi_refreshd.core.nvidia.gpu_count import on_bus
from cdi_refreshd.core.nvidia.inventory import Inventory, from_json, is_mig_index
from cdi_refreshd.core.refresh import states
from cdi_refreshd.core.refresh.states import Facts, Verdict
from cdi_refreshd.host import atomic_file
from cdi_refreshd.host.atomic_file import Identity
from cdi_refreshd.host.child import Child
from cdi_refreshd.inspect import candidate
from cdi_refreshd.last_pass import LastPass
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request

CONFLICT = "conflict"
"""The rule about devices that another spec takes from everybody."""

MISSING = {"gpu-missing": False, "gpu-in-mig-mode": False, "slice-missing": True}
"""Rules about devices that no spec has, and whether those are slices."""


LEFT_BEHIND = Finding(
    "fatal", "NVML", "left a process behind, which has been killed: one that has the driver open would keep it for ever"
)
"""Fatal, since a boot with such a library is not to pass in silence; the spec is published all the same."""


class Target(NamedTuple):
    path: str
    """Of the spec."""
    form: str
    """yaml or json."""
    on_mismatch: str = states.KEEP_WHILE_VALID
    """What becomes of the spec where the driver's module and libraries differ."""
    prefix: str = ""
    """Where the host's / is: what is published has the host's paths, what is held against the host has the prefix."""
    expected_gpus: int = 0
    """How many the host should have; 0: nobody said."""


def target(settings: Settings, path: str, form: str) -> Target:
    """`path` and `form` may be others than the configuration's."""
    return Target(path, form, settings.on_mismatch, settings.prefix, settings.expected_gpus)


def by_items(written: Mapping[str, Spec]) -> list[RuleFinding]:
    """The items of specs that the host does not have: quick, and without NVIDIA's rules."""
    return [one for path, spec in written.items() for one in candidate.alone(spec, path)]


def by_every_rule(written: Mapping[str, Spec], prefix: str = "") -> list[RuleFinding]:
    """What `check` would report of them once they are published, beside all other specs."""
    from cdi_refreshd.inspect.published import before_publishing  # noqa: PLC0415 - generate does not need it

    return before_publishing(written, probed=True, prefix=prefix)


def no_conflicts() -> tuple[RuleFinding, ...]:
    return ()


def standing_conflicts() -> tuple[RuleFinding, ...]:
    """How other specs affect the published one."""
    from cdi_refreshd.inspect import published, spec_directories  # noqa: PLC0415 - few passes keep a spec

    seen = spec_directories.gathered(SPEC_DIRECTORIES)
    return tuple(one for one in published.neighbours(seen) if one.rule == CONFLICT)


class Known(NamedTuple):
    """What the caller knows already."""

    last: LastPass = LastPass()
    examine: Callable[[Mapping[str, Spec]], list[RuleFinding]] = by_items
    """What rules find in specs that are about to be published at these paths, conflicts with other specs included."""
    conflicts: Callable[[], tuple[RuleFinding, ...]] = no_conflicts
    """How other specs affect the published one, if it stays."""
    is_ours: bool = True
    """False: the file at the path is known not to be what was published, so it is never the better one."""
    refuses: bool = True
    """False: the caller wants the spec in any case."""


NOTHING = Known()


class Probe(Protocol):
    """A probe that has been started."""

    def answer(self) -> bytes:
        """The child's. Raises Fault if there is none."""

    def left(self) -> int:
        """How many processes the child left behind, once it has ended. Raises Fault if it does not end."""


class File(NamedTuple):
    """What was published, or found published."""

    path: str
    content: bytes
    identity: Identity


class Outcome(NamedTuple):
    """What came of one pass. It is not changed any more."""

    verdict: Verdict
    path: str = ""
    stands: bool = False
    """There is a spec now."""
    changed: bool = False
    """Something on disk is different."""
    files: tuple[File, ...] = ()
    """Where this pass published or confirmed them; the first is at `path`."""
    sha256: str = ""
    """Of the first of these files."""


def judge(probe: Probe, request: Request, target: Target, known: Known = NOTHING) -> Verdict:
    """No fault escapes: each is a verdict."""
    return complete(draft(probe, request, target, known), target, known)


def draft(probe: Probe, request: Request, target: Target, known: Known) -> Verdict:
    """What the probe alone says."""
    try:
        made = _of_answer(probe.answer(), request, target, known)
        return states.weighed(made, (LEFT_BEHIND,)) if probe.left() else made
    except Fault as fault:
        return states.failed(fault)


def _of_answer(answer: bytes, request: Request, target: Target, known: Known) -> Verdict:
    try:
        seen = from_json(answer)
        if seen.runtimes:
            from cdi_refreshd.host import runtime_versions as installed  # noqa: PLC0415 - few specs need it

            installed.remember(seen.runtimes)
        return states.draft(seen, request.choices, request.gated, target.on_mismatch, known.last.came_to)
    except Fault as fault:
        return states.failed(fault)


def complete(made: Verdict, target: Target, known: Known) -> Verdict:
    """The final verdict, with the facts of the host, the published spec and other specs."""
    return states.complete(made, _facts(made, target, known))


def apply(verdict: Verdict, target: Target) -> Outcome:
    """Does to the published spec what the verdict says. A failure to do so is a verdict of its own."""
    try:
        if verdict.action == states.PUBLISH and verdict.spec:
            return _published(verdict, verdict.spec, target)
        if verdict.action == states.WITHDRAW:
            changed = withdrawn(target.path)
            return Outcome(verdict, target.path, False, changed)
    except Fault as fault:
        verdict = states.failed(fault)._replace(findings=(fault.finding, *verdict.findings), seen=verdict.seen)
    return Outcome(verdict, target.path, _stands(target.path))


def one_pass(child: Child, request: Request, last: LastPass, target: Target, limit_s: float) -> Outcome:
    """All that follows a child's start. Waits. The result is remembered where a GPU of this host may sleep.

    `last` is what is known of the published spec; the request has its fingerprint.
    """
    known = Known(last, partial(by_every_rule, prefix=target.prefix), standing_conflicts)
    from cdi_refreshd.inspect import published  # noqa: F401, PLC0415 - by_every_rule needs it; the child works

    verdict = judge(runner.Waiting(child, limit_s), request, target, known)
    outcome = apply(verdict, target)
    remember(outcome)
    return outcome


def remember(outcome: Outcome) -> None:
    verdict = outcome.verdict
    if verdict.fingerprint and outcome.files:
        last_pass.remember(LastPass(verdict.fingerprint, outcome.path, outcome.sha256, verdict.recalled))


# What a verdict depends on besides the probe


def _facts(made: Verdict, target: Target, known: Known) -> Facts:
    path = target.path
    stands = _stands(path)
    missing = gpus_missing(made.seen, target.expected_gpus)
    facts = Facts(stands=stands, obstacle=None if stands else _obstacle(path), missing=missing)
    if made.action == states.PUBLISH and made.spec:
        found = known.examine(dict(_at_paths(made.spec, path)))
        conflicts = [one for one in found if one.rule == CONFLICT]
        own = [one for one in found if one.rule != CONFLICT and not _is_left_out(one, found, made.findings)]
        findings = (*_new((one.finding for one in own), made.findings), *refusals(made.spec, made.seen))
        refusal = _refusal(own, target, known) if known.refuses else None
        return facts._replace(findings=findings, refusal=refusal, conflicts=_findings(conflicts))
    if made.action == states.KEEP_WHILE_VALID and stands:
        facts = facts._replace(useless=_useless(target))
    return facts._replace(conflicts=_findings(known.conflicts()) if stands else ())


def _is_left_out(one: RuleFinding, found: list[RuleFinding], probed: Iterable[Finding]) -> bool:
    """Whether it reports that a device is not in the spec, and the probe has reported why."""
    if one.rule not in MISSING:
        return False
    is_slice = MISSING[one.rule]
    indices = [finding.left_out[0] for finding in probed if finding.left_out]
    if is_slice and any(index.endswith(":*") for index in indices):
        return True
    left_out = sum(is_mig_index(index) == is_slice for index in indices)
    return sum(other.rule == one.rule for other in found) <= left_out


def gpus_missing(seen: Inventory | None, expected: int) -> Finding | None:
    """The finding about GPUs that the host should have; None if none is missing, or it is unknown."""
    there = on_bus(seen.presence) if seen else None
    found = expected_gpus.missing(None if there is None else len(there), expected)
    return found.finding if found else None


def _findings(found: Iterable[RuleFinding]) -> tuple[Finding, ...]:
    return tuple(one.finding for one in found)


def _new(findings: Iterable[Finding], known: Iterable[Finding]) -> Iterator[Finding]:
    """Those without a known finding of the same place that is as severe."""
    rank = {severity: number for number, severity in enumerate(SEVERITIES)}
    worst: dict[str, int] = {}
    for one in known:
        worst[one.place] = min(rank[one.severity], worst.get(one.place, len(rank)))
    yield from (one for one in findings if rank[one.severity] < worst.get(one.place, len(rank)))


def _stands(path: str) -> bool:
    return os.path.isfile(path)


def _obstacle(path: str) -> Finding | None:
    try:
        kind = stat.S_IFMT(os.lstat(path).st_mode)
    except OSError:
        return None
    what = {stat.S_IFDIR: "a directory", stat.S_IFLNK: "a symbolic link that leads to no file"}
    return Finding("degraded", path, f"is {what.get(kind, 'no regular file')}, so there is no spec", "move it away")


def _refusal(found: list[RuleFinding], target: Target, known: Known) -> Fault | None:
    """Why the published spec should stay: it has fewer faults that keep containers from starting."""
    fatal = [one for one in found if one.finding.severity == "fatal"]
    if not fatal:
        return None
    path = target.path
    standing = read(path, target.prefix) if known.is_ours and _stands(path) else None
    count = fatal_count(one for one in known.examine({path: standing}) if one.rule != CONFLICT) if standing else None
    stays = "; the spec that stands is better, so it stays" if count is not None and count < len(fatal) else ""
    gone = next((one.finding.place for one in fatal if one.rule in GONE), "")
    if gone and (count is None or count <= len(fatal)):
        # It was there a moment ago: the machine is changing, and the next probe will see how.
        return Fault(gone, f"vanished while the spec was made{stays}", "probe again")
    first = fatal[0].finding
    return Fault(first.place, f"{first.fact}{stays}", first.hint) if stays else None


def _useless(target: Target) -> Finding | None:
    """While a driver is replaced, the last good spec stays only as long as containers could start with it."""
    from cdi_refreshd.host.yaml_file import Unreadable  # noqa: PLC0415 - with PyYAML: few passes come here

    try:
        spec: Spec | None = _decoded(target.path, target.prefix)
    except Unreadable:
        return None  # that it cannot be read now does not make it wrong
    except Fault:
        spec = None
    gone = absent(spec) if spec else []
    if spec and not gone:
        return None
    what = f"named {gone[0]}, which is gone" if gone else "is damaged"
    return Finding("degraded", target.path, f"{what}, so it is withdrawn")


def read(path: str, prefix: str = "") -> Spec | None:
    """With the paths by which this process finds the host's files; None where runtimes would refuse the document."""
    try:
        return _decoded(path, prefix)
    except Fault:
        return None


def _decoded(path: str, prefix: str) -> Spec | None:
    from cdi_refreshd.core.cdi.decode import decode_valid  # noqa: PLC0415 - with PyYAML: few passes come here
    from cdi_refreshd.host import yaml_file as reader  # noqa: PLC0415

    spec, _ = decode_valid(reader.read(path))
    return inside(spec, prefix) if spec else None


def absent(spec: Spec) -> list[str]:
    """Paths of nodes and mounts that the spec names and the host does not have, sorted."""
    return sorted({one.finding.place for one in candidate.alone(spec, "") if one.rule in GONE})


def refusals(spec: Spec, seen: Inventory | None) -> tuple[Finding, ...]:
    """One for each container runtime of this host that is too old for the spec's version."""
    if seen is None or not seen.runtimes or not runtime_versions.is_newish(spec):
        return ()
    known = (one for one in seen.runtimes if one.name in INSTALLATIONS)
    return runtime_versions.refusals(spec, (Runtime(one.name, one.said, serves=one.serves) for one in known))


# Files


def documents(spec: Spec, path: str, form: str, prefix: str = "") -> Iterator[tuple[str, bytes]]:
    """The files of a spec: one, and two more if coherent GPUs are separated."""
    to_bytes = encode.to_json if form == "json" else encode.to_yaml
    for file, part in _at_paths(outside(spec, prefix), path):
        yield file, to_bytes(part)


def _at_paths(spec: Spec, path: str) -> Iterator[tuple[str, Spec]]:
    stem, dot, ending = path.rpartition(".")
    for name, part in parts(spec):
        yield (f"{stem}.{name}{dot}{ending}" if name else path), part


def _published(verdict: Verdict, spec: Spec, target: Target) -> Outcome:
    changed = False
    files = []
    for file, content in documents(spec, target.path, target.form, target.prefix):
        placed = atomic_file.place(file, content)
        changed |= placed.written
        files.append(File(file, content, placed.identity))
    changed |= _parts_withdrawn(target.path, [file.path for file in files])
    return Outcome(verdict, target.path, True, changed, tuple(files), last_pass.digest(files[0].content))


def withdrawn(path: str) -> bool:
    """True if there was anything."""
    parts = _parts_withdrawn(path, [])
    return atomic_file.withdraw(path) or parts


def _parts_withdrawn(path: str, wanted: list[str]) -> bool:
    """True if there was any."""
    withdrawn_ones = [atomic_file.withdraw(part) for part in parts_left_over(path, wanted)]
    return any(withdrawn_ones)


def parts_left_over(path: str, wanted: Collection[str]) -> list[str]:
    """What `documents` once wrote beside `path` and would not any more."""
    stem, dot, ending = path.rpartition(".")
    found = []
    for name in NAMES.values():
        part = f"{stem}.{name}{dot}{ending}"
        if part not in wanted and os.path.exists(part):
            spec = read(part)
            found += [part] if spec is not None and spec.class_name.endswith(f".{name}") else []
    return found
