"""Names in CDI: vendor, class, device, qualified name, environment entry, annotation key.

Each `..._problem` says what is wrong with a name, or "" if it is valid. The rules are those that library 1.1.0
applies (pkg/parser, pkg/cdi), which are not always those of SPEC.md: no length limits, `_` and upper case are fine.
"""

import re
from typing import NamedTuple

from cdi_refreshd.core.findings import Fault, quoted

ANNOTATION_PREFIX = "cdi.k8s.io/"
"""Prefix of the container annotations that request devices."""

_LABEL = re.compile(r"[A-Za-z]([A-Za-z0-9_.-]*[A-Za-z0-9])?")
_DEVICE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.:-]*[A-Za-z0-9])?")
# Not compiled here: few specs have annotations.
_ANNOTATION_NAME = r"[A-Za-z0-9]([A-Za-z0-9_.-]*[A-Za-z0-9])?"
_DNS_LABEL = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?"


class QualifiedName(NamedTuple):
    vendor: str
    class_name: str
    device: str

    def __str__(self) -> str:
        return f"{self.vendor}/{self.class_name}={self.device}"


def label_problem(label: str) -> str:
    """What is wrong with a vendor or a class."""
    if not label:
        return "must not be empty"
    if not _LABEL.fullmatch(label):
        text = quoted(label)
        return f"{text} must begin with a letter, end with a letter or digit, and have only these and _ - . between"
    if len(label) == 1:
        return f"{quoted(label)} has one character, which crashes container runtimes (CDI library 1.1.0 and older)"
    return ""


def device_problem(name: str) -> str:
    if not name:
        return "must not be empty"
    if not _DEVICE.fullmatch(name):
        return f"{quoted(name)} must begin and end with a letter or digit, and have only these and _ - . : between"
    return ""


def split_kind(kind: str) -> tuple[str, str]:
    """Vendor and class; an empty vendor and the whole text if it is not `vendor/class`."""
    vendor, _, class_name = kind.partition("/")
    return (vendor, class_name) if vendor and class_name else ("", kind)


def qualified(text: str) -> QualifiedName:
    """Split `vendor/class=device`. Raises Fault if the text is not a qualified name."""
    kind, _, device = text.partition("=")
    vendor, class_name = split_kind(kind)
    if not (vendor and device):
        raise Fault(quoted(text), "is not a qualified device name", "write vendor/class=device, as in nvidia.com/gpu=0")
    for what, problem in (
        ("vendor", label_problem(vendor)),
        ("class", label_problem(class_name)),
        ("device", device_problem(device)),
    ):
        if problem:
            raise Fault(quoted(text), f"{what} {problem}")
    return QualifiedName(vendor, class_name, device)


def env_problem(entry: str) -> str:
    """What is wrong with an entry of `env`."""
    return "" if entry.find("=") > 0 else f"{quoted(entry)} must be NAME=value"


def annotation_key_problem(key: str) -> str:
    """By the rules of Kubernetes. CDI libraries up to 1.1.0 never run their check."""
    prefix, slash, name = key.rpartition("/")
    if len(name) > 63 or not re.fullmatch(_ANNOTATION_NAME, name):
        rule = "the name must have 1 to 63 letters, digits, _ - . and begin and end with a letter or digit"
        return f"{quoted(key)}: {rule}"
    labels = prefix.lower().split(".")
    if slash and (len(prefix) > 253 or not all(re.fullmatch(_DNS_LABEL, label) for label in labels)):
        return f"{quoted(key)}: the part before the / must be a DNS name"
    return ""
