"""`cdi-refreshd list`: the devices that a container can be given, and the file that each comes from."""

import argparse
import sys

from cdi_refreshd.core.cdi.resolve import DEFAULT_DIRECTORIES, Definition, definitions, findings, resolved
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.inspect import spec_files

JSON_VERSION = 1


def run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="cdi-refreshd list",
        description="List the fully-qualified CDI devices that a container runtime would resolve.",
        epilog="Exit status: 0 listed, whatever was found; 2 wrong usage.",
        allow_abbrev=False,
    )
    parser.add_argument(
        "--spec-dir",
        metavar="DIRECTORY",
        action="append",
        help=f"look here; give it again for more, the last one wins (default: {', '.join(DEFAULT_DIRECTORIES)})",
    )
    parser.add_argument("--json", action="store_true", help="every definition, also what is shadowed or in conflict")
    options = parser.parse_args(argv)
    loaded = spec_files.load(options.spec_dir or DEFAULT_DIRECTORIES)
    found, broken = definitions(loaded.files), loaded.broken
    if options.json:
        _print_json(found, broken)
    else:
        for name, file in resolved(found).items():
            print(f"{name}\t{file}")
    for finding in [*broken, *findings(found)]:
        print(finding, file=sys.stderr)
    return 0


def _print_json(found: list[Definition], broken: list[Finding]) -> None:
    import json  # noqa: PLC0415 - only here

    document = {
        "version": JSON_VERSION,
        "devices": [definition._asdict() for definition in found],
        "errors": [{"file": finding.place, "fact": finding.fact, "hint": finding.hint} for finding in broken],
    }
    print(json.dumps(document, indent=2))
