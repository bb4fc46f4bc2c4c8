"""Now and then, whatever the events said: is all that the published spec names still there, and what it was?

By stat alone: no device is opened, nothing wakes.
"""

import math
import os
import random
import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import ContainerEdits, DeviceNode, Spec
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source

JITTER = 0.1
"""Of the interval, either way: a thousand hosts that boot together need not sweep together."""
TYPES = {"b": stat.S_IFBLK, "c": stat.S_IFCHR, "u": stat.S_IFCHR, "p": stat.S_IFIFO}


class FileIdentity(NamedTuple):
    """A file as it was when we were done with it. Nobody can change what is in it and leave the change time alone."""

    device: int
    inode: int
    mode: int
    size: int
    mtime_ns: int
    ctime_ns: int


class _Thing(NamedTuple):
    """Something that a spec names, as it was when the spec was published. Times and sizes are nobody's business."""

    real_path: str
    kind: int
    """The type bits; 0 where it is not there."""
    number: int
    mode: int
    uid: int
    gid: int


class Sweep:
    """Times are of one monotonic clock, in seconds."""

    def __init__(
        self, interval_s: float = 300.0, jitter: float = JITTER, chance: Callable[[], float] = random.random
    ) -> None:
        self._interval_s = interval_s
        self._jitter = jitter
        self._chance = chance
        self._due = -math.inf
        self._files: dict[str, FileIdentity | None] = {}
        self._nodes: dict[str, DeviceNode] = {}
        self._things: dict[str, _Thing] = {}

    def set(self, spec: Spec | None, files: tuple[str, ...]) -> None:
        """What stands now. Call it right after publishing, and after withdrawing.

        Without a spec, files that stand are those of an earlier one: what is known of them stays, so that a stranger's
        change does not become ours because a probe failed. Without files, those that stood are gone by our will.
        """
        if spec is None:
            known = self._files if files else {}
            gone = dict.fromkeys(self._files) if not files else {}
            self._files = {**{file: _identity(file) for file in files}, **known, **gone}
        else:
            self._files = {file: _identity(file) for file in files}
        if spec is not None or not files:
            edits = [spec.container_edits, *(device.container_edits for device in spec.devices)] if spec else []
            self._nodes = {node.host_path or node.path: node for edit in edits for node in edit.device_nodes}
            self._things = {path: _thing(path) for path in sorted({path for edit in edits for path in _paths(edit)})}

    def every(self, interval_s: float) -> None:
        if interval_s != self._interval_s:
            self._interval_s, self._due = interval_s, -math.inf

    def put_back(self) -> None:
        """The files have the content that they had when they were `set`, in new inodes."""
        self._files = {file: _identity(file) for file in self._files}

    def is_as_published(self) -> bool:
        """Whether our files are what we made them, and those that we removed are gone; False before the first `set`."""
        return bool(self._files) and all(_identity(file) == known for file, known in self._files.items())

    def due_at(self, now: float) -> float:
        if not self._files and not self._things:
            return math.inf  # nothing published: nothing to go wrong
        if self._due == -math.inf:
            self._next(now)
        return max(self._due, now)

    def poll(self, now: float) -> list[Event]:
        """What differs, an event each; nothing before it is due."""
        if now < self.due_at(now):
            return []
        self._next(now)
        return list(self._differences())

    def _next(self, now: float) -> None:
        self._due = now + self._interval_s * (1 + self._jitter * (2 * self._chance() - 1))

    def _differences(self) -> Iterator[Event]:
        for file, known in self._files.items():
            found = _identity(file)
            if found != known:
                words = "is gone" if found is None else "is not what was published"
                yield Event(Source.SWEEP, Kind.SPEC, Action.DIFFERS, file, note=words)
        for path, before in self._things.items():
            words = _said(before, _thing(path), self._nodes.get(path))
            if words:
                yield Event(Source.SWEEP, Kind.NAMED, Action.DIFFERS, path, note=words)


def _paths(edits: ContainerEdits) -> Iterator[str]:
    yield from (node.host_path or node.path for node in edits.device_nodes)
    yield from (mount.host_path for mount in edits.mounts)
    yield from (hook.path for hook in edits.hooks)


def _identity(path: str) -> FileIdentity | None:
    try:
        seen = os.lstat(path)
    except OSError:
        return None
    return FileIdentity(seen.st_dev, seen.st_ino, seen.st_mode, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def _thing(path: str) -> _Thing:
    real = os.path.realpath(path)
    try:
        seen = os.stat(real)
    except OSError:
        return _Thing(real, 0, 0, 0, 0, 0)
    is_node = stat.S_ISCHR(seen.st_mode) or stat.S_ISBLK(seen.st_mode)
    # Of a file or a directory only whether it can be run matters, and only for hooks: libraries come as they come.
    mode = stat.S_IMODE(seen.st_mode) if is_node else seen.st_mode & 0o111
    owner = (seen.st_uid, seen.st_gid) if is_node else (0, 0)
    return _Thing(real, stat.S_IFMT(seen.st_mode), seen.st_rdev if is_node else 0, mode, *owner)


def _said(before: _Thing, now: _Thing, node: DeviceNode | None) -> str:
    """What is wrong with it now, "" for nothing."""
    if not now.kind:
        return "is gone"
    if node and now.kind != TYPES.get(node.type or "c", now.kind):
        return "is no device node any more"
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
