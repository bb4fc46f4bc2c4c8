"""What the last pass saw, kept across processes, so that a sleeping GPU is not woken to be told the same again."""

import json
from typing import NamedTuple

from cdi_refreshd import pipeline
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.refresh import states
from cdi_refreshd.core.refresh.states import Verdict
from cdi_refreshd.host import atomic_file, regular_file, sha256
from cdi_refreshd.pipeline import Outcome
from cdi_refreshd.probe import runner
from cdi_refreshd.probe.request import Request

PATH = "/run/cdi-refreshd/looked.json"
SIZE_LIMIT_BYTES = 1 << 16
SPEC_LIMIT_BYTES = 1 << 24


class Looked(NamedTuple):
    fingerprint: str = ""
    path: str = ""
    """Of the spec."""
    sha256: str = ""
    """Of the spec's bytes."""
    state: str = ""
    reason: str = ""


def passed(
    request: Request,
    path: str,
    form: str,
    on_mismatch: str = states.KEEP_WHILE_VALID,
    limit_s: float = runner.LIMIT_S,
) -> Outcome:
    """One pass, remembered where a GPU of this host may sleep."""
    known = probed(path)
    request = request._replace(known_fingerprint=known.fingerprint)
    verdict = recalled(pipeline.judged(runner.start(request), request, limit_s), known)
    outcome = pipeline.carried_out(states.under_policy(verdict, on_mismatch), path, form)
    note(outcome, path)
    return outcome


def recalled(verdict: Verdict, known: Looked) -> Verdict:
    """What was known, where the child found nothing changed and let a GPU sleep."""
    if verdict.action != states.KEEP or verdict.state != "ready":
        return verdict
    return verdict._replace(state=known.state, reason=f"{known.reason}; {verdict.reason}")


def note(outcome: Outcome, path: str) -> None:
    verdict = outcome.verdict
    if verdict.fingerprint and outcome.files:
        remember(Looked(verdict.fingerprint, path, digest(path), verdict.state, verdict.reason))


def probed(path: str) -> Looked:
    """Of the spec that stands at `path`; empty where nothing is known of it, or it is not what was published."""
    try:
        known = Looked(*json.loads(regular_file.read(PATH, SIZE_LIMIT_BYTES)))
    except (OSError, ValueError, TypeError):
        return Looked()
    return known if known.path == path and known.sha256 == digest(path) else Looked()


def remember(probed: Looked) -> None:
    try:
        atomic_file.publish(PATH, json.dumps(probed).encode())
    except Fault:
        return  # without it the next pass probes again, which costs only a sleeping GPU's rest


def digest(path: str) -> str:
    try:
        return sha256.hexdigest(regular_file.read(path, SPEC_LIMIT_BYTES))
    except OSError:
        return ""
