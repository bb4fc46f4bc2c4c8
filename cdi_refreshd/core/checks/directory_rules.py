"""Rules about the files of the spec directories together: broken files, conflicts, other generators."""

from collections.abc import Iterable, Iterator

from cdi_refreshd.core.checks.hints import CLUSTER_VENDORS
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.published import Document, Published
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import listed
from cdi_refreshd.core.entries import UNKNOWN

OUR_UNIT = "cdi-refreshd.service"
RIVALS = (
    "nvidia-cdi-refresh.path",
    "nvidia-cdi-refresh.service",
    "nvidia-container-toolkit-cdi-generator.service",
    "ublue-nvctk-cdi.service",
    "nvidia-toolkit-firstboot.service",
)
"""Other units that write a spec for NVIDIA GPUs."""
ADOPT = "cdi-refreshd adopt moves it aside"
FILE_BITS, DIRECTORY_BITS = 0o004, 0o005


def broken(of: Published, _: Host) -> Iterator[RuleFinding]:
    """A document that runtimes drop loses all its devices; so does an unreadable one."""
    for one in of.broken:
        fact, hint = one.problem.fact, one.problem.hint
        if one.is_directory:
            yield found("spec-directory", one.path, fact, hint, one.path)
        else:
            hint = hint if one.unreadable else hint or "correct it, or run its generator again"
            yield found("spec-invalid", one.path, fact, hint, one.path)


def unread_text(of: Published, _: Host) -> Iterator[RuleFinding]:
    """Behind `...`, a second `---`, or the closing brace of JSON."""
    for file in of.files:
        if file.unread_line:
            fact = f"nothing after line {file.unread_line - 1} is read: a CDI file is one document"
            yield found("text-unread", file.path, fact, "move the rest into another file", file.path)


def conflicts(of: Published, _: Host) -> Iterator[RuleFinding]:
    groups: dict[tuple[str, ...], list[str]] = {}
    for one in of.definitions:
        if one.state == "conflict" and one.file == one.because_of[0]:
            groups.setdefault(one.because_of, []).append(one.name)
    for files, names in groups.items():
        fact = f"defines the same devices as {listed(files[1:])}, so no container gets {listed(names)}"
        adopted = of.ours is not None and all(name.startswith(f"{of.ours.kind}=") for name in names)
        hint = "cdi-refreshd adopt moves aside what is not ours" if adopted else "remove one of the files"
        yield found("conflict", files[0], fact, hint, files[0], devices=names)


def leftovers(of: Published, _: Host) -> Iterator[RuleFinding]:
    """Other files with our kind. Without our own spec they are not leftovers: containers depend on them."""
    if of.ours is None or not of.directories:
        return
    conflicting = {path for one in of.definitions if one.state == "conflict" for path in one.because_of}
    for path in same_kind(of.documents, of.ours.kind):
        if path in conflicting:
            continue
        fact = f"defines devices of {of.ours.kind} beside {of.ours.path}; those that only it has are never refreshed"
        yield found("leftover", path, fact, ADOPT, path)


def same_kind(documents: Iterable[Document], kind: str) -> list[str]:
    """Paths of the files that define devices of our kind and are not ours."""
    return [document.path for document in documents if document.kind == kind and not document.ours]


def shadowed(of: Published, _: Host) -> Iterator[RuleFinding]:
    """A file that shadows itself by another path is not reported; nor is a leftover, which has its own rule."""
    leftovers = set(same_kind(of.documents, of.ours.kind)) if of.ours and of.directories else set()
    groups: dict[tuple[str, str], list[str]] = {}
    for one in of.definitions:
        if one.state == "shadowed" and one.file not in leftovers and (one.file, one.because_of[0]) not in of.aliases:
            groups.setdefault((one.file, one.because_of[0]), []).append(one.name)
    for (file, winner), names in groups.items():
        fact = f"{winner} wins for {listed(names)}"
        yield found("shadowed", file, fact, "remove the file that is not needed", file, devices=names)


def rival_units(of: Published, host: Host) -> Iterator[RuleFinding]:
    """Without our own unit, this host depends on theirs."""
    rivals = [unit for unit in host.units if unit != OUR_UNIT]
    if rivals and of.directories:
        yield rival_unit(rivals, OUR_UNIT in host.units)


def rival_unit(enabled: list[str], ours_enabled: bool) -> RuleFinding:
    fact = "is enabled and writes the spec, too" if len(enabled) == 1 else "are enabled and write the spec, too"
    hint = f"systemctl disable --now {' '.join(enabled)}"
    return found("rival-unit" if ours_enabled else "other-unit", " and ".join(enabled), fact, hint)


def file_modes(of: Published, host: Host) -> Iterator[RuleFinding]:
    """Podman reads specs as the user who runs it."""
    reported: set[str] = set()
    for file in of.files:
        cluster = file.spec.vendor.startswith(CLUSTER_VENDORS)
        for path, bits, how, rule in (
            (file.path, FILE_BITS, "0644", "file-mode-cluster" if cluster else "file-mode"),
            (file.path.rpartition("/")[0] or ".", DIRECTORY_BITS, "0755", "file-mode"),
        ):
            entry = host.entry(path)
            if entry.real == UNKNOWN or entry.mode & bits == bits or path in reported:
                continue
            reported.add(path)
            fact = f"is not world-readable (mode {entry.mode:04o}): without root, podman finds no devices in it"
            yield found(rule, path, fact, f"chmod {how} {path}", path)


def names_unread(of: Published, _: Host) -> Iterator[RuleFinding]:
    """Files that look like specs and that every runtime ignores."""
    for path in of.unread:
        yield found("name-unread", path, "no runtime reads a file of this name", "rename it to .yaml or .json", path)


def two_runs(of: Published, host: Host) -> Iterator[RuleFinding]:
    """/var/run is a link to /run, or runtimes and generators mean different directories."""
    if host.two_runs and "/var/run/cdi" in of.directories:
        fact = "is not /run/cdi, where there are files, too: runtimes differ in which they read"
        yield found("two-runs", "/var/run/cdi", fact, "make /var/run a symbolic link to /run")


RULES = (broken, conflicts, unread_text, leftovers, shadowed, rival_units, file_modes, names_unread, two_runs)
IN_LIST = (broken, conflicts, shadowed)
"""The rules for `list`, which reports only which devices there are."""
NEIGHBOURS = (leftovers, shadowed, rival_units, names_unread, two_runs)
"""The rules for a program that has just published, besides conflicts."""
