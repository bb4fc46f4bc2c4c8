"""`cdi-refreshd validate FILE...`: is each file a valid CDI document, by the rules that container runtimes apply?"""

import argparse
import sys

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.host import yaml_file

STDIN = "-"
VALID, INVALID, UNREADABLE = 0, 1, 2


def run(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="cdi-refreshd validate",
        description="Say whether each file is a valid CDI document, as strictly as container runtimes do.",
        epilog="Exit status: 0 all are valid, 1 one is not, 2 one could not be read.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a JSON or YAML file, or - for standard input")
    return max(_one(file) for file in parser.parse_args(argv).files)


def _one(file: str) -> int:
    try:
        spec, findings = decode_valid(_data(file))
    except yaml_file.Unreadable as fault:
        print(fault, file=sys.stderr)
        return UNREADABLE
    except Fault as fault:
        spec, findings = None, [fault.finding._replace(place="")]
    if spec is not None:
        print(f"{file}: {_told(spec)}")
        return VALID
    for finding in findings:
        print(f"{file}: {_line(finding)}", file=sys.stderr)
    return INVALID


def _data(file: str) -> object:
    if file == STDIN:
        data = sys.stdin.buffer.read(yaml_file.SIZE_LIMIT_BYTES + 1)
        return yaml_file.parse(yaml_file.bounded(data, STDIN), STDIN)
    return yaml_file.read(file)


def _told(spec: Spec) -> str:
    count = len(spec.devices)
    return f"valid, cdiVersion {spec.cdi_version.removeprefix('v')}, {count} device{'s' if count != 1 else ''}"


def _line(finding: Finding) -> str:
    return str(finding) if finding.place else str(finding).removeprefix(": ")
