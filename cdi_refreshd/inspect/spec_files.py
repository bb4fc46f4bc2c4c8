"""The spec files of a host, read as container runtimes read them."""

from collections.abc import Sequence
from typing import NamedTuple

from cdi_refreshd.core.cdi.decode import decode_valid
from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.reread import own
from cdi_refreshd.core.cdi.resolve import SpecFile
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.host import yaml_file


class Loaded(NamedTuple):
    files: list[SpecFile]
    broken: list[Finding]
    """What keeps other files, or a directory, from being read."""
    kinds: dict[str, str]
    """Of every file that could be parsed, valid or not."""
    unreadable: list[str]
    """Paths of which nobody could say what is in them."""


def load(directories: Sequence[str]) -> Loaded:
    loaded = Loaded([], [], {}, [])
    for priority, directory in enumerate(directories):
        paths, told = yaml_file.spec_files(directory)
        loaded.broken.extend(told)
        loaded.unreadable.extend(finding.place for finding in told if finding.fact.startswith("cannot"))
        for path in paths:
            read(path, priority, loaded)
    return loaded


def read(path: str, priority: int, into: Loaded) -> None:
    try:
        content = yaml_file.read_bytes(path)
        ours = own(content)
        if ours is not None:
            into.kinds[path] = ours.kind
            into.files.append(SpecFile(path, priority, ours))
            return
        data = yaml_file.parse(content, path)
        into.kinds[path] = str(data.get("kind") or "") if isinstance(data, dict) else ""
        spec, problems = decode_valid(data)
    except yaml_file.Unreadable as fault:
        into.unreadable.append(path)
        spec, problems = None, [fault.finding._replace(place="")]
    except Fault as fault:
        spec, problems = None, [fault.finding._replace(place="")]
    if spec is not None:
        into.files.append(SpecFile(path, priority, spec))
    into.broken.extend(of_file(path, problem) for problem in problems)


def spec_at(path: str) -> Spec | None:
    """None where there is no document that runtimes would take."""
    loaded = Loaded([], [], {}, [])
    read(path, 0, loaded)
    return loaded.files[0].spec if loaded.files else None


def of_file(path: str, problem: Finding) -> Finding:
    """A place in a document, as something about its file."""
    return Finding("degraded", path, f"{problem.place}: {problem.fact}".removeprefix(": "), problem.hint)
