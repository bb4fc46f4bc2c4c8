"""The command lines: errors of one line that name the nearest option, and the options of `nvidia-ctk cdi generate`."""

import argparse
from typing import Any, NoReturn

from cdi_refreshd.core.config.generate_options import LISTS, WORDS, nearest
from cdi_refreshd.core.findings import printable, quoted


class Parser(argparse.ArgumentParser):
    """Exit status 2 with one line that names the nearest option, and no page of usage."""

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> tuple[Any, list[str]]:
        """`parse_args` calls this, and would name what is unknown in its own words."""
        parsed, unknown = super().parse_known_args(args, namespace)
        if unknown:
            word = unknown[0].partition("=")[0]
            known = [flag for action in self._actions for flag in action.option_strings]
            hint = f"; {nearest(word, known)}" if word.startswith("-") else ""
            self.error(f"there is no {quoted(word)} here{hint}")
        return parsed, []

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {printable(message)}; see {self.prog} --help\n")


WRITTEN = "write there, atomically; the ending decides between YAML and JSON"


def parser(command: str, description: str, writes_spec: bool = True, output: str = WRITTEN) -> Parser:
    """With the options of the generator. `output`: what a command that knows of the spec's file does with --output."""
    # A fixed width spares argparse the query of the terminal, and the import for it.
    made = Parser(
        prog=f"cdi-refreshd {command}",
        description=description,
        allow_abbrev=False,
        formatter_class=lambda prog: argparse.HelpFormatter(prog, width=100),
    )
    for field, flags, _, text in LISTS:
        made.add_argument(*flags, dest=field, action="append", metavar="X", help=text)
    for field, flags, _, text in WORDS:
        made.add_argument(*flags, dest=field, metavar="X", help=text)
    made.add_argument(
        "--no-all-device", dest="no_all", nargs="?", const="true", metavar="BOOL", help="no device named all"
    )
    if writes_spec:
        made.add_argument("--output", metavar="FILE", help=output)
        made.add_argument("--format", metavar="X", help="yaml or json (default: by the output's name, else yaml)")
    return made
