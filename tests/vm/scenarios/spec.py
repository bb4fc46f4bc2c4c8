"""The published spec as a container runtime finds it."""

import os
from pathlib import Path

import yaml

from .scenario import seconds_after, seconds_until

DIRECTORY = Path("/run/cdi")
KIND = "nvidia.com/gpu"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
parsed = {}


def documents():
    """The files there, by path; None for what is no document. Read again only where they changed."""
    found = {}
    for path in sorted(DIRECTORY.glob("*.yaml")) + sorted(DIRECTORY.glob("*.json")):
        try:
            now = os.stat(path)
            key = (path, now.st_ino, now.st_mtime_ns, now.st_size)
            if key not in parsed:
                parsed[key] = yaml.load(path.read_text(), Loader=LOADER)
            found[path] = parsed[key] if isinstance(parsed[key], dict) else None
        except (OSError, yaml.YAMLError):
            found[path] = None
    return found


def ours():
    return [document for document in documents().values() if document and document.get("kind") == KIND]


def text():
    return "".join(path.read_text() for path in documents())


def names():
    return {device["name"] for document in ours() for device in document.get("devices") or []}


def control():
    """Paths of the device nodes that every container gets."""
    common = [document.get("containerEdits") or {} for document in ours()]
    return {node["path"] for edits in common for node in edits.get("deviceNodes") or []}


def numbers():
    """Names of whole GPUs and of MIG devices: those by number, without UUIDs and `all`."""
    return {name for name in names() if name.replace(":", "").isdigit()}


def broken():
    return [path for path, document in documents().items() if document is None]


def lists(*wanted):
    """Whether the spec has exactly these GPUs, and every document is complete."""
    return lambda: not broken() and numbers() == set(wanted)


def now():
    return f"the spec lists {', '.join(sorted(numbers())) or 'nothing'}" + (f"; broken: {broken()}" if broken() else "")


def takes(act, *wanted):
    """Seconds from an action to a spec that lists these numbers."""
    return seconds_after(act, lists(*wanted), now)


def recovers(*wanted):
    return seconds_until(lists(*wanted), now)


def path():
    """The inode of the only file that is ours."""
    (only,) = DIRECTORY.glob("nvidia*.yaml")
    return only


def inode():
    return os.stat(path()).st_ino
