"""Everything that `check` can find, put together: the files, the host, the runtimes, and who else is at work."""

import os
import stat

from cdi_refreshd import config
from cdi_refreshd.core.cdi.resolve import Definition, definitions
from cdi_refreshd.core.checks import collect, host_rules, leftovers, nvidia_rules, runtime_config, runtime_versions
from cdi_refreshd.core.checks.container_runtimes import INSTALLATIONS, Runtime, release
from cdi_refreshd.core.checks.host_facts import CHARACTER, Host
from cdi_refreshd.core.checks.host_rules import Found, Subject
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia.inventory import InstalledRuntime
from cdi_refreshd.host import path_entries, units
from cdi_refreshd.host import runtime_config as configurations
from cdi_refreshd.host import runtime_versions as programs
from cdi_refreshd.inspect import host_facts, spec_files
from cdi_refreshd.probe import container_runtimes


def ask() -> list[programs.Asked]:
    """Starts the runtimes that are here, to tell their versions."""
    return programs.ask((*INSTALLATIONS, "runc"))


def everything(loaded: spec_files.Loaded, directories: list[str], asked: list[programs.Asked]) -> list[Found]:
    """Everything that every rule says, whatever its severity."""
    known = definitions(loaded.files) if directories else each_alone(loaded)
    subjects = collect.subjects(loaded.files, known)
    host = host_facts.full_host(subjects)
    found = [invalid(finding, loaded) for finding in loaded.broken]
    found += collect.conflicts(known)
    found += collect.of_specs(subjects, host)
    if not any(one.rule == "driver-version" for one in found):
        found += nvidia_rules.host_versions(host, subjects)
    if directories:
        place = directories[-1]
        hidden = loaded.broken or any(one.rule == "conflict" for one in found)
        found += [] if hidden else nvidia_rules.coverage(subjects, host, place)
        found += one_place(loaded, known, directories)
    else:
        found += nvidia_rules.coverage(subjects, host, "") if any(map(nvidia_rules.gpus, subjects)) else []
    return [*found, *for_everybody(loaded), *of_runtimes(subjects, host, directories, asked)]


def each_alone(loaded: spec_files.Loaded) -> list[Definition]:
    """Files that were named are each judged as if it were the only one."""
    return [one for file in loaded.files for one in definitions([file])]


def invalid(finding: Finding, loaded: spec_files.Loaded) -> Found:
    """A document that runtimes drop takes all its devices with it; one that nobody can read as well."""
    if finding.place in loaded.kinds or finding.place.endswith((".yaml", ".json")):
        hint = finding.hint or "correct it, or have its generator make it again"
        return Found("spec-invalid", finding._replace(severity="fatal", hint=hint), finding.place)
    return Found("spec-directory", finding, finding.place)


def one_place(loaded: spec_files.Loaded, known: list[Definition], directories: list[str]) -> list[Found]:
    """Who else defines our devices, or would."""
    ours = our_path()
    paths = [file.path for file in loaded.files]
    known_kinds = documents(loaded, ours)
    mine = next((document for document in known_kinds if document.same_as_ours), None)
    found = []
    if mine:
        others = leftovers.leftovers(known_kinds, mine.kind)
        conflicting = {path for one in known if one.state == "conflict" for path in one.because_of}
        found = [
            Found("leftover", finding, finding.place)
            for finding in leftovers.findings(others, mine.path)
            if finding.place not in conflicting or finding.severity == "degraded"
        ]
    same = [(one, other) for one in paths for other in paths if one != other and host_facts.same_file(one, other)]
    told = {one.file for one in found}
    found += [one for one in collect.shadowed(known, same) if one.file not in told]
    enabled = units.enabled((*leftovers.RIVALS, *leftovers.OUR_UNITS))
    rivals = [unit for unit in enabled if unit not in leftovers.OUR_UNITS]
    found += [Found("rival-unit", one) for one in leftovers.rival_units(rivals, enabled != rivals)]
    return [*found, *unread_files(directories), *two_runs(directories)]


def documents(loaded: spec_files.Loaded, ours: str) -> list[leftovers.Document]:
    return [leftovers.Document(path, kind, host_facts.same_file(path, ours)) for path, kind in loaded.kinds.items()]


