"""Which systemd units are enabled, by their links in the file system: systemctl need not run, nor systemd."""

import os
from collections.abc import Iterable

DIRECTORIES = ("/etc/systemd/system", "/run/systemd/system")
"""Where `systemctl enable` and `mask` make their links."""
WANTED_BY = (".wants", ".requires", ".upholds")


def enabled(names: Iterable[str]) -> list[str]:
    """Those that some unit wants, and that are not masked, in the order given."""
    wanted: set[str] = set()
    for directory in DIRECTORIES:
        for folder in _names(directory):
            if folder.endswith(WANTED_BY):
                wanted.update(_names(f"{directory}/{folder}"))
    return [name for name in names if name in wanted and not masked(name)]


def masked(name: str) -> bool:
    for directory in DIRECTORIES:
        try:
            if os.readlink(f"{directory}/{name}") == os.devnull:
                return True
        except OSError:
            continue
    return False


def _names(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
