"""`cdi-refreshd list`: the devices that a container can be given, and the file that each comes from."""

import argparse
import sys

from cdi_refreshd.core.decode import decode_valid
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.registry import DEFAULT_DIRECTORIES, Definition, SpecFile, definitions, findings, resolved
from cdi_refreshd.host import documents

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
    files, broken = _load(options.spec_dir or DEFAULT_DIRECTORIES)
    found = definitions(files)
    if options.json:
        _print_json(found, broken)
    else:
        for name, file in resolved(found).items():
            print(f"{name}\t{file}")
    for finding in [*broken, *findings(found)]:
        print(finding, file=sys.stderr)
    return 0


def _load(directories: list[str] | tuple[str, ...]) -> tuple[list[SpecFile], list[Finding]]:
    files: list[SpecFile] = []
    broken: list[Finding] = []
    for priority, directory in enumerate(directories):
        paths, told = documents.spec_files(directory)
        broken += told
        for path in paths:
            try:
                spec, problems = decode_valid(documents.read(path))
            except Fault as fault:
                spec, problems = None, [fault.finding._replace(place="")]
            if spec is not None:
                files.append(SpecFile(path, priority, spec))
            broken += [_of_file(path, problem) for problem in problems]
    return files, broken


def _of_file(path: str, problem: Finding) -> Finding:
    """A place in a document, as something about its file."""
    return Finding("degraded", path, f"{problem.place}: {problem.fact}".removeprefix(": "), problem.cure)


def _print_json(found: list[Definition], broken: list[Finding]) -> None:
    import json  # noqa: PLC0415 - only here

    document = {
        "version": JSON_VERSION,
        "devices": [definition._asdict() for definition in found],
        "errors": [{"file": finding.place, "fact": finding.fact, "cure": finding.cure} for finding in broken],
    }
    print(json.dumps(document, indent=2))