def our_path() -> str:
    try:
        return config.read().settings.output
    except Fault:  # run and config tell what is wrong with it
        return leftovers.OURS


def unread_files(directories: list[str]) -> list[Found]:
    """What looks like a spec, and is passed over by every runtime."""
    found = []
    for directory in directories:
        for name in path_entries.names(directory):
            if name.lower().endswith((".yml", ".yaml", ".json")) and not name.endswith((".yaml", ".json")):
                finding = Finding("info", f"{directory}/{name}", "is read by no runtime", "call it .yaml or .json")
                found.append(Found("name-unread", finding, finding.place))
    return found


def two_runs(directories: list[str]) -> list[Found]:
    """/var/run is a link to /run, or runtimes and generators mean different directories."""
    if "/var/run/cdi" not in directories or not path_entries.names("/run/cdi"):
        return []
    real = path_entries.real(("/run/cdi", "/var/run/cdi"))
    if real["/run/cdi"] == real["/var/run/cdi"]:
        return []
    fact = "is not /run/cdi, where there are files, too: runtimes differ in which they read"
    return [Found("two-runs", Finding("degraded", "/var/run/cdi", fact, "make /var/run a symbolic link to /run"))]


def for_everybody(loaded: spec_files.Loaded) -> list[Found]:
    """Podman reads as the user who runs it."""
    found: dict[Found, None] = {}
    for file in loaded.files:
        directory = os.path.dirname(os.path.abspath(file.path))
        for path, bits, how in ((file.path, stat.S_IROTH, "0644"), (directory, stat.S_IROTH | stat.S_IXOTH, "0755")):
            mode = path_entries.entry(path).mode
            if mode & bits != bits:
                fact = collect.UNREADABLE_BY_ALL.format(mode)
                found[Found("file-mode", Finding("degraded", path, fact, f"chmod {how} {path}"), path)] = None
    return list(found)


def of_runtimes(
    subjects: list[Subject], host: Host, directories: list[str], asked: list[programs.Asked]
) -> list[Found]:
    """What runtimes make of it: nothing, where there is no spec."""
    told = programs.answers(asked)
    if not subjects:
        return []
    runtimes = [runtime(one) for one in container_runtimes.used(told) if one.name in INSTALLATIONS]
    runc = next((release(one.said) for one in told if one.name == "runc"), ())
    found = []
    used = [directory for directory in directories if any(os.path.dirname(of.file) == directory for of in subjects)]
    if used:
        real = path_entries.real((*used, *runtime_config.DEFAULTS))
        found += [Found("runtime", one) for one in runtime_config.problems(runtimes, tuple(used), real)]
    for of in subjects:
        found += [Found("cdi-version", one, of.file) for one in runtime_versions.refusals(of.spec, runtimes)]
    return [*found, *char_links(subjects, host, runc)]


def runtime(installed: InstalledRuntime) -> Runtime:
    read, broken = configurations.documents(installed.name, installed.said)
    return Runtime(installed.name, installed.said, read, tuple(broken), installed.serves)


def char_links(subjects: list[Subject], host: Host, runc: tuple[int, ...]) -> list[Found]:
    """Nodes that containers lose at the next daemon-reload, with an old runc or an old systemd."""
    why = runtime_config.links_needed(runc, path_entries.systemd_version()) if runc else ""
    if not why:
        return []
    nodes = {
        host_rules.host_path(node)
        for of in subjects
        for _, edits in host_rules.every_edits(of)
        for node in edits.device_nodes
    }
    there = [(path, host.entry(path)) for path in sorted(nodes) if host.entry(path).kind == CHARACTER]
    linked = path_entries.char_linked((entry.major, entry.minor) for _, entry in there)
    fact = f"has no link in /dev/char, and {why} needs one: containers lose it at systemctl daemon-reload"
    hint = "nvidia-ctk system create-dev-char-symlinks --create-all, or update runc to 1.1.7"
    return [
        Found("char-link", Finding("degraded", path, fact, hint))
        for (path, _), has in zip(there, linked, strict=True)
        if not has
    ]
