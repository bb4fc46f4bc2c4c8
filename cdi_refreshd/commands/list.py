"""`cdi-refreshd list`: the devices that a container can be given, and the file that each comes from."""

import sys

from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.cdi.resolve import resolved
from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks import directory_rules, report
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.published import Published
from cdi_refreshd.core.findings import printable
from cdi_refreshd.inspect import spec_directories

JSON_VERSION = 1


def run(argv: list[str]) -> int:
    parser = Parser(
        prog="cdi-refreshd list",
        description="List the fully-qualified CDI devices that a container runtime would resolve.",
        epilog="Exit status: 0 listed, whatever was found; 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--spec-dir",
        metavar="DIRECTORY",
        action="append",
        help=f"read specs here; repeat it for more, the last one wins (default: {', '.join(SPEC_DIRECTORIES)})",
    )
    parser.add_argument(
        "--json", action="store_true", help="every definition, also those that are shadowed or in conflict"
    )
    options = parser.parse_args(argv)
    directories = options.spec_dir or SPEC_DIRECTORIES
    seen = spec_directories.gathered(directories)
    if options.json:
        _print_json(seen)
    else:
        for name, file in resolved(seen.definitions).items():
            print(printable(name) + "\t" + printable(file))
    found = [one for rule in directory_rules.IN_LIST for one in rule(seen, Host({}))]
    for group in report.grouped(found):
        print(report.line(group), file=sys.stderr)
    if not seen.definitions and not found and not options.json:
        print(printable(f"cdi-refreshd: no CDI device in {' and '.join(directories)}"), file=sys.stderr)
    return 0


def _print_json(seen: Published) -> None:
    import json  # noqa: PLC0415 - only here

    document = {
        "version": JSON_VERSION,
        "devices": [definition._asdict() for definition in seen.definitions],
        "errors": [{"file": one.path, "fact": one.problem.fact, "hint": one.problem.hint} for one in seen.broken],
    }
    print(json.dumps(document, indent=2))
