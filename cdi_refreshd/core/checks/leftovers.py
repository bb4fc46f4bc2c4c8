"""Files that define our devices beside our own spec, and units that would write it again: who else is at work here."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.findings import Finding

OURS = "/var/run/cdi/nvidia.yaml"
KIND = "nvidia.com/gpu"
OUR_UNITS = ("cdi-refreshd.service",)
RIVALS = (
    "nvidia-cdi-refresh.path",
    "nvidia-cdi-refresh.service",
    "nvidia-container-toolkit-cdi-generator.service",
    "ublue-nvctk-cdi.service",
    "nvidia-toolkit-firstboot.service",
)
"""Units of others that write a spec of NVIDIA's GPUs."""


class Document(NamedTuple):
    """A file of a spec directory."""

    path: str
    kind: str
    """"" where it has none that can be read."""
    same_as_ours: bool = False
    """It is our own file, by this name or by a link."""


def leftovers(documents: Iterable[Document], kind: str) -> list[str]:
    """Paths of the files that define devices of our kind and are not ours."""
    return [document.path for document in documents if document.kind == kind and not document.same_as_ours]


def findings(paths: Iterable[str], ours: str) -> Iterator[Finding]:
    """`ours` is there: else the others are no leftovers, but what this host lives by."""
    directory = ours.rpartition("/")[0]
    for path in paths:
        rivals = path.rpartition("/")[0] == directory
        fact = f"defines the same devices as {ours}"
        fact += " in one directory, so nobody gets them" if rivals else ", which wins; what only it has stays, old"
        yield Finding("fatal" if rivals else "degraded", path, fact, "cdi-refreshd adopt puts it aside")


def rival_units(enabled: list[str], ours_enabled: bool) -> Iterator[Finding]:
    """Without our own unit, theirs are what this host lives by."""
    if enabled:
        fact = "is enabled and writes the spec, too" if len(enabled) == 1 else "are enabled and write the spec, too"
        hint = f"systemctl disable --now {' '.join(enabled)}"
        yield Finding("degraded" if ours_enabled else "info", " and ".join(enabled), fact, hint)
