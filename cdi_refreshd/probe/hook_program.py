"""Finds NVIDIA's hook program and its version and hooks. It is asked once, and again after it was replaced."""

import json
from typing import NamedTuple

from cdi_refreshd import __version__
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia import hook_program
from cdi_refreshd.core.nvidia.driver_paths import HOOK
from cdi_refreshd.core.nvidia.hook_program import CTK, HookProgram
from cdi_refreshd.core.nvidia.inventory import freeze, to_json
from cdi_refreshd.host import program_output, regular_file
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.host.program_output import Identity
from cdi_refreshd.probe import files

CACHE = "/run/cdi-refreshd/hook-program.json"
SIZE_LIMIT_BYTES = 1 << 16
WITHOUT = ("gds", "gdrcopy", "imex", "mofed", "nvswitch")
"""Modes whose specs have no hooks."""


class Known(NamedTuple):
    """The output of a program, and its file. `release` is ours: another one may parse more of it."""

    release: str
    identity: Identity
    program: HookProgram


def found(choices: Choices, keep: bool = False) -> HookProgram:
    """The hook program of this host, by its own output. `keep`: stored for later processes."""
    path = place(choices)
    return HookProgram(path) if choices.mode in WITHOUT or choices.hooks == "none" else asked(path, keep)


def place(choices: Choices) -> str:
    """The toolkit's programs are the host's own, whatever the driver root. The usual path if there is none."""
    wanted = choices.hook_path or HOOK
    if wanted.startswith("/"):
        return wanted
    host = Tree(choices.prefix or "/")
    other = files.program(host, CTK) if wanted == HOOK else ""
    return files.program(host, wanted) or other or host.host(f"/usr/bin/{wanted}")


def asked(path: str, keep: bool = False) -> HookProgram:
    identity = program_output.identity(path)
    if identity is None or not Tree("/").is_executable(path):
        return HookProgram(path)
    known = _known()
    if known and (known.release, known.identity, known.program.path) == (__version__, identity, path):
        return known.program
    of_help, of_version = program_output.ask(path, hook_program.questions(path))
    if not (of_help.runs and of_version.runs):
        return HookProgram(path)
    program = hook_program.parsed(path, of_help.text, of_version.text)
    if keep:
        _keep(Known(__version__, identity, program))
    return program


def _known() -> Known | None:
    try:
        known: Known = freeze(Known, json.loads(regular_file.read(CACHE, SIZE_LIMIT_BYTES)))
        return known
    except (OSError, ValueError, TypeError, RecursionError):
        return None


def _keep(known: Known) -> None:
    from cdi_refreshd.host import atomic_file  # noqa: PLC0415 - once for each program

    try:
        atomic_file.publish(CACHE, to_json(known))
    except Fault:
        return  # the next process asks again, which takes some milliseconds
