"""`cdi-refreshd check`: do the published specs still say the truth about this host? Anybody's, for anybody."""

import sys

from cdi_refreshd.core.cdi.resolve import DEFAULT_DIRECTORIES, definitions
from cdi_refreshd.core.checks import collect
from cdi_refreshd.core.checks.collect import Group
from cdi_refreshd.core.checks.nvidia_rules import counted
from cdi_refreshd.core.findings import SEVERITIES
from cdi_refreshd.inspect import published, spec_files
from cdi_refreshd.options import Parser

DESCRIPTION = """Say whether the CDI specs of this host, of any vendor, still say the truth: device nodes and their
numbers, mounts, hooks, drivers, container runtimes. Needs no root, opens no device, wakes no GPU. Exit status: 0 they
do, 1 there are findings of the level, 2 more rights are needed to look."""
CLEAN, FINDINGS, BLIND = 0, 1, 2


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd check", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("files", metavar="FILE", nargs="*", help="look at these instead of the spec directories")
    parser.add_argument("--json", action="store_true", help="every finding, as docs/check-json.md tells")
    parser.add_argument(
        "--level", choices=SEVERITIES, default="degraded", help="tell these and worse (default: degraded)"
    )
    parser.add_argument(
        "--spec-dir",
        metavar="DIR",
        action="append",
        help=f"look here; give it again for more, the last one wins (default: {', '.join(DEFAULT_DIRECTORIES)})",
    )
    options = parser.parse_args(argv)
    asked = published.ask()  # they answer while we read specs
    directories = [] if options.files else list(options.spec_dir or DEFAULT_DIRECTORIES)
    loaded = spec_files.load(directories)
    for file in options.files:
        spec_files.read(file, 0, loaded)
    found = published.everything(loaded, directories, asked)
    told = collect.at_least(options.level, found)
    blind = [finding for finding in loaded.broken if finding.place in loaded.unreadable]
    status = BLIND if blind and (options.files or not told) else FINDINGS if told else CLEAN
    files = [file.path for file in loaded.files]
    devices = sum(one.state == "ok" for one in definitions(loaded.files))
    if options.json:
        import json  # noqa: PLC0415 - only here

        json.dump(collect.as_json(found, files, devices, options.level, status), sys.stdout, indent=2)
        print()
        return status
    groups = collect.grouped(told)
    for group in groups:
        print(collect.line(group))
    print(summary(groups, len(collect.grouped(found)) - len(groups), files, devices))
    return status


def summary(told: list[Group], notes: int, files: list[str], devices: int) -> str:
    where = f"{counted(devices, 'device')} in {', '.join(files)}" if files else "no CDI spec"
    more = f" ({counted(notes, 'note')}: --level info)" if notes else ""
    if not told:
        return f"ok: {where}{more}"
    counts = [(severity, sum(group.severity == severity for group in told)) for severity in SEVERITIES]
    return f"{', '.join(f'{number} {severity}' for severity, number in counts if number)}; {where}"
