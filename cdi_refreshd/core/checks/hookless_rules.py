"""Rules about NVIDIA specs without hooks: a container's loader must find the libraries where they are mounted.

A spec that mounts no driver library is skipped: the container's image has them.
"""

from collections.abc import Iterator
from typing import NamedTuple

from cdi_refreshd.core.checks.hints import make_again
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import VERSIONED, Subject, every_edits, listed
from cdi_refreshd.core.nvidia.build.places import FAMILIES, FEDORAS

CUDA = "libcuda.so.1"


class File(NamedTuple):
    """Of the driver, on the host."""

    name: str
    version: str


def directories(of: Subject) -> dict[str, dict[str, File]]:
    """By directory in the container: the driver's libraries by name; {} if a hook runs ldconfig."""
    if of.gpus is None or any(edits.hooks for _, edits in every_edits(of)):
        return {}
    made: dict[str, dict[str, File]] = {}
    for mount in of.gpus.mounts:
        version = VERSIONED.search(mount.host_path)
        if version and version[1] and ".so" in mount.container_path:
            directory, _, name = mount.container_path.rpartition("/")
            made.setdefault(directory, {})[name] = File(mount.host_path.rpartition("/")[2], version[1])
    return made


def loaders_find_cuda(of: Subject, _: Host) -> Iterator[RuleFinding]:
    places = directories(of)
    looked_in = [directory for of_class in FAMILIES.values() for directory in of_class[0]]
    if not any(name.startswith("libcuda.so.") for names in places.values() for name in names):
        return
    if not any(CUDA in places.get(directory, ()) for directory in looked_in):
        fact = f"mounts libcuda, and neither a hook nor a mount makes it {CUDA} where loaders look: CUDA is not found"
        yield found("library-unfound", of.file, fact, make_again(of), of.file)


def families_agree(of: Subject, _: Host) -> Iterator[RuleFinding]:
    """Containers of both distribution families get the same libraries. A spec made by hand may be for one family."""
    places = directories(of)
    debians = [of_class[0][0] for of_class in FAMILIES.values()]
    for directory in [path for path in debians if path in places] or debians[:1]:
        one, other = places.get(directory, {}), places.get(FEDORAS, {})
        differ = sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))
        have_cuda = (CUDA in one, CUDA in other)
        if differ and (all(have_cuda) or (any(have_cuda) and of.ours)):
            where = f"{directory} and {FEDORAS}"
            fact = f"does not have the same {listed(differ)} in {where}: what a container finds depends on its image"
            yield found("families-differ", of.file, fact, make_again(of), of.file)


def siblings_agree(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """Another rule compares every file with the version of the loaded module."""
    for directory, names in directories(of).items():
        versions = sorted({file.version for file in names.values()})
        if len(versions) > 1 and not host.module_version:
            fact = f"mounts files of drivers {listed(versions)} into {directory}: CUDA refuses to work with both"
            yield found("library-versions", of.file, fact, make_again(of), of.file)


RULES = (loaders_find_cuda, families_agree, siblings_agree)
