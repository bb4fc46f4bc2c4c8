"""Applies every rule to the spec directories, as they are or will be, and to this host."""

import os
from collections.abc import Iterable, Mapping

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.resolve import SpecFile
from cdi_refreshd.core.cdi.spec_places import SPEC_DIRECTORIES
from cdi_refreshd.core.checks import (
    coverage_rules,
    device_rules,
    directory_rules,
    hints,
    hook_rules,
    hookless_rules,
    item_rules,
    library_rules,
    nvidia_rules,
)
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.published import Document, Published, published
from cdi_refreshd.core.checks.registry import RuleFinding
from cdi_refreshd.core.checks.subject import Subject
from cdi_refreshd.host import path_entries
from cdi_refreshd.inspect import host_facts

SPEC_RULES = (
    *item_rules.RULES,
    *hook_rules.RULES,
    *hookless_rules.RULES,
    *device_rules.RULES,
    *nvidia_rules.RULES,
    *library_rules.RULES,
)
PUBLISHED_RULES = (*directory_rules.RULES, *coverage_rules.RULES)


def findings(of: Published) -> tuple[list[RuleFinding], Host]:
    """All findings of all rules, except those for which runtimes must be asked."""
    host = host_of(of)
    found = [one for rule in PUBLISHED_RULES[:2] for one in rule(of, host)]
    found += [one for subject in of.subjects for one in spec_findings(subject, host)]
    found += [one for rule in PUBLISHED_RULES[2:] for one in rule(of, host)]
    return found, host


def spec_findings(of: Subject, host: Host) -> list[RuleFinding]:
    return list(dict.fromkeys(one for rule in SPEC_RULES for one in rule(of, host)))


def host_of(of: Published) -> Host:
    paths = {path for file in of.files for path in (file.path, file.path.rpartition("/")[0] or ".")}
    return _with_neighbours(host_facts.full_host(of.subjects, paths))


def _with_neighbours(host: Host) -> Host:
    from cdi_refreshd.host import units  # noqa: PLC0415 - who publishes asks for none

    enabled = units.enabled((*directory_rules.RIVALS, directory_rules.OUR_UNIT))
    return host._replace(units=tuple(enabled), two_runs=two_runs())


def two_runs() -> bool:
    if not path_entries.names("/run/cdi"):
        return False
    real = path_entries.real(("/run/cdi", "/var/run/cdi"))
    return real["/run/cdi"] != real["/var/run/cdi"]


def before_publishing(
    written: Mapping[str, Spec], others: Iterable[str] = SPEC_DIRECTORIES, probed: bool = False, prefix: str = ""
) -> list[RuleFinding]:
    """What `check` would report about our own specs if they were published now: same rules, same words.

    `written` maps paths to the specs that are about to be there. The other files of `others`, the spec directories, are
    read, since they may conflict; (): none is read, because the caller checks them otherwise. Problems of other specs,
    leftovers and runtimes are not reported. `probed`: a child has just inspected the libraries.
    """
    others = tuple(others)
    directories = others or SPEC_DIRECTORIES
    mine = [placed(path, spec, directories) for path, spec in written.items()]
    if any(file.priority < 0 for file in mine):  # runtimes do not read there: other specs do not matter
        directories, others = (), ()
    ours = [file.path for file in mine]
    documents = [Document(file.path, file.spec.kind, True) for file in mine]
    files = mine
    if any(f"{directory}/{name}" not in ours for directory in others for name in path_entries.names(directory)):
        from cdi_refreshd.inspect import spec_files  # noqa: PLC0415 - most hosts have no other, and boot the sooner

        loaded = spec_files.load(others, but=ours, prefix=prefix)
        files = sorted([*loaded.files, *mine], key=lambda file: (file.priority, os.fsencode(file.path)))
        documents += loaded.documents(ours)
    seen = published(directories, files, documents)
    host = host_facts.full_host(seen.subjects, probed=probed)
    said = [one for one in directory_rules.conflicts(seen, host) if concerns(one, seen, ours)]
    said += [one for subject in seen.subjects if subject.ours for one in spec_findings(subject, host)]
    said += [one for rule in coverage_rules.RULES for one in rule(seen, host)]
    return [without_vain_hint(one) for one in said]


def without_vain_hint(one: RuleFinding) -> RuleFinding:
    """Without the hint to regenerate it, which is happening."""
    return one._replace(finding=one.finding._replace(hint="")) if one.finding.hint == hints.OURS else one


def placed(path: str, spec: Spec, directories: Iterable[str]) -> SpecFile:
    """By the name that runtimes use for its directory; of priority -1 if they do not read it."""
    place = os.path.realpath(os.path.dirname(os.path.abspath(path)))
    for priority, directory in enumerate(directories):
        if os.path.realpath(directory) == place:
            return SpecFile(f"{directory}/{os.path.basename(path)}", priority, spec)
    return SpecFile(path, -1, spec)


def neighbours(of: Published) -> list[RuleFinding]:
    """What affects our published specs. Conflicts among other specs are not reported."""
    ours = [document.path for document in of.documents if document.ours]
    host = _with_neighbours(Host({}))
    found = [one for one in directory_rules.conflicts(of, host) if concerns(one, of, ours)]
    return found + [one for rule in directory_rules.NEIGHBOURS for one in rule(of, host)]


def concerns(conflict: RuleFinding, of: Published, ours: Iterable[str]) -> bool:
    """Whether a conflict takes devices of ours."""
    names = set(conflict.devices)
    return any(one.name in names and one.file in ours for one in of.definitions)
