"""Checks a spec against this host by the rules about single items, before or after it is published.

`generate` uses it, too, so little is imported: none of the NVIDIA rules.
"""

from collections.abc import Iterable

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.checks import item_rules
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding
from cdi_refreshd.core.checks.subject import Subject, every_edits, host_path, subject
from cdi_refreshd.core.entries import BLOCK, CHARACTER, Entry, registered
from cdi_refreshd.host import path_entries


def alone(spec: Spec, file: str) -> list[RuleFinding]:
    """Where the host contradicts a spec of ours, published or not: its nodes, mounts and hooks."""
    of = subject(file, spec, ours=True)
    return item_rules.verify(of, plain_host([of]))


def plain_host(subjects: Iterable[Subject], more: Iterable[str] = ()) -> Host:
    """The facts for any vendor's spec. `more` are paths besides those that the specs name."""
    subjects = tuple(subjects)
    wanted = {path for of in subjects for path in item_rules.paths(of)}
    seen = path_entries.entries(wanted.union(more))
    characters, blocks = registered(path_entries.registered_drivers(), path_entries.nvidia_loaded())
    networked = any(edits.net_devices for of in subjects for _, edits in every_edits(of))
    return Host(
        entries=seen,
        characters=characters,
        blocks=blocks,
        in_sysfs=unexplained(subjects, seen, {CHARACTER: characters, BLOCK: blocks}),
        interfaces=path_entries.interfaces() if networked else frozenset(),
    )


def unexplained(
    subjects: Iterable[Subject], seen: dict[str, Entry], tables: dict[str, dict[int, tuple[str, ...]]]
) -> frozenset[tuple[str, int, int]]:
    """Numbers of no driver in /proc/devices that sysfs knows nevertheless."""
    numbers = set()
    for of in subjects:
        for _, edits in every_edits(of):
            for node in edits.device_nodes:
                entry = seen[host_path(node)]
                number = (node.major, node.minor) if node.major else (entry.major, entry.minor)
                kind = BLOCK if BLOCK in (entry.real, item_rules.TYPES.get(node.type)) else CHARACTER
                if number[0] not in tables[kind]:
                    numbers.add((kind, *number))
    return frozenset(number for number in numbers if path_entries.known_to_sysfs(*number))
