"""`cdi-refreshd validate FILE...`: is each file a valid CDI document, by the rules that container runtimes apply?"""

import sys

from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.checks.subject import counted
from cdi_refreshd.core.findings import Fault, printable
from cdi_refreshd.host import yaml_file

STDIN = "-"
VALID, INVALID, UNREADABLE = 0, 1, 2


def run(argv: list[str]) -> int:
    parser = Parser(
        prog="cdi-refreshd validate",
        description="Report whether each file is a valid CDI document, as strictly as container runtimes do.",
        epilog="Exit status: 0 all are valid, 1 one is not, 2 one could not be read.",
        allow_abbrev=False,
    )
    parser.add_argument("files", metavar="FILE", nargs="+", help="a JSON or YAML file, or - for standard input")
    return max(_one(file) for file in parser.parse_args(argv).files)


def _one(file: str) -> int:
    place = printable(file)
    try:
        document = yaml_file.document(_bytes(file), file)
        spec, findings = decode_valid(document.value)
    except yaml_file.Unreadable as fault:
        print(fault, file=sys.stderr)
        return UNREADABLE
    except Fault as fault:
        print(fault, file=sys.stderr)
        return INVALID
    if spec is not None:
        print(f"{place}: {_valid(spec, document.unread_line)}")
        return VALID
    for finding in findings:
        print(f"{place}: {finding}", file=sys.stderr)
    return INVALID


def _bytes(file: str) -> bytes:
    if file == STDIN:
        return yaml_file.bounded(sys.stdin.buffer.read(yaml_file.SIZE_LIMIT_BYTES + 1), STDIN)
    return yaml_file.read_bytes(file)


def _valid(spec: Spec, unread_line: int) -> str:
    text = f"valid, cdiVersion {spec.cdi_version.removeprefix('v')}, {counted(len(spec.devices), 'device')}"
    return f"{text}; nothing after line {unread_line - 1} is read" if unread_line else text
