"""Whether the container runtimes of this host can use the published specs."""

import os

from cdi_refreshd.core.checks import runtime_config, runtime_versions
from cdi_refreshd.core.checks.container_runtimes import INSTALLATIONS, Release, Runtime, release
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.published import Published
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import every_edits, host_path
from cdi_refreshd.core.entries import CHARACTER
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia.inventory import InstalledRuntime
from cdi_refreshd.host import path_entries
from cdi_refreshd.host import runtime_config as configurations
from cdi_refreshd.host import runtime_versions as programs
from cdi_refreshd.probe import container_runtimes

NVIDIA_LINKS = "nvidia-ctk system create-dev-char-symlinks --create-all"
UDEV_LINKS = "udevadm trigger"


def ask() -> list[programs.Asked]:
    """Starts the installed runtimes to print their versions."""
    return programs.ask((*INSTALLATIONS, "runc"))


def findings(of: Published, host: Host, asked: list[programs.Asked]) -> list[RuleFinding]:
    """Nothing if there is no spec."""
    answers = programs.answers(asked)
    if not of.subjects:
        return []
    runtimes = [runtime(one) for one in container_runtimes.used(answers) if one.name in INSTALLATIONS]
    runc = next((release(one.said) for one in answers if one.name == "runc"), ())
    said = []
    used = [path for path in of.directories if any(os.path.dirname(one.file) == path for one in of.subjects)]
    if used:
        real = path_entries.real((*used, *runtime_config.DEFAULTS))
        said += [by_severity("runtime", one) for one in runtime_config.problems(runtimes, tuple(used), real)]
    for one in of.subjects:
        said += [by_severity("cdi-version", two, one.file) for two in runtime_versions.refusals(one.spec, runtimes)]
    return [*said, *char_links(of, host, runc)]


def runtime(installed: InstalledRuntime) -> Runtime:
    read, broken = configurations.documents(installed.name, installed.said)
    return Runtime(installed.name, installed.said, read, tuple(broken), installed.serves)


def by_severity(rule: str, finding: Finding, file: str = "") -> RuleFinding:
    return found("runtime-note" if finding.severity == "info" else rule, *finding[1:4], file)


def char_links(of: Published, host: Host, runc: Release) -> list[RuleFinding]:
    """Nodes that containers lose at the next daemon-reload, with an old runc or an old systemd."""
    why = runtime_config.links_needed(runc, path_entries.systemd_version()) if runc else ""
    if not why:
        return []
    nodes = {host_path(node) for one in of.subjects for _, edits in every_edits(one) for node in edits.device_nodes}
    there = [(path, host.entry(path)) for path in sorted(nodes) if host.entry(path).kind == CHARACTER]
    linked = path_entries.char_linked((entry.major, entry.minor) for _, entry in there)
    fact = f"has no link in /dev/char, and {why} needs one: containers lose it at systemctl daemon-reload"
    return [
        found("char-link", path, fact, f"{links_maker(path)}, or update runc to 1.1.7")
        for (path, _), has in zip(there, linked, strict=True)
        if not has
    ]


def links_maker(path: str) -> str:
    return NVIDIA_LINKS if "/nvidia" in path else UDEV_LINKS
