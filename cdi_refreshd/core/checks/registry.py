"""Every check rule by its id: its severity, and what it finds. docs/check-json.md has the same table."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.findings import Finding


class Rule(NamedTuple):
    severity: str
    says: str


RULES: dict[str, Rule] = {
    "spec-invalid": Rule("fatal", "runtimes drop a document, with all its devices"),
    "spec-directory": Rule("degraded", "runtimes find nothing in a spec directory, or it cannot be read"),
    "text-unread": Rule("degraded", "a file has more than one YAML document, and runtimes read only the first"),
    "conflict": Rule("fatal", "two files of one directory define the same devices, so no container gets them"),
    "shadowed": Rule("info", "a file of a later directory wins"),
    "leftover": Rule(
        "degraded", "a file defines devices of the kind that cdi-refreshd publishes, and is not refreshed"
    ),
    "rival-unit": Rule("degraded", "another enabled unit writes the spec that cdi-refreshd's unit publishes"),
    "other-unit": Rule("info", "another enabled unit writes NVIDIA's spec, and cdi-refreshd's is not enabled"),
    "file-mode": Rule("degraded", "a file is not world-readable, or its directory not world-searchable"),
    "file-mode-cluster": Rule("info", "the same for a file that only a cluster's runtime reads, as root"),
    "name-unread": Rule("info", "no runtime reads a file of this name"),
    "two-runs": Rule("degraded", "/var/run is not /run, and both have specs"),
    "node-missing": Rule("fatal", "a device node is missing"),
    "node-from-numbers": Rule(
        "degraded", "it is missing or something else, and the runtime makes one from the numbers in the spec"
    ),
    "node-kind": Rule("fatal", "a path that should be a device node is something else"),
    "node-numbers": Rule("fatal", "a device node has other numbers than the spec"),
    "node-driver": Rule("fatal", "the major number of a device node belongs to another driver now, or to none"),
    "node-unclaimed": Rule("info", "no driver in /proc/devices has the major number of a device node"),
    "node-group": Rule("degraded", "the groups in the spec may not open a device node"),
    "mount-missing": Rule("fatal", "the source of a mount is missing"),
    "mount-kind": Rule("fatal", "the source of a mount is a directory and should be a file"),
    "mount-of-a-user": Rule("degraded", "the source of a mount belongs to a local user, in a world-writable directory"),
    "mount-socket": Rule("degraded", "the source of a mount is a file and should be a socket"),
    "hook-runs": Rule("fatal", "the program of a hook is missing or not executable"),
    "hook-unknown": Rule("fatal", "NVIDIA's hook program does not know a hook, or a flag of one, and so fails"),
    "link-on-mount": Rule("fatal", "a hook makes a link where the spec has a mount, and fails"),
    "interface-missing": Rule("fatal", "a network interface is missing"),
    "all-is-all": Rule("degraded", "the device `all` lacks what another device has"),
    "drm-pair": Rule("degraded", "a device has the card node of one GPU and the render node of another"),
    "drm-of-gpu": Rule("degraded", "a device has the DRM nodes of another GPU"),
    "driver-version": Rule("fatal", "the spec names files of another driver version than the loaded module"),
    "driver-mismatch": Rule("degraded", "the loaded module and the libraries of the host are of different versions"),
    "control-node": Rule("fatal", "the spec lacks a control node without which CUDA does not start"),
    "control-node-optional": Rule("degraded", "the spec lacks a control node that graphics or tools need"),
    "library-left-out": Rule("fatal", "the host has a library that CUDA needs, and the spec lacks it"),
    "library-unusable": Rule("fatal", "a library that CUDA needs is empty, truncated, or for another processor"),
    "library-damaged": Rule("degraded", "the same for another library of the driver"),
    "graphics-left-out": Rule("degraded", "the host has a library or file that graphics needs, and the spec lacks it"),
    "library-unfound": Rule("degraded", "neither a hook nor a mount lets the loader in a container find libcuda"),
    "families-differ": Rule("degraded", "containers based on Debian and on Fedora find different libraries"),
    "library-versions": Rule("fatal", "a spec without hooks mounts libraries of two drivers into one directory"),
    "socket-left-out": Rule("degraded", "an NVIDIA daemon has a socket that the spec lacks"),
    "mig-access": Rule("fatal", "a device on a GPU with MIG slices has no slice"),
    "no-spec": Rule("fatal", "the host has NVIDIA GPUs and no spec for them"),
    "other-kind": Rule("info", "the host's GPUs are only in specs of another kind"),
    "gpu-missing": Rule("degraded", "a GPU is in no spec"),
    "gpu-expected": Rule("degraded", "the host has fewer GPUs than its configuration expects"),
    "configuration": Rule("degraded", "cdi-refreshd's own configuration is broken"),
    "gpu-without-driver": Rule("degraded", "a GPU has no driver"),
    "gpu-in-mig-mode": Rule("info", "a GPU that is in no spec may be in MIG mode without slices"),
    "slice-missing": Rule("degraded", "a MIG slice is in no spec"),
    "runtime": Rule("degraded", "a container runtime does not read the spec directories"),
    "runtime-note": Rule("info", "the same for a runtime that is not used for devices here, or perhaps not"),
    "cdi-version": Rule("degraded", "a container runtime does not read this cdiVersion"),
    "char-link": Rule("degraded", "runc or systemd is too old to work without a link to the device node in /dev/char"),
}
"""In the order of the documentation."""


class RuleFinding(NamedTuple):
    """A finding with the rule that made it."""

    rule: str
    finding: Finding
    file: str = ""
    """The spec that it is about, "" if none."""
    devices: tuple[str, ...] = ()
    """Names of the devices that it is about; none where it is about every device of the file."""


def found(
    rule: str, place: str, fact: str, hint: str = "", file: str = "", *, devices: Iterable[str] = ()
) -> RuleFinding:
    """A finding with the rule's severity; KeyError if there is no such rule."""
    return RuleFinding(rule, Finding(RULES[rule].severity, place, fact, hint, rule=rule), file, tuple(devices))


def fatal_count(findings: Iterable[RuleFinding]) -> int:
    return sum(one.finding.severity == "fatal" for one in findings)
