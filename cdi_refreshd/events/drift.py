"""Periodically, whatever the events: is everything that the published spec names still there and unchanged?

By stat alone: no device is opened, nothing wakes.
"""

import math
import os
import stat
from collections.abc import Iterator
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import ContainerEdits, DeviceNode, Spec
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import EventSource, Interval, Scope

TYPES = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}


class _Thing(NamedTuple):
    """Something that a spec names, as it was when the spec was published. Times and sizes do not matter."""

    real_path: str
    kind: int
    """The type bits; 0 if it does not exist."""
    number: int
    mode: int
    uid: int
    gid: int


class Sweep(EventSource):
    """Drift of what the published spec names. Its own file is checked by published_spec."""

    def __init__(self, interval: Interval | None = None) -> None:
        self._interval = interval or Interval()
        self._nodes: dict[str, DeviceNode] = {}
        self._things: dict[str, _Thing] = {}

    def configure(self, scope: Scope) -> None:
        self._interval.every(scope.settings.sweep_s)

    def pass_ends(self, spec: Spec | None, stands: bool) -> None:
        """Without a new spec, the published one is an earlier one, and what is known about it is kept."""
        if spec is not None or not stands:
            edits = [spec.container_edits, *(device.container_edits for device in spec.devices)] if spec else []
            self._nodes = {node.host_path or node.path: node for edit in edits for node in edit.device_nodes}
            self._things = {path: _thing(path) for path in sorted({path for edit in edits for path in _paths(edit)})}

    def due_at(self, now: float) -> float:
        return self._interval.due_at(now) if self._things else math.inf

    def poll(self, now: float) -> list[Event]:
        """One event for each difference."""
        return list(self._differences()) if self._things and self._interval.is_over(now) else []

    def _differences(self) -> Iterator[Event]:
        for path, before in self._things.items():
            words = _said(before, _thing(path), self._nodes.get(path))
            if words:
                yield Event(Source.SWEEP, Kind.NAMED, Action.DIFFERS, path, note=words)


def _paths(edits: ContainerEdits) -> Iterator[str]:
    yield from (node.host_path or node.path for node in edits.device_nodes)
    yield from (mount.host_path for mount in edits.mounts)
    yield from (hook.path for hook in edits.hooks)


def _thing(path: str) -> _Thing:
    real = os.path.realpath(path)
    try:
        seen = os.stat(real)
    except OSError:
        return _Thing(real, 0, 0, 0, 0, 0)
    is_node = stat.S_ISCHR(seen.st_mode) or stat.S_ISBLK(seen.st_mode)
    # Of files only the execute permission matters, and only for hooks: libraries may be replaced.
    mode = stat.S_IMODE(seen.st_mode) if is_node else seen.st_mode & 0o111
    owner = (seen.st_uid, seen.st_gid) if is_node else (0, 0)
    return _Thing(real, stat.S_IFMT(seen.st_mode), seen.st_rdev if is_node else 0, mode, *owner)


def _said(before: _Thing, now: _Thing, node: DeviceNode | None) -> str:
    """What is wrong with it now, "" for nothing."""
    if not now.kind:
        return "is gone"
    if node and now.kind != TYPES.get(node.type or "c", now.kind):
        return "is no longer a device node"
    if node and (node.major or node.minor):
        written = os.makedev(node.major, node.minor)
        if now.number != written:
            return f"is device {_numbers(now.number)}, and the spec says {_numbers(written)}"
    if now.real_path != before.real_path:
        return f"leads to {now.real_path} now, and led to {before.real_path}"
    if now.kind != before.kind:
        return "is something else now" if before.kind else "is there again"
    if now.number != before.number:
        return f"is device {_numbers(now.number)} now, and was {_numbers(before.number)}"
    return "has another owner or other permissions" if now != before else ""


def _numbers(number: int) -> str:
    return f"{os.major(number)}:{os.minor(number)}"
