"""Rules about the files behind a spec's library mounts: a full disk leaves empty ones, an upgrade half ones."""

from collections.abc import Iterator

from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import VERSIONED, Subject
from cdi_refreshd.core.nvidia.driver_paths import ESSENTIAL_LIBRARIES
from cdi_refreshd.core.nvidia.driver_texts import REINSTALL

ESSENTIAL = tuple(f"{name}.so." for name in ESSENTIAL_LIBRARIES)


def paths(of: Subject) -> set[str]:
    """Libraries of the driver of which it matters whether they can be loaded."""
    mounts = of.gpus.mounts if of.gpus else ()
    return {mount.host_path for mount in mounts if ".so." in mount.host_path and VERSIONED.search(mount.host_path)}


def libraries_load(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """An empty or truncated library is mounted silently, and CUDA fails in the container."""
    for path in sorted(paths(of)):
        if flaw := host.flaws.get(path, ""):
            essential = path.rpartition("/")[2].startswith(ESSENTIAL)
            yield found("library-unusable" if essential else "library-damaged", path, flaw, REINSTALL, of.file)


RULES = (libraries_load,)
