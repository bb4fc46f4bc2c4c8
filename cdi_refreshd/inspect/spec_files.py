"""The spec files of a host, read as container runtimes read them."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.host_prefix import inside
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.resolve import SpecFile
from cdi_refreshd.core.checks.published import Broken, Document
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.host import path_entries, yaml_file


class Loaded(NamedTuple):
    """What was read so far."""

    files: list[SpecFile]
    broken: list[Broken]
    kinds: dict[str, str]
    """Of every file that could be parsed, valid or not."""

    def documents(self, ours: Iterable[str]) -> tuple[Document, ...]:
        """`ours`: the paths that we publish to."""
        ours = tuple(ours)
        return tuple(Document(path, kind, path_entries.same_as(path, ours)) for path, kind in self.kinds.items())


def nothing() -> Loaded:
    return Loaded([], [], {})


def load(directories: Sequence[str], but: Iterable[str] = (), prefix: str = "") -> Loaded:
    """`but`: paths that are not read. `prefix`: where the host's / is; each path of a spec gets it."""
    loaded, but = nothing(), frozenset(but)
    for priority, directory in enumerate(directories):
        try:
            paths = yaml_file.spec_files(directory)
        except yaml_file.Unreadable as fault:
            loaded.broken.append(Broken(directory, fault.finding, True, True))
        except Fault as fault:
            loaded.broken.append(Broken(directory, fault.finding, True))
        else:
            for path in paths:
                if path not in but:
                    read(path, priority, loaded, prefix)
    return loaded


def read(path: str, priority: int, into: Loaded, prefix: str = "") -> None:
    try:
        document = yaml_file.document(yaml_file.read_bytes(path), path)
        data = document.value
        into.kinds[path] = str(data.get("kind") or "") if isinstance(data, dict) else ""
        spec, problems = decode_valid(data)
    except Fault as fault:
        into.broken.append(Broken(path, fault.finding, unreadable=isinstance(fault, yaml_file.Unreadable)))
        return
    if spec is not None:
        into.files.append(SpecFile(path, priority, inside(spec, prefix), document.unread_line))
    into.broken.extend(Broken(path, of_document(problem)) for problem in problems)


def of_document(problem: Finding) -> Finding:
    """A place in a document, as part of its file's place."""
    return problem._replace(place="", fact=f"{problem.place}: {problem.fact}" if problem.place else problem.fact)


def spec_at(path: str) -> Spec | None:
    """None if there is no document that runtimes accept."""
    loaded = nothing()
    read(path, 0, loaded)
    return loaded.files[0].spec if loaded.files else None
