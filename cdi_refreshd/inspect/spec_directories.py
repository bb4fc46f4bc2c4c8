"""Reads the spec directories of a host for the rules, and nothing else of the host."""

from collections.abc import Iterable, Iterator

from cdi_refreshd.core.cdi.spec_places import our_paths
from cdi_refreshd.core.checks.published import Published, published
from cdi_refreshd.core.config.settings import Settings
from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host import path_entries
from cdi_refreshd.inspect import spec_files


def settings() -> Settings:
    """The configured spec, if the configuration can be read."""
    from cdi_refreshd import config  # noqa: PLC0415 - who publishes knows it already

    try:
        return config.read().settings
    except Fault:  # run and config report what is wrong with it
        return Settings()


def our_path() -> str:
    return settings().output


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
