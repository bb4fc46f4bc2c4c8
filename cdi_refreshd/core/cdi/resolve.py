"""Which fully-qualified devices a runtime resolves from its spec directories, and what it does not, and why.

Source: the cache of library 1.1.0 (pkg/cdi/cache.go), with its quirk: a name that two files of one directory define is
gone even where a directory of higher priority defines it well.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.names import QualifiedName
from cdi_refreshd.core.findings import Finding

DEFAULT_DIRECTORIES = ("/etc/cdi", "/var/run/cdi")
"""Lowest priority first."""
NAMES_TOLD = 4


class SpecFile(NamedTuple):
    path: str
    priority: int
    """Index of its directory: the highest wins."""
    spec: Spec


class Definition(NamedTuple):
    """One file's definition of one device."""

    name: str
    file: str
    state: str
    """ok: this is what a container gets. shadowed: another file wins. conflict: nobody can have the device."""
    because_of: tuple[str, ...] = ()
    """The file that wins, or those in conflict."""


def definitions(files: Iterable[SpecFile]) -> list[Definition]:
    """Every definition of every device, by name, then in the order of the files. `files` are valid specs."""
    by_name: dict[str, list[SpecFile]] = {}
    for file in files:
        for device in file.spec.devices:
            name = str(QualifiedName(file.spec.vendor, file.spec.class_name, device.name))
            by_name.setdefault(name, []).append(file)
    return [definition for name in sorted(by_name) for definition in _judged(name, by_name[name])]


def resolved(found: Iterable[Definition]) -> dict[str, str]:
    """Name -> the file that it comes from, of what can be had."""
    return {definition.name: definition.file for definition in found if definition.state == "ok"}


def findings(found: Iterable[Definition]) -> list[Finding]:
    """What a person should know of them: one line for all that the same files do to each other."""
    groups: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for state, file, because_of, name in ((d.state, d.file, d.because_of, d.name) for d in found):
        if state == "shadowed":
            groups.setdefault((state, (file, *because_of)), []).append(name)
        elif state == "conflict" and file == because_of[0]:
            groups.setdefault((state, because_of), []).append(name)
    return [_told(state, files, names) for (state, files), names in groups.items()]


def _told(state: str, files: tuple[str, ...], names: list[str]) -> Finding:
    listed = ", ".join(names[:NAMES_TOLD])
    if len(names) > NAMES_TOLD:
        listed += f" and {len(names) - NAMES_TOLD} more"
    if state == "shadowed":
        return Finding("info", files[0], f"{files[1]} wins for {listed}", "remove the file that is not wanted")
    others = " and ".join(files[1:])
    return Finding(
        "degraded", files[0], f"{others} has the same devices, so nobody gets {listed}", "remove one of the files"
    )


def _judged(name: str, files: list[SpecFile]) -> Iterable[Definition]:
    rivals = tuple(file.path for file in files if sum(other.priority == file.priority for other in files) > 1)
    winner = max(files, key=lambda file: file.priority)
    for file in files:
        if rivals:
            yield Definition(name, file.path, "conflict", rivals)
        elif file is winner:
            yield Definition(name, file.path, "ok")
        else:
            yield Definition(name, file.path, "shadowed", (winner.path,))
