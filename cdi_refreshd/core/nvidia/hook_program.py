"""What NVIDIA's hook program can do, by its own output and by what is known about its releases.

Source: the release tags of NVIDIA's container toolkit. Up to 1.17.9 a hook that the program does not know ends with an
error, and then no container with it starts; later ones ignore it.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

CTK = "nvidia-ctk"
PROGRAMS = ("nvidia-cdi-hook", CTK)
Release = tuple[int, int, int, int]
"""Major, minor, patch; the last is -1 for what comes before the release itself, such as 1.19.0-rc.1, else 0."""
SINCE: dict[str, Release] = {
    "chmod": (0, 0, 0, 0),
    "create-symlinks": (0, 0, 0, 0),
    "update-ldcache": (0, 0, 0, 0),
    "enable-cuda-compat": (1, 17, 5, 0),
    "disable-device-node-modification": (1, 18, 0, 0),
    "update-application-profile": (1, 20, 0, 0),
}
"""The release that brought each hook."""
TOLERANT_SINCE: Release = (1, 18, 0, 0)
CUDA_FLAGS = ("--host-cuda-version", "--cuda-compat-container-root")
CUDA_FLAGS_SINCE: Release = (1, 19, 0, 0)
"""Flags of enable-cuda-compat -> first release; an earlier program fails when given one."""
# Few processes ask the program: the others remember what it said.
VERSION = r"(?ai)\bversion +v?(\d{1,4})\.(\d{1,4})(?:\.(\d{1,4}))?(?P<rest>\S*)"
COMMAND = r" {2,4}([a-z][a-z0-9-]*)(?=,| |$)"


class HookProgram(NamedTuple):
    path: str = ""
    """Its path; the usual one if it is not installed."""
    runs: bool = False
    """Whether this host can execute it."""
    version: str = ""
    """As 1.17.8; "" if unknown."""
    commands: tuple[str, ...] = ()
    """The hooks that it lists; none if unknown."""


def is_ctk(path: str) -> bool:
    return path.rpartition("/")[2] == CTK


def words(path: str) -> tuple[str, ...]:
    """How a call begins: the program by its name, and what comes before the name of a hook."""
    return (CTK, "hook") if is_ctk(path) else (path.rpartition("/")[2],)


def questions(path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The arguments that make it list its hooks, and those that make it print its version."""
    return (*words(path)[1:], "--help"), ("--version",)


def parsed(path: str, of_help: str, of_version: str) -> HookProgram:
    """A program that was executed, and what it answered to both questions."""
    commands = listed(of_help)
    return HookProgram(path, True, version(of_version), commands if "create-symlinks" in commands else ())


def listed(text: str) -> tuple[str, ...]:
    """The names below `COMMANDS:`, as they stand in a help page."""
    found, within = [], False
    for line in text.splitlines():
        if line.strip() and not line.startswith(" "):
            within = line.strip() == "COMMANDS:"
        elif within and (name := re.match(COMMAND, line)):
            found.append(name[1])
    return tuple(name for name in dict.fromkeys(found) if name not in ("help", "h"))


def version(text: str) -> str:
    """From the first line that has one; "" if none has."""
    found = re.search(VERSION, text)
    return found[0].split()[-1].lstrip("v") if found else ""


def release(program: HookProgram) -> Release | None:
    found = re.search(VERSION, f"version {program.version}")
    if found is None:
        return None
    before = -1 if found["rest"].startswith(("-rc", "~rc", "-dev", "~dev")) else 0
    return int(found[1]), int(found[2]), int(found[3] or 0), before


def knows(program: HookProgram, hook: str) -> bool:
    """Its own list decides, else its version. A program without both counts as current."""
    if program.commands:
        return hook in program.commands
    of = release(program)
    return of is None or of >= SINCE.get(hook, (0, 0, 0, 0))


def tolerates(program: HookProgram) -> bool:
    """Whether a hook that it does not know does no harm."""
    of = release(program)
    if of is not None:
        return of >= TOLERANT_SINCE
    return not program.commands or "disable-device-node-modification" in program.commands


def takes_cuda_flags(program: HookProgram) -> bool:
    """If only its list of hooks shows its age, the newest of them has to be in it."""
    of = release(program)
    if of is not None:
        return of >= CUDA_FLAGS_SINCE
    return not program.commands or "update-application-profile" in program.commands


def called(path: str, arguments: Iterable[str]) -> str:
    """The hook that a call of NVIDIA's program is for, "" if it is for none. `arguments` as in a spec."""
    named = [word for word in list(arguments)[1:] if not word.startswith("-")]
    if is_ctk(path):
        return named[1] if named[:1] == ["hook"] and len(named) > 1 else ""
    return named[0] if named else ""
