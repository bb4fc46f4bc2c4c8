"""Reads the spec directories of a host for the rules, and nothing else of the host."""

from collections.abc import Iterable, Iterator

from cdi_refreshd.core.cdi.spec_places import our_paths
from cdi_refreshd.core.checks.published import Published, published
from cdi_refreshd.core.config.settings import BrokenConfiguration, HiddenConfiguration, Settings
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.host import path_entries
from cdi_refreshd.inspect import spec_files


def configuration() -> tuple[Settings, Finding | None]:
    """What is configured. Where it is broken, the defaults and what is wrong; where this user may not read it, the
    defaults alone."""
    from cdi_refreshd import config  # noqa: PLC0415 - who publishes knows it already

    try:
        return config.read().settings, None
    except HiddenConfiguration:
        return Settings(), None
    except BrokenConfiguration as fault:
        return Settings(), fault.finding


def our_path() -> str:
    return configuration()[0].output


def gathered(directories: Iterable[str], files: Iterable[str] = (), prefix: str = "") -> Published:
    """The content of the directories, or, without any, each of the files alone.

    `prefix`: where the host's / is; each path of a spec gets it.
    """
    directories = list(directories)
    loaded = spec_files.load(directories, prefix=prefix)
    for file in files:
        spec_files.read(file, 0, loaded, prefix)
    seen = published(directories, loaded.files, loaded.documents(our_paths(our_path())), loaded.broken)
    hidden = {(one.file, one.because_of[0]) for one in seen.definitions if one.state == "shadowed"}
    aliases = frozenset((one, other) for one, other in hidden if path_entries.same_as(one, (other,)))
    return seen._replace(aliases=aliases, unread=tuple(unread_names(directories)))


def unread_names(directories: Iterable[str]) -> Iterator[str]:
    for directory in directories:
        for name in path_entries.names(directory):
            if name.lower().endswith((".yml", ".yaml", ".json")) and not name.endswith((".yaml", ".json")):
                yield f"{directory}/{name}"
