"""Writes the completions from the parsers of the commands: `python completion/generate.py bash|zsh|fish`."""

import argparse
import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, NoReturn

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from cdi_refreshd.cli import COMMANDS
from cdi_refreshd.core.config.generate_options import FEATURE_FLAGS, FORMATS, HOOKS, MODES, NAME_STRATEGIES

MADE = "# Made by completion/generate.py: `make generated`."
WORDS = {
    "mode": MODES,
    "format": FORMATS,
    "name_strategies": NAME_STRATEGIES,
    "disabled_hooks": (*HOOKS, "all"),
    "enabled_hooks": HOOKS,
    "feature_flags": FEATURE_FLAGS,
}
LISTS = ("name_strategies", "disabled_hooks", "enabled_hooks", "feature_flags")
FOLDERS = ("driver_root", "dev_root", "library_search_paths", "config_search_paths")
ANYTHING, FILE, FOLDER, LIST = "anything", "file", "folder", "list"


class Option(NamedTuple):
    flags: tuple[str, ...]
    """Empty for an argument that is no option."""
    help: str
    takes: str
    """The name of its value, "" where it needs none."""
    kind: str
    """Of its value."""
    words: tuple[str, ...]
    """That it may be, or that may be in it."""


class Caught(Exception):
    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self.parser = parser


def options(command: str) -> list[Option]:
    return [
        Option(
            tuple(action.option_strings),
            # Its own way to fill in defaults has no public name.
            parser._get_formatter()._expand_help(action) if action.help else "",
            "" if action.nargs in (0, "?") else str(action.metavar or action.dest),
            kind(action),
            tuple(map(str, action.choices or WORDS.get(action.dest, ()))),
        )
        for parser in [parser_of(command)]
        for action in parser._actions
    ]


def kind(action: argparse.Action) -> str:
    if action.dest in LISTS:
        return LIST
    if action.dest in FOLDERS or str(action.metavar).startswith("DIR"):
        return FOLDER
    return FILE if action.metavar == "FILE" or action.dest == "csv_files" else ANYTHING


def parser_of(command: str) -> argparse.ArgumentParser:
    """A command makes its parser and calls it: the parser is caught there.

    `--help`, because a command without arguments may make no parser: `run` would be the daemon itself.
    """

    def catch(parser: argparse.ArgumentParser, *_: object) -> NoReturn:
        raise Caught(parser)

    own, argparse.ArgumentParser.parse_args = argparse.ArgumentParser.parse_args, catch  # type: ignore[assignment]
    try:
        importlib.import_module(f"cdi_refreshd.commands.{command.replace('-', '_')}").run(["--help"])
    except Caught as caught:
        return caught.parser
    finally:
        argparse.ArgumentParser.parse_args = own  # type: ignore[method-assign]
    raise RuntimeError(f"{command} parses no options")


def bash() -> Iterator[str]:
    known = {command: options(command) for command in COMMANDS}
    yield f"""# bash completion for cdi-refreshd(8)
{MADE}
_cdi_refreshd() {{
    local cur=${{COMP_WORDS[COMP_CWORD]}} prev=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
    local options="" words="" list="" paths=""
    COMPREPLY=()
    # bash takes --option=value for three words.
    if [[ $cur == "=" ]]; then
        cur=""
    elif [[ $prev == "=" ]]; then
        prev=${{COMP_WORDS[COMP_CWORD-2]}}
    fi
    if ((COMP_CWORD == 1)); then
        mapfile -t COMPREPLY < <(compgen -W "{" ".join(COMMANDS)} --help --version" -- "$cur")
        return
    fi
    # As nvidia-ctk has it: cdi generate.
    if [[ $command == cdi ]]; then
        ((COMP_CWORD == 2)) && {{
            mapfile -t COMPREPLY < <(compgen -W "generate list" -- "$cur")
            return
        }}
        command=${{COMP_WORDS[2]}}
    fi
    case $prev in"""
    yield from _bash_values([option for found in known.values() for option in found])
    yield """    esac
    if [[ -n $list ]]; then
        local before=""
        [[ $cur == *,* ]] && before=${cur%,*},
        mapfile -t COMPREPLY < <(compgen -P "$before" -W "$list" -- "${cur##*,}")
        return
    elif [[ -n $words ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$words" -- "$cur")
        return
    elif [[ -n $paths ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen "$paths" -- "$cur")
        return
    fi
    case $command in"""
    for command, found in known.items():
        yield f'    {command}) options="{" ".join(flag for option in found for flag in option.flags)}" ;;'
    files = [command for command, found in known.items() if any(not option.flags for option in found)]
    yield f"""    esac
    if [[ $cur == -* ]]; then
        mapfile -t COMPREPLY < <(compgen -W "$options" -- "$cur")
    elif [[ " {" ".join(files)} " == *" $command "* ]]; then
        compopt -o filenames
        mapfile -t COMPREPLY < <(compgen -f -- "$cur")
    fi
}}
complete -F _cdi_refreshd cdi-refreshd"""


