"""Every check rule by its id: its one severity, and what a finding of it says. docs/check-json.md is this table."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.findings import Finding


class Rule(NamedTuple):
    severity: str
    says: str


RULES: dict[str, Rule] = {
    "spec-invalid": Rule("fatal", "a document is one that runtimes drop, with all its devices"),
    "spec-directory": Rule("degraded", "runtimes find nothing in a spec directory, or it cannot be read"),
    "text-unread": Rule(
        "degraded", "something stands behind the first YAML document of a file, which runtimes do not read"
    ),
    "conflict": Rule("fatal", "two files of one directory define the same devices, so nobody gets them"),
    "shadowed": Rule("info", "a file of a later directory wins"),
    "leftover": Rule(
        "degraded", "a file defines devices of the kind that cdi-refreshd publishes, and nobody refreshes it"
    ),
    "rival-unit": Rule("degraded", "another enabled unit writes the spec that cdi-refreshd's unit publishes"),
    "other-unit": Rule("info", "another enabled unit writes NVIDIA's spec, and cdi-refreshd's is not enabled"),
    "file-mode": Rule("degraded", "not everybody may read a file or search its directory"),
    "file-mode-cluster": Rule("info", "the same of a file that only a cluster's runtime, which is root, reads"),
    "name-unread": Rule("info", "no runtime reads a file of this name"),
    "two-runs": Rule("degraded", "/var/run is not /run, and both have specs"),
    "node-missing": Rule("fatal", "a device node is not there"),
    "node-from-numbers": Rule(
        "degraded", "the same, or another thing, and the runtime makes one from the numbers in the spec"
    ),
    "node-kind": Rule("fatal", "something else is in the place of a device node"),
    "node-numbers": Rule("fatal", "a device node has other numbers than the spec"),
    "node-driver": Rule("fatal", "the major number of a device node is another driver's now, or nobody's"),
    "node-unclaimed": Rule("info", "no driver that the kernel lists has the major number of a device node"),
    "node-group": Rule("degraded", "a device node is closed to the groups that the spec gives"),
    "mount-missing": Rule("fatal", "the source of a mount is not there"),
    "mount-kind": Rule("fatal", "a directory is in the place of a file"),
    "mount-of-a-user": Rule(
        "degraded", "the source of a mount is a local user's, in a place where everybody may write"
    ),
    "mount-socket": Rule("degraded", "a file is in the place of a socket"),
    "hook-runs": Rule("fatal", "the program of a hook is not there, or not executable"),
    "hook-unknown": Rule("fatal", "NVIDIA's hook program does not know a hook, or a flag of one, and so fails"),
    "interface-missing": Rule("fatal", "a network interface is not there"),
    "all-is-all": Rule("degraded", "the device `all` lacks what another device has"),
    "drm-pair": Rule("degraded", "a device has the card node of one GPU and the render node of another"),
    "drm-of-gpu": Rule("degraded", "a device has the DRM nodes of another GPU"),
    "driver-version": Rule("fatal", "the spec names files of another driver than the loaded one"),
    "driver-mismatch": Rule("degraded", "the loaded module and the libraries of the host are of different versions"),
    "control-node": Rule("fatal", "the spec lacks a control node without which CUDA does not start"),
    "control-node-optional": Rule("degraded", "the spec lacks a control node that graphics or tools want"),
    "library-left-out": Rule("fatal", "the host has a library that CUDA needs, and the spec lacks it"),
    "library-unusable": Rule("fatal", "a library that CUDA needs is empty, cut short, or no library of this machine"),
    "library-damaged": Rule("degraded", "the same of another library of the driver"),
    "graphics-left-out": Rule("degraded", "the host has a library or file that graphics needs, and the spec lacks it"),
    "library-unfound": Rule("degraded", "neither a hook nor a mount makes libcuda known to the loaders of containers"),
    "families-differ": Rule("degraded", "containers of Debian's kind and of Fedora's find different libraries"),
    "library-versions": Rule("fatal", "a spec without hooks mounts libraries of two drivers into one directory"),
    "socket-left-out": Rule("degraded", "a daemon of NVIDIA's has a socket that the spec lacks"),
    "mig-access": Rule("fatal", "a device of a GPU that is cut into MIG slices has no slice"),
    "no-spec": Rule("fatal", "the host has GPUs of NVIDIA's, and no spec of them"),
    "other-kind": Rule("info", "the GPUs of the host are in specs of another kind alone"),
    "gpu-missing": Rule("degraded", "a GPU is in no spec"),
    "gpu-expected": Rule("degraded", "the host has fewer GPUs than its configuration expects"),
    "gpu-without-driver": Rule("degraded", "a GPU has no driver at all"),
    "gpu-in-mig-mode": Rule("info", "a GPU that is in no spec may be in MIG mode without slices"),
    "slice-missing": Rule("degraded", "a MIG slice is in no spec"),
    "runtime": Rule("degraded", "a container runtime does not read the spec directories"),
    "runtime-note": Rule("info", "the same of a runtime that nobody here uses for devices, or nobody could say"),
    "cdi-version": Rule("degraded", "a container runtime does not read this cdiVersion"),
    "char-link": Rule("degraded", "runc or systemd is so old that the device node needs a link in /dev/char"),
}
"""In the order of the documentation."""


class RuleFinding(NamedTuple):
    """A finding, by the rule that made it."""

    rule: str
    finding: Finding
    file: str = ""
    """Of the spec that it is about, "" where it is about none."""
    devices: tuple[str, ...] = ()
    """Names of the devices that it is about; none where it is about every device of the file."""


def found(
    rule: str, place: str, fact: str, hint: str = "", file: str = "", *, devices: Iterable[str] = ()
) -> RuleFinding:
    """With the severity that the rule has; KeyError where there is no such rule."""
    return RuleFinding(rule, Finding(RULES[rule].severity, place, fact, hint, rule=rule), file, tuple(devices))


def fatal_count(findings: Iterable[RuleFinding]) -> int:
    return sum(one.finding.severity == "fatal" for one in findings)
