"""`cdi-refreshd oneshot`: one pass, published, with the state as exit status."""

import contextlib
import itertools
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from cdi_refreshd.core.findings import UsageFault, printable
from cdi_refreshd.probe import runner

if TYPE_CHECKING:
    from cdi_refreshd.pipeline import Outcome

DESCRIPTION = """Probe this host once and publish its CDI spec ({output}, unless --output or the
configuration sets another). Exit status: 0 published, or no NVIDIA GPU; 1 failed; 2 usage; 3 driver or libraries not
there yet; 4 they are of different versions; 5 published, but a container
would not start with it or find CUDA, or with --strict: something is left out; 78 the configuration is
broken. Other options are those of generate, and override the configuration; see cdi-refreshd config."""
FIRST_RETRY_S, LAST_RETRY_S = 0.25, 5.0
LEAST_PROBE_S = 5.0
DONE = ("no-gpu", "ready", "degraded")


def run(argv: list[str]) -> int:
    # First of all: the child imports while we import and read the configuration.
    with contextlib.closing(runner.Prepared()) as prepared:
        return published(argv, prepared)


def published(argv: list[str], prepared: runner.Prepared) -> int:
    from cdi_refreshd import command_line, config, options  # noqa: PLC0415 - after the child has started, as all below
    from cdi_refreshd.core.config.generate_options import below  # noqa: PLC0415
    from cdi_refreshd.core.config.settings import Settings  # noqa: PLC0415

    parser = command_line.parser("oneshot", DESCRIPTION.format(output=Settings().output))
    parser.add_argument("--wait", metavar="SECONDS", help="probe again until the spec is published, at most this long")
    parser.add_argument("--strict", action="store_true", help="exit 5 if something is left out")
    parser.add_argument("--config", metavar="FILE", help="the NVIDIA container toolkit's config.toml")
    parser.add_argument("--config-file", metavar="FILE", help="read only this configuration file")
    parsed = parser.parse_args(argv)
    wait_s = seconds("--wait", parsed.wait)
    loaded = config.read(parsed.config_file)
    choices = below(options.choices(parsed, loaded.settings.choices), loaded.settings.prefix)
    path, form, warning = options.destination(parsed, loaded.settings.output)
    for text in (*map(str, loaded.findings), warning):
        if text:
            log(text)

    from cdi_refreshd import last_pass  # noqa: PLC0415
    from cdi_refreshd.probe.request import Request  # noqa: PLC0415

    settings = loaded.settings
    starts = iter([prepared.ask])

    def once(limit_s: float) -> "Outcome":
        last = last_pass.read(path)
        request = Request(choices, True, last.fingerprint, settings.device_nodes, settings.dev_char_links)
        child = next(starts, runner.start)(request)
        from cdi_refreshd import pipeline  # noqa: PLC0415 - the child is at work meanwhile

        target = pipeline.target(settings, path, form)
        return pipeline.one_pass(child, request, last, target, min(limit_s, settings.probe_limit_s))

    outcome = until_done(once, wait_s) if wait_s else once(settings.probe_limit_s)
    from cdi_refreshd.core.refresh import states  # noqa: PLC0415

    report(outcome, path)
    verdict = outcome.verdict
    return states.USAGE if verdict.usage else states.exit_status(verdict.state, verdict.findings, parsed.strict)


def until_done(once: "Callable[[float], Outcome]", wait_s: float) -> "Outcome":
    """Passes with growing pauses until one succeeds, or the time is over. Returns the last outcome.

    A pass may take what is left of the time, but never less than LEAST_PROBE_S: NVML needs seconds on large hosts.
    """
    ends_at = time.monotonic() + wait_s
    first = once(max(LEAST_PROBE_S, wait_s))
    if is_done(first):
        return first
    import tenacity  # noqa: PLC0415 - it costs three interpreters' start, and most boots need one pass

    left_s = ends_at - time.monotonic()
    pause = tenacity.wait_random_exponential(multiplier=FIRST_RETRY_S, max=LAST_RETRY_S)
    later = (once(max(LEAST_PROBE_S, ends_at - time.monotonic())) for _ in itertools.count())
    outcomes = itertools.chain([first], later)
    last: Outcome = tenacity.Retrying(
        stop=tenacity.stop_after_delay(left_s),
        # The last pass is at the very end of the time, not up to a pause after it.
        wait=lambda call: min(pause(call), max(0.0, left_s - (call.seconds_since_start or 0.0))),
        retry=tenacity.retry_if_not_result(is_done),
        retry_error_callback=lambda call: call.outcome and call.outcome.result(),
    )(lambda: next(outcomes))
    return last


def is_done(outcome: "Outcome") -> bool:
    """Whether waiting would not change it."""
    from cdi_refreshd.core.refresh import states  # noqa: PLC0415

    verdict = outcome.verdict
    return verdict.state in DONE or verdict.usage or states.is_given_away(verdict)


def report(outcome: "Outcome", path: str) -> None:
    """One line for the outcome, one for each thing that is wrong."""
    verdict = outcome.verdict
    if verdict.state in ("ready", "degraded"):
        what = "published" if outcome.changed else "unchanged"
    else:
        what = "left as it was"
    if not outcome.stands:
        what = "withdrawn" if outcome.changed else "no file"
    log(f"{verdict.state}: {verdict.reason}; {path}: {what}")
    for finding in verdict.findings:
        if finding.severity != "info" and finding not in verdict.in_reason:
            log(str(finding))


def seconds(option: str, word: str | None) -> float:
    """0 if none is given."""
    try:
        value = float(word or 0)
    except ValueError:
        value = -1
    if not 0 <= value < float("inf"):
        from cdi_refreshd.core.findings import quoted  # noqa: PLC0415 - only a mistake needs it

        raise UsageFault(option, f"{quoted(word or '')} is not a number of seconds", "write 60, for a minute")
    return value


def log(text: str) -> None:
    print(f"cdi-refreshd: {printable(text)}", file=sys.stderr)
