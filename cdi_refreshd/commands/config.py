"""`cdi-refreshd config`: what is in effect, and where each value comes from."""

import sys

from cdi_refreshd import config
from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.config.schema import KEYS, SECTIONS, shown, value_of
from cdi_refreshd.core.findings import printable_lines

DESCRIPTION = """Print the configuration in effect, in the syntax of its files, each value with its file and
line. The daemon uses it unchanged; options of oneshot override it. Exit status: 0, or 78 if the
configuration is broken."""
JSON_VERSION = 1
COMMENTS_AT = 40


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd config", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument(
        "--config-file", metavar="FILE", help=f"read only this configuration file ({config.VARIABLE} does the same)"
    )
    parser.add_argument("--json", action="store_true", help="for programs")
    parsed = parser.parse_args(argv)
    loaded = config.load(parsed.config_file)
    print(_json(loaded) if parsed.json else printable_lines(text(loaded)))
    for finding in loaded.findings:
        print(f"cdi-refreshd: {finding}", file=sys.stderr)
    return 0


def text(loaded: config.Loaded) -> str:
    """A configuration file with what is in effect."""
    lines = []
    for section in SECTIONS:
        lines += ["", f"[{section}]"]
        for key in KEYS:
            if key.section == section:
                line = f"{key.name} = {shown(loaded.settings, key)}".ljust(COMMENTS_AT)
                lines.append(f"{line}  # {_printable(loaded.origins[key.name])}")
    return "\n".join(lines[1:])


def _printable(origin: str) -> str:
    """A file's name may hold anything."""
    return origin if origin.isprintable() else ascii(origin)


def _json(loaded: config.Loaded) -> str:
    import json  # noqa: PLC0415 - only here

    def section_values(section: str) -> dict[str, object]:
        return {
            key.name: {
                "value": key.kind.plain(value_of(loaded.settings, key)),
                "origin": loaded.origins[key.name],
            }
            for key in KEYS
            if key.section == section
        }

    document = {
        "version": JSON_VERSION,
        "files": loaded.files,
        "settings": {section: section_values(section) for section in SECTIONS},
        "findings": [{"place": f.place, "fact": f.fact, "hint": f.hint} for f in loaded.findings],
    }
    return json.dumps(document, indent=2)
