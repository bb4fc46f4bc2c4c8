"""Everything in the spec directories of a host, as runtimes resolve it: the input of the rules."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.cdi.names import QualifiedName
from cdi_refreshd.core.cdi.resolve import Definition, SpecFile, definitions
from cdi_refreshd.core.checks.subject import Subject, subject
from cdi_refreshd.core.findings import Finding


class Document(NamedTuple):
    """A file of a spec directory, valid or not."""

    path: str
    kind: str = ""
    """"" if none can be read."""
    ours: bool = False
    """It is our own file, under this name or through a link."""


class Broken(NamedTuple):
    """A file or a directory that runtimes reject or that cannot be read."""

    path: str
    problem: Finding
    is_directory: bool = False
    unreadable: bool = False
    """It could not be read."""


class Published(NamedTuple):
    directories: tuple[str, ...] = ()
    """() if files were named: each is then checked as if it were the only one."""
    files: tuple[SpecFile, ...] = ()
    """The valid specs, lowest priority first."""
    documents: tuple[Document, ...] = ()
    broken: tuple[Broken, ...] = ()
    definitions: tuple[Definition, ...] = ()
    subjects: tuple[Subject, ...] = ()
    aliases: frozenset[tuple[str, str]] = frozenset()
    """Pairs of paths to the same file."""
    unread: tuple[str, ...] = ()
    """Files that look like specs, with names that no runtime reads."""

    @property
    def ours(self) -> Document | None:
        return next((document for document in self.documents if document.ours and document.kind), None)


def published(
    directories: Iterable[str], files: Iterable[SpecFile], documents: Iterable[Document], broken: Iterable[Broken] = ()
) -> Published:
    """`directories` empty: each file on its own."""
    directories, files, documents = tuple(directories), tuple(files), tuple(documents)
    known = definitions(files) if directories else [one for file in files for one in definitions([file])]
    ours = frozenset(document.path for document in documents if document.ours)
    seen = tuple(_subjects(files, known, ours))
    return Published(directories, files, documents, tuple(broken), tuple(known), seen)


def _subjects(files: Iterable[SpecFile], known: Iterable[Definition], ours: frozenset[str]) -> Iterable[Subject]:
    """What containers get from each file; without files of which they get nothing."""
    resolved = {(one.file, one.name) for one in known if one.state == "ok"}
    for file in files:
        spec = file.spec
        devices = tuple(
            device
            for device in spec.devices
            if (file.path, str(QualifiedName(spec.vendor, spec.class_name, device.name))) in resolved
        )
        if devices:
            yield subject(file.path, spec, file.path in ours, devices)
