"""`cdi-refreshd generate`: print a spec, or write it. A script for `nvidia-ctk cdi generate` works with it."""

import contextlib
import sys
from collections.abc import Iterable

from cdi_refreshd.core.findings import Fault, Finding, printable
from cdi_refreshd.probe import runner

DESCRIPTION = """Print a CDI spec of this machine. The options are those of nvidia-ctk cdi generate.
Exit status: 0 done, 1 failed, 2 usage, 3 driver or libraries not there, 4 they are of different versions,
5 with --strict: something is left out."""


def run(argv: list[str]) -> int:
    # First of all: the child imports while we parse the command line.
    with contextlib.closing(runner.Prepared()) as prepared:
        return generated(argv, prepared)


def generated(argv: list[str], prepared: runner.Prepared) -> int:
    from cdi_refreshd import command_line, options  # noqa: PLC0415 - after the child has started
    from cdi_refreshd.probe.request import Request  # noqa: PLC0415

    parser = command_line.parser("generate", DESCRIPTION)
    parser.add_argument("--strict", action="store_true", help="exit 5 if something is left out")
    parser.add_argument("--config", metavar="FILE", help="the NVIDIA container toolkit's config.toml")
    parser.add_argument("--quiet", "-q", action="store_true", help="only faults on stderr")
    parser.add_argument("--debug", "-d", action="store_true", help="minor findings too")
    parsed = parser.parse_args(argv)
    choices = options.choices(parsed)
    wanted = options.output_format(parsed)
    asked_path = path = options.output(parsed) or "-"
    path, form, warning = options.document_path(path, wanted) if path != "-" else (path, wanted or "yaml", "")
    if path != asked_path:
        warning = f"--output: {asked_path} does not end in .yaml or .json, so the spec is {path}"
    asked = prepared.ask(request := Request(choices))
    from cdi_refreshd import pipeline  # noqa: PLC0415
    from cdi_refreshd.core.refresh import states  # noqa: PLC0415

    target = pipeline.Target(path, form)
    verdict = pipeline.judge(runner.Waiting(asked), request, target, pipeline.Known(refuses=path != "-"))
    shown = [f for f in verdict.findings if f.severity != "info" or parsed.debug]
    if verdict.spec is None:
        print(f"cdi-refreshd: {printable(verdict.reason)}", file=sys.stderr)
        report(() if parsed.quiet else [finding for finding in shown if finding not in verdict.in_reason])
        # Without a document the status is never 0: scripts redirect the output into a spec file.
        return states.USAGE if verdict.usage else states.exit_status(verdict.state) or states.EXIT_STATUS["failed"]
    report(() if parsed.quiet else shown)
    if path == "-":
        for _, content in pipeline.documents(verdict.spec, path, form):
            sys.stdout.buffer.write(content)
    else:
        if warning and not parsed.quiet:
            print(f"cdi-refreshd: {printable(warning)}", file=sys.stderr)
        outcome = pipeline.apply(verdict, target)
        if outcome.verdict.state == "failed":
            raise Fault(*outcome.verdict.findings[0][1:4])
    return states.DEGRADED if parsed.strict and verdict.state == "degraded" else 0


def report(findings: Iterable[Finding]) -> None:
    for finding in findings:
        print(f"cdi-refreshd: {finding}", file=sys.stderr)
