"""Which spec versions the container runtimes read: what is newer they drop without a word.

Source: the CDI library that each release links, from its go.mod; library 0.5.x reads specs up to 0.5.0, and so on.
"""

import re

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.version import rank, requirement
from cdi_refreshd.core.findings import Finding

# From which release on, up to which cdiVersion. In rising order.
READS = {
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
        ((26, 1, 4), "0.7.0"),
        ((27, 4), "0.8.0"),
        ((28, 1, 1), "1.0.0"),
        ((29, 2), "1.1.0"),
    ),
}
READ_BY_ALL = "0.6.0"
"""Runtimes that cannot read even this are older than what distributions support."""
VERSION = re.compile(r"\bv?(\d+)\.(\d+)(?:\.(\d+))?")


def is_newish(spec: Spec) -> bool:
    """Whether the spec's version is one that runtimes in use may not read: then it is worth asking them."""
    return (rank(spec.cdi_version) or 0) > (rank(READ_BY_ALL) or 0)


def reads(runtime: str, said: str) -> str | None:
    """The highest cdiVersion that a runtime reads, by what its `--version` says; None where that tells nothing."""
    found = VERSION.search(said)
    if not found:
        return None
    release = tuple(int(part or 0) for part in found.groups())
    fitting = [version for since, version in READS[runtime] if since <= release]
    return fitting[-1] if fitting else "0.0.0"


def refusals(spec: Spec, said: dict[str, str]) -> tuple[Finding, ...]:
    """`said` maps the runtimes that are installed to the output of their `--version`."""
    wanted = rank(spec.cdi_version) or 0
    found = []
    for runtime, text in sorted(said.items()):
        highest = reads(runtime, text)
        if highest is not None and (rank(highest) or 0) < wanted:
            limit = f"reads CDI specs up to {highest}" if rank(highest) else "reads no CDI specs"
            fact = f"{limit} and drops this one ({spec.cdi_version}) without a word"
            found.append(Finding("degraded", shortened(text) or runtime, fact, hint(spec)))
    return tuple(found)


def shortened(text: str) -> str:
    return text.strip().partition("\n")[0][:60]


def hint(spec: Spec) -> str:
    place = requirement(spec)[1]
    if "additionalGids" in place:
        return "give --feature-flag no-additional-gids-for-device-nodes, or update it"
    return f"update it; {place} asks for {spec.cdi_version}" if place else "update it"
