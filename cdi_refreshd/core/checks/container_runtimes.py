"""The container runtimes that a host may have: their programs, configuration files and versions.

Source: containers.conf(5) and, from Podman 6 on, containers-config(5); containerd's CRI plugin (docs/cri/config.md);
crio.conf(5); dockerd's daemon.json; k3s' and rke2's manuals (their containerd is a program of its own).
"""

import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from cdi_refreshd.core.findings import Finding

Release = tuple[int, ...]
Documents = tuple[tuple[str, Any], ...]
"""Path and content of each configuration file, in the order in which the runtime reads them: later ones win."""

VERSION = re.compile(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?")
NAME_AT_MOST, NAME_NEVER_ABOVE = 60, 200
"""Characters of the output of `--version` in a finding. The version is cut only at the second bound."""

PODMAN_MAIN, PODMAN_DROP_INS = "containers.conf", "containers.conf.d/*.conf"
SHARED, ADMIN = "/usr/share/containers", "/etc/containers"
PODMAN_FILES = (f"{SHARED}/{PODMAN_MAIN}", f"{ADMIN}/{PODMAN_MAIN}", f"{ADMIN}/{PODMAN_DROP_INS}")
PODMAN_6_FILES = (
    f"{SHARED}/{PODMAN_MAIN}",
    f"{SHARED}/{PODMAN_DROP_INS}",
    f"{SHARED}/containers.rootful.conf.d/*.conf",
    f"{ADMIN}/{PODMAN_MAIN}",
    f"{ADMIN}/{PODMAN_DROP_INS}",
    f"{ADMIN}/containers.rootful.conf.d/*.conf",
)
"""In rising order of precedence."""
CONTAINERD_FILE, CONTAINERD_DROP_INS = "/etc/containerd/config.toml", "/etc/containerd/conf.d/*.toml"
RANCHER = "/var/lib/rancher"


class Installation(NamedTuple):
    """One way in which a runtime is installed."""

    kind: str
    """podman, containerd, crio or dockerd: whose rules it follows."""
    program: str
    """A name to search in the usual directories, or an absolute path."""
    files: tuple[str, ...]
    """Its configuration, in rising order of precedence; only the last part of a pattern may have wildcards."""
    edited: str
    """The file to edit if no file sets the value yet."""
    by: str = ""
    """Who ships it, if not the distribution."""
    restart: str = "restart it"


INSTALLATIONS = {
    "podman": Installation("podman", "podman", PODMAN_FILES, f"{ADMIN}/{PODMAN_MAIN}"),
    "containerd": Installation("containerd", "containerd", (CONTAINERD_FILE,), CONTAINERD_FILE),
    "crio": Installation(
        "crio",
        "crio",
        ("/etc/crio/crio.conf", "/etc/crio/crio.conf.d/*"),
        "/etc/crio/crio.conf.d/10-cdi.conf",
        restart="systemctl reload crio",
    ),
    "dockerd": Installation("dockerd", "dockerd", ("/etc/docker/daemon.json",), "/etc/docker/daemon.json"),
    "k3s": Installation(
        "containerd",
        f"{RANCHER}/k3s/data/current/bin/containerd",
        (f"{RANCHER}/k3s/agent/etc/containerd/config.toml",),
        f"{RANCHER}/k3s/agent/etc/containerd",
        "k3s",
        "restart k3s",
    ),
    "rke2": Installation(
        "containerd",
        f"{RANCHER}/rke2/bin/containerd",
        (f"{RANCHER}/rke2/agent/etc/containerd/config.toml",),
        f"{RANCHER}/rke2/agent/etc/containerd",
        "rke2",
        "restart rke2",
    ),
    "snap": Installation(
        "dockerd",
        "/snap/docker/current/bin/dockerd",
        ("/var/snap/docker/current/config/daemon.json",),
        "/var/snap/docker/current/config/daemon.json",
        "snap",
        "snap restart docker",
    ),
}
CARRIERS = ("k3s", "rke2")
"""They ship their own containerd, so the distribution's is not used."""


class Runtime(NamedTuple):
    """A runtime with its configuration."""

    name: str
    """Of INSTALLATIONS."""
    said: str = ""
    documents: Documents = ()
    broken: tuple[Finding, ...] = ()
    """Files that could not be read."""
    serves: bool = True
    """It is used on this host for containers with devices."""

    @property
    def kind(self) -> str:
        return INSTALLATIONS[self.name].kind

    @property
    def release(self) -> Release:
        """() if unknown."""
        return release(self.said) or self._by_configuration()

    @property
    def place(self) -> str:
        """Its name in findings."""
        by = INSTALLATIONS[self.name].by
        version = shortened(self.said) or self.kind
        return f"{by}'s {version}" if by else version

    def _by_configuration(self) -> Release:
        """k3s and rke2 generate the configuration of the containerd that they ship."""
        first = self.documents[0][1] if self.documents and self.name in CARRIERS else None
        version = first.get("version") if isinstance(first, dict) else None
        return {2: (1, 7), 3: (2, 0)}.get(version, ()) if isinstance(version, int) else ()


def release(said: str) -> Release:
    """() if the text has none."""
    found = VERSION.search(said)
    return tuple(int(part or 0) for part in found.groups()) if found else ()


def shortened(said: str) -> str:
    """The first line, or as many of its words as fit; the word with the version is never cut."""
    line = said.strip().partition("\n")[0].strip()
    found = VERSION.search(line)
    least = found.end() if found else 0
    shown = ""
    for word in line.split():
        longer = f"{shown} {word}".strip()
        if shown and len(longer) > NAME_AT_MOST and len(shown) >= least:
            break
        shown = longer
    return shown[:NAME_NEVER_ABOVE]


def files(name: str, said: str) -> tuple[str, ...]:
    """The patterns of a runtime's configuration, in rising order."""
    if name == "podman" and release(said) >= (6,):
        return PODMAN_6_FILES
    return INSTALLATIONS[name].files


def drop_ins(name: str, said: str, main: Any) -> tuple[str, ...]:
    """Patterns of the files that containerd also reads, given the content of its main file (None: no main file)."""
    imports = main.get("imports") if isinstance(main, dict) else None
    if imports is None and name == "containerd" and release(said) >= (2, 2):
        return (CONTAINERD_DROP_INS,)
    return tuple(str(pattern) for pattern in imports) if isinstance(imports, list) else ()


def in_order(name: str, said: str, paths: Iterable[str]) -> list[str]:
    """`paths` exist, in rising order. Podman 6 reads one main file, then all drop-ins by their names alone; of
    those with the same name the one of the highest precedence."""
    known = list(paths)
    if name != "podman" or release(said) < (6,):
        return known
    main = [path for path in known if path.endswith(f"/{PODMAN_MAIN}")][-1:]
    by_name = {path.rpartition("/")[2]: path for path in known if not path.endswith(f"/{PODMAN_MAIN}")}
    return main + [by_name[each] for each in sorted(by_name)]
