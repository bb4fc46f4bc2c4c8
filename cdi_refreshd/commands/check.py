"""`cdi-refreshd check`: are the published specs up to date with this host? Of any vendor, for any user."""

import sys

from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks import configuration, expected_gpus, report
from cdi_refreshd.core.checks.report import Group
from cdi_refreshd.core.checks.subject import counted, listed
from cdi_refreshd.core.findings import SEVERITIES, printable
from cdi_refreshd.inspect import container_runtimes, published, spec_directories

DESCRIPTION = """Check whether the CDI specs of this host, of any vendor, are up to date: device nodes and their
numbers, mounts, hooks, drivers, container runtimes. Needs no root, opens no device, wakes no GPU. Exit status: 0 they
are, 1 there are findings of the level, 2 something cannot be read."""
CLEAN, FINDINGS, BLIND = 0, 1, 2


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd check", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="*", help="check these instead of the spec directories")
    parser.add_argument("--json", action="store_true", help="print every finding, as docs/check-json.md describes")
    parser.add_argument(
        "--level", choices=SEVERITIES, default="degraded", help="report these and worse (default: degraded)"
    )
    parser.add_argument(
        "--spec-dir",
        metavar="DIR",
        action="append",
        help=f"read specs here; repeat it for more, the last one wins (default: {', '.join(SPEC_DIRECTORIES)})",
    )
    options = parser.parse_args(argv)
    settings, broken = spec_directories.configuration()
    asks = not settings.prefix  # in a pod the runtimes are the host's
    asked = container_runtimes.ask() if asks else []  # they answer while we read specs
    directories = [] if options.files else list(options.spec_dir or SPEC_DIRECTORIES)
    seen = spec_directories.gathered(directories, options.files, settings.prefix)
    found, host = published.findings(seen)
    found += container_runtimes.findings(seen, host, asked) if asks else []
    missing = expected_gpus.missing(host.on_bus, settings.expected_gpus)
    found += [missing] if missing and directories else []
    found += [configuration.broken(broken)] if broken and directories else []
    shown = report.at_least(options.level, found)
    blind = any(one.unreadable for one in seen.broken)
    status = BLIND if blind and (options.files or not shown) else FINDINGS if shown else CLEAN
    files = [file.path for file in seen.files]
    devices = sum(one.state == "ok" for one in seen.definitions)
    if options.json:
        import json  # noqa: PLC0415 - only here

        json.dump(report.as_json(found, files, devices, options.level, status), sys.stdout, indent=2)
        print()
        return status
    groups = report.grouped(shown)
    for group in groups:
        print(report.line(group))
    where = f"{counted(devices, 'device')} in {listed(files)}" if files else f"no CDI spec in {listed(directories)}"
    print(summary(groups, len(report.grouped(found)) - len(groups), printable(where)))
    return status


def summary(shown: list[Group], notes: int, where: str) -> str:
    more = f" ({counted(notes, 'note')}: --level info)" if notes else ""
    if not shown:
        return f"ok: {where}{more}"
    counts = [(severity, sum(group.severity == severity for group in shown)) for severity in SEVERITIES]
    return f"{', '.join(f'{number} {severity}' for severity, number in counts if number)}; {where}"
