"""Which fully-qualified devices a runtime resolves from its spec directories, which it does not, and why.

Source: the cache of library 1.1.0 (pkg/cdi/cache.go), with its quirk: a name that two files of one directory define is
lost even if a directory of higher priority defines it correctly.
"""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.names import QualifiedName


class SpecFile(NamedTuple):
    path: str
    priority: int
    """Index of its directory: the highest wins."""
    spec: Spec
    unread_line: int = 0
    """Line at which unread text after the first document begins; 0: there is none."""


class Definition(NamedTuple):
    """One file's definition of one device."""

    name: str
    file: str
    state: str
    """ok: this is what a container gets. shadowed: another file wins. conflict: no container gets the device."""
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
    """Name -> the file that it comes from, for every device that containers can get."""
    return {definition.name: definition.file for definition in found if definition.state == "ok"}


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