def _bash_values(found: list[Option]) -> Iterator[str]:
    """Grouped by completion: an option means the same with every command."""
    flags: dict[str, list[str]] = {}
    for option in found:
        if option.flags and option.takes:
            flags.setdefault(_bash_value(option), []).extend(option.flags)
    every = [flag for several in flags.values() for flag in dict.fromkeys(several)]
    assert len(every) == len(set(every)), "an option has two meanings"
    for code, several in flags.items():
        yield f"    {' | '.join(dict.fromkeys(several))})\n        {code}\n        ;;"


def _bash_value(option: Option) -> str:
    if option.words:
        return f'{"list" if option.kind == LIST else "words"}="{" ".join(option.words)}"'
    if option.kind == ANYTHING:
        return "return"
    return f"paths={'-f' if option.kind == FILE else '-d'}"


def zsh() -> Iterator[str]:
    yield f"#compdef cdi-refreshd\n{MADE}\n"
    yield "_cdi_refreshd() {\n    local -a subcommands\n    local state line\n    subcommands=("
    for command, text in COMMANDS.items():
        yield f"        '{_zsh(command)}:{_zsh(text)}'"
    yield """    )
    # As nvidia-ctk has it: cdi generate.
    if [[ $words[2] == cdi ]] && ((CURRENT > 2)); then
        words[2]=()
        ((CURRENT--))
    fi
    _arguments -C '(- *)'{-h,--help}'[show help]' '(- *)'{-V,--version}'[show the version]' \\
        '1:command:->command' '*::option:->option'
    case $state in
    command) _describe command subcommands ;;
    option)
        case $words[1] in"""
    for command in COMMANDS:
        yield f"        {command})\n            _arguments \\"
        yield " \\\n".join(f"                {line}" for option in options(command) for line in _zsh_specs(option))
        yield "            ;;"
    yield '        esac\n        ;;\n    esac\n}\n\n_cdi_refreshd "$@"'


def _zsh_specs(option: Option) -> Iterator[str]:
    if option.words:
        how = f"({' '.join(option.words)})" if option.kind != LIST else f"_sequence compadd - {' '.join(option.words)}"
    else:
        how = {FILE: "_files", FOLDER: "_files -/"}.get(option.kind, " ")
    if not option.flags:
        yield f"'*:{_zsh(option.takes)}:{how}'"
    for flag in option.flags:
        value = f":{_zsh(option.takes)}:{how}" if option.takes else ""
        joined = "=" if value and flag.startswith("--") else ""
        yield f"'*{flag}{joined}[{_zsh(option.help)}]{value}'"


def _zsh(text: str) -> str:
    for special, safe in (("\\", "\\\\"), ("'", "'\\''"), (":", "\\:"), ("[", "\\["), ("]", "\\]")):
        text = text.replace(special, safe)
    return text


def fish() -> Iterator[str]:
    yield f"# fish completion for cdi-refreshd(8)\n{MADE}"
    yield "complete -c cdi-refreshd -f"
    # As nvidia-ctk has it: cdi generate.
    yield f"set -l commands {' '.join(COMMANDS)}"
    first = 'complete -c cdi-refreshd -n "not __fish_seen_subcommand_from $commands"'
    yield f"{first} -s h -l help -d 'show help'\n{first} -s V -l version -d 'show the version'"
    for command, text in COMMANDS.items():
        yield f"{first} -a {command} -d {_fish(text)}"
    for command in COMMANDS:
        for option in options(command):
            words = [f"complete -c cdi-refreshd -n '__fish_seen_subcommand_from {command}'", *_fish_option(option)]
            yield " ".join(words)


def _fish_option(option: Option) -> Iterator[str]:
    for flag in option.flags:
        yield f"{'-l' if flag.startswith('--') else '-s'} {flag.lstrip('-')}"
    if option.takes and option.flags:
        yield "-r" if option.kind == FILE else "-x"
    if option.words:
        words = " ".join(option.words)
        yield f"-a {_fish(f'(__fish_append , {words})' if option.kind == LIST else words)}"
    elif option.kind == FOLDER:
        yield "-a '(__fish_complete_directories)'"
    elif option.kind == FILE:
        yield "-F"
    if option.help:
        yield f"-d {_fish(option.help)}"


def _fish(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


if __name__ == "__main__":
    for text in {"bash": bash, "zsh": zsh, "fish": fish}[sys.argv[1]]():
        print(text)
