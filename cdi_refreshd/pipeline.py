"""The straight line: ask the child, judge, publish. Every verb is this line, cut somewhere."""

import os
from collections.abc import Callable, Collection, Iterator
from typing import NamedTuple

from cdi_refreshd.core.cdi import encode
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.checks import runtime_versions
from cdi_refreshd.core.checks.container_runtimes import Runtime
from cdi_refreshd.core.checks.item_rules import GONE
from cdi_refreshd.core.checks.registry import RuleFinding, fatal_count
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.build.coherent import NAMES, parts
from cdi_refreshd.core.nvidia.inventory import Inventory, from_json
from cdi_refreshd.core.refresh import states
from cdi_refreshd.core.refresh.states import Verdict
from cdi_refreshd.host import atomic_file
from cdi_refreshd.host.child import Child
from cdi_refreshd.inspect import candidate
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request


class Outcome(NamedTuple):
    """What came of one pass. `files` are those that stand now, `changed` whether anything on disk is different."""

    verdict: Verdict
    files: tuple[str, ...] = ()
    changed: bool = False
    findings: tuple[Finding, ...] = ()
    """The verdict's, and what publishing found."""
    contents: tuple[tuple[str, bytes], ...] = ()
    """Each file and its bytes, where this pass published or confirmed them."""


def judged(asked: Child, request: Request, limit_s: float = runner.LIMIT_S) -> Verdict:
    """Waits for the child's answer and judges it. No fault escapes: each is a verdict."""
    return judged_answer(lambda: asked.answer(limit_s), request)


def judged_answer(answer: Callable[[], bytes], request: Request) -> Verdict:
    try:
        seen = from_json(answer())
        if seen.runtimes:
            from cdi_refreshd.host.runtime_versions import remember  # noqa: PLC0415 - few specs need it

            remember(seen.runtimes)
        return states.judge(seen, request.choices, request.gated)
    except Fault as fault:
        return states.failed(fault)


def documents(spec: Spec, path: str, form: str) -> Iterator[tuple[str, bytes]]:
    """The files that a spec makes: one, and two more where coherent GPUs are told apart."""
    to_bytes = encode.to_json if form == "json" else encode.to_yaml
    stem, dot, ending = path.rpartition(".")
    for name, part in parts(spec):
        yield (f"{stem}.{name}{dot}{ending}" if name else path), to_bytes(part)


def carried_out(verdict: Verdict, path: str, form: str, ours: bool = True) -> Outcome:
    """Does to the published spec what the verdict says. A failure to do so is a verdict of its own.

    `ours` False: the spec that stands is known not to be what was published, so it is never the better one.
    """
    try:
        if verdict.action == states.PUBLISH and verdict.spec:
            return _published(verdict, verdict.spec, path, form, ours)
        if verdict.action == states.WITHDRAW:
            return Outcome(verdict, (), withdrawn(path), verdict.findings)
        if verdict.action == states.KEEP_WHILE_VALID:
            return _kept_while_valid(verdict, path)
    except Fault as fault:
        return Outcome(states.failed(fault), _standing(path), False, (fault.finding, *verdict.findings))
    return Outcome(verdict, _standing(path), False, verdict.findings)


def _published(verdict: Verdict, spec: Spec, path: str, form: str, ours: bool) -> Outcome:
    unborne = candidate.alone(spec, path)
    _refuse_worse(unborne, path, ours)
    found = (*verdict.findings, *(one.finding for one in unborne), *refusals(spec, verdict.seen))
    changed = False
    contents = dict(documents(spec, path, form))
    for file, content in contents.items():
        changed |= atomic_file.publish(file, content)
    changed |= _parts_withdrawn(path, list(contents))
    return Outcome(degraded(verdict, found), tuple(contents), changed, found, tuple(contents.items()))


def _refuse_worse(unborne: list[RuleFinding], path: str, ours: bool) -> None:
    """Raises Fault where the spec that stands should rather stay: with less that keeps containers from starting."""
    fatal = [one for one in unborne if one.finding.severity == "fatal"]
    if not fatal:
        return
    standing = read(path) if ours and _standing(path) else None
    count = fatal_count(candidate.alone(standing, path)) if standing else None
    stays = "; the spec that stands is better, so it stays" if count is not None and count < len(fatal) else ""
    gone = next((one.finding.place for one in fatal if one.rule in GONE), "")
    if gone and (count is None or count <= len(fatal)):
        # It was there a moment ago: the machine is changing under our feet, and the next probe will see how.
        raise Fault(gone, f"vanished while the spec was made{stays}", "probe again")
    if stays:
        _, place, fact, hint, _ = fatal[0].finding
        raise Fault(place, f"{fact}{stays}", hint)


def degraded(verdict: Verdict, found: tuple[Finding, ...]) -> Verdict:
    """The verdict, worse where something grave was found after it was given."""
    grave = [finding for finding in found if finding.severity != "info"]
    if verdict.state != "ready" or not grave:
        return verdict
    return verdict._replace(state="degraded", reason=f"{verdict.reason}; {grave[0]}", told=(grave[0],))


def _kept_while_valid(verdict: Verdict, path: str) -> Outcome:
    """The last good spec outlives a driver that is being exchanged only while containers could start with it."""
    if not _standing(path):
        return Outcome(verdict, (), False, verdict.findings)
    spec = read(path)
    gone = absent(spec) if spec else []
    if spec and not gone:
        return Outcome(verdict, (path,), False, verdict.findings)
    what = f"named {gone[0]}, which is gone" if gone else "is damaged"
    # No part of the reason: that stays the same as long as the state lasts, and this happens once.
    told = Finding("degraded", path, f"{what}, so it is withdrawn")
    return Outcome(verdict, (), withdrawn(path), (*verdict.findings, told))


def read(path: str) -> Spec | None:
    """None where it is no document that runtimes would take."""
    from cdi_refreshd.core.cdi.decode import decode_valid  # noqa: PLC0415 - with PyYAML: few passes come here
    from cdi_refreshd.host import yaml_file as reader  # noqa: PLC0415

    try:
        return decode_valid(reader.read(path))[0]
    except Fault:
        return None


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


def _standing(path: str) -> tuple[str, ...]:
    return (path,) if os.path.exists(path) else ()


def verified(spec: Spec, path: str) -> tuple[Finding, ...]:
    """What the host does not bear out of a spec."""
    return tuple(one.finding for one in candidate.alone(spec, path))


def absent(spec: Spec) -> list[str]:
    """Paths of nodes and mounts that the spec names and the host does not have, sorted."""
    return sorted({one.finding.place for one in candidate.alone(spec, "") if one.rule in GONE})


def hindered(outcome: Outcome, by: tuple[Finding, ...]) -> Outcome:
    """A spec that stands, and that others keep from being of use."""
    if not by or not outcome.files:
        return outcome
    found = (*outcome.findings, *by)
    return outcome._replace(verdict=degraded(outcome.verdict, found), findings=found)


def refusals(spec: Spec, seen: Inventory | None) -> tuple[Finding, ...]:
    """One for each container runtime of this host that is too old for the spec's version."""
    if seen is None or not seen.runtimes or not runtime_versions.is_newish(spec):
        return ()
    return runtime_versions.refusals(spec, (Runtime(one.name, one.said, serves=one.serves) for one in seen.runtimes))
