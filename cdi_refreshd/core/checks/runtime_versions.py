"""Which spec versions the container runtimes read: newer ones they drop silently.

Source: the CDI library that each release links, from its go.mod, and what was measured with the releases themselves;
library 0.5.x reads specs up to 0.5.0, and so on.
"""

from collections.abc import Iterable

from cdi_refreshd.core.cdi.model import ContainerEdits, Spec
from cdi_refreshd.core.cdi.names import split_kind
from cdi_refreshd.core.cdi.version import minimum_version, rank, requirement
from cdi_refreshd.core.checks.container_runtimes import Release, Runtime
from cdi_refreshd.core.findings import Finding

# (first release, highest cdiVersion that it reads), in rising order of releases.
READS: dict[str, tuple[tuple[Release, str], ...]] = {
    "podman": (
        ((4, 1), "0.4.0"),
        ((4, 3), "0.5.0"),
        ((4, 7), "0.6.0"),
        ((5, 1), "0.7.0"),
        ((5, 2), "0.8.0"),
        ((5, 5), "1.0.0"),
        ((6, 0), "1.1.0"),
    ),
    "containerd": (
        ((1, 7), "0.5.0"),
        ((1, 7, 12), "0.6.0"),
        ((1, 7, 16), "0.7.0"),
        ((1, 7, 27), "0.8.0"),
        ((2, 0, 5), "1.0.0"),
        ((2, 2, 1), "1.1.0"),
    ),
    "crio": (
        ((1, 24), "0.3.0"),
        ((1, 25), "0.5.0"),
        ((1, 28), "0.6.0"),
        ((1, 30), "0.7.0"),
        ((1, 31), "0.8.0"),
        ((1, 33), "1.0.0"),
        ((1, 35), "1.1.0"),
    ),
    "dockerd": (
        ((25, 0), "0.6.0"),
        ((25, 0, 17), "0.8.0"),
        ((26, 0), "0.6.0"),
        ((26, 1), "0.7.0"),
        ((27, 4), "0.8.0"),
        ((28, 1), "1.0.0"),
        ((29, 2), "1.1.0"),
    ),
}
NONE = "0.0.0"
READ_BY_ALL = "0.6.0"
"""Runtimes that cannot read even this are older than what distributions support."""


def is_newish(spec: Spec) -> bool:
    """Whether runtimes in use may be too old for the spec's version: only then are they asked for theirs."""
    return (rank(spec.cdi_version) or 0) > (rank(READ_BY_ALL) or 0)


def reads(kind: str, release: Release) -> str | None:
    """The highest cdiVersion that a release of a runtime reads, "0.0.0" for none; None if the release is unknown."""
    fitting = [version for since, version in READS[kind] if since <= release]
    return (fitting[-1] if fitting else NONE) if release else None


def reads_none(runtime: Runtime) -> bool:
    return reads(runtime.kind, runtime.release) == NONE


def first_release(kind: str) -> Release:
    """The oldest release that reads any CDI spec."""
    return READS[kind][0][0]


def refusals(spec: Spec, runtimes: Iterable[Runtime]) -> tuple[Finding, ...]:
    """One for each runtime that is too old for the spec's version. Those without CDI support are left out:
    no version helps them."""
    wanted = rank(spec.cdi_version) or 0
    found = []
    for runtime in runtimes:
        highest = reads(runtime.kind, runtime.release)
        if highest and rank(highest) and (rank(highest) or 0) < wanted:
            fact = f"reads CDI specs up to {highest} and silently drops this one ({spec.cdi_version})"
            severity = "degraded" if runtime.serves else "info"
            found.append(Finding(severity, runtime.place, fact, hint(spec, highest)))
    return tuple(found)


def hint(spec: Spec, highest: str) -> str:
    needed, place = requirement(spec)
    if _is_at_most(needed, highest):
        return f"write cdiVersion: {needed}, which is all that it needs"
    nvidia = split_kind(spec.kind)[0].endswith("nvidia.com")
    if nvidia and "additionalGids" in place and _is_at_most(minimum_version(without_groups(spec)), highest):
        return "give --feature-flag no-additional-gids-for-device-nodes, or update it"
    return f"update it; {place} needs {needed}"


def without_groups(spec: Spec) -> Spec:
    """The spec as the feature flag makes it."""

    def bare(edits: ContainerEdits) -> ContainerEdits:
        return edits._replace(additional_gids=())

    devices = tuple(device._replace(container_edits=bare(device.container_edits)) for device in spec.devices)
    return spec._replace(container_edits=bare(spec.container_edits), devices=devices)


def _is_at_most(version: str, highest: str) -> bool:
    return (rank(version) or 0) <= (rank(highest) or 0)
