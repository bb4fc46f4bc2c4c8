"""Watches directories, existing or not: what is added, removed and changed in them, and the directories themselves.

Every part of a directory's path is watched, too, for the next part: so a missing directory is found when it is made,
however many levels at once, and so is one that is moved away, replaced, or reached through a symbolic link that
changes. A mount over a directory makes no inotify event, so the kernel's list of mounts is polled.
A file that is watched by its whole name and is a link is watched where the link leads, too.

What we publish ourselves makes an event, too: it has the path, and the publisher compares the file with what it
wrote. Our temporaries begin with a dot, which no pattern for specs does.
"""

import contextlib
import ctypes
import errno
import os
import select
import stat
import struct
from collections.abc import Iterator
from typing import NamedTuple

from cdi_refreshd.core.formats.globs import matches
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.refresh.event_source import EventSource, Scope
from cdi_refreshd.core.refresh.watch_list import CLOSED, EACH, NONE, Watch

OVERFLOW = Event(Source.INOTIFY, Kind.QUEUE, Action.OVERFLOW)
MOUNTS = "/proc/self/mountinfo"
LINKS_AT_MOST = 40
WILD = frozenset("*?[")
READ_BYTES = 1 << 16
READS_AT_MOST = 64
"""In one `read`: more than the kernel's queue holds, so that only an endless storm reaches it."""
NAMED_AT_MOST = 8
PAUSE_NS = 50_000_000
"""After irrelevant events: /tmp can have thousands in a second, which must not wake us each."""

_CLOEXEC, _NONBLOCK = os.O_CLOEXEC, os.O_NONBLOCK  # as IN_CLOEXEC and IN_NONBLOCK are defined
_MODIFY, _ATTRIB, _CLOSE_WRITE, _MOVED_FROM, _MOVED_TO = 0x2, 0x4, 0x8, 0x40, 0x80
_CREATE, _DELETE, _DELETE_SELF, _MOVE_SELF = 0x100, 0x200, 0x400, 0x800
_UNMOUNT, _Q_OVERFLOW, _IGNORED = 0x2000, 0x4000, 0x8000
_ONLYDIR, _DONT_FOLLOW, _MASK_ADD = 0x01000000, 0x02000000, 0x20000000

COMES_OR_GOES = _CREATE | _DELETE | _MOVED_FROM | _MOVED_TO
ITSELF = _DELETE_SELF | _MOVE_SELF | _UNMOUNT | _IGNORED
WRITTEN = _MODIFY | _CLOSE_WRITE
ACTIONS = (
    (_DELETE, Action.DELETED),
    (_MOVED_FROM, Action.MOVED_AWAY),
    (_MOVED_TO, Action.PUT_IN_PLACE),
    (_CREATE, Action.CREATED),
    (WRITTEN, Action.WRITTEN),
    (_ATTRIB, Action.ATTRIBUTES),
)
HINTS = {
    errno.ENOSPC: "raise fs.inotify.max_user_watches",
    errno.EMFILE: "raise fs.inotify.max_user_instances, or LimitNOFILE",
    errno.EACCES: "run as root",
}
_HEAD = struct.Struct("iIII")
_CLOCK_MONOTONIC = 1

libc = ctypes.CDLL(None, use_errno=True)
libc.inotify_add_watch.argtypes = [ctypes.c_int, ctypes.c_char_p, ctypes.c_uint32]


class _Raw(NamedTuple):
    number: int
    mask: int
    name: str


class _Place:
    """A directory that the kernel watches for us: for parts of paths, for watches, or both."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.parts: set[str] = set()
        self.watches: list[Watch] = []


class DirectoryWatches(EventSource):
    """What cannot be watched is a fault, and the sweep covers it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._inotify = -1
        self._timer = libc.timerfd_create(_CLOCK_MONOTONIC, _CLOEXEC | _NONBLOCK)
        if self._timer >= 0:
            self._epoll.register(self._timer, select.EPOLLIN)
        self._paused = False
        self._wanted: tuple[Watch, ...] = ()
        self._places: dict[int, _Place] = {}
        self._reached: dict[Watch, int] = {}
        self._pending: dict[Event, None] = {}
        # Polling a list of mounts clears its event. One descriptor wakes us, the other is polled for changes.
        self._mounts = [os.open(MOUNTS, os.O_RDONLY | os.O_CLOEXEC) for _ in range(2)] if os.path.exists(MOUNTS) else []
        self._mounted = select.poll()
        if self._mounts:
            self._epoll.register(self._mounts[0], select.EPOLLPRI)
            self._mounted.register(self._mounts[1], select.POLLPRI)

    def fileno(self) -> int:
        return self._epoll.fileno()

    def configure(self, scope: Scope) -> None:
        self.watch(scope.watches)

    def watch(self, wanted: tuple[Watch, ...]) -> None:
        """From now on these and no others. What was there before is not events: probe once after this."""
        self._wanted = wanted
        self._arm()

    def read(self) -> list[Event]:
        moved = bool(self._mounted.poll(0))
        self._pause(False)
        event = None
        for event in self._events():
            if event.mask & _Q_OVERFLOW:
                self.overflows += 1
                self._pending[OVERFLOW] = None
                moved = True
                continue
            place = self._places.get(event.number)
            if place is None:
                continue  # of a watch that we have given up since
            moved |= bool(event.mask & ITSELF) or (event.name in place.parts and bool(event.mask & COMES_OR_GOES))
            self._report(place, event)
        if moved:
            self._arm()
        events, self._pending = self._pending, {}
        if event and not events:
            self._pause(True)
        return list(events)

    def close(self) -> None:
        self._epoll.close()
        for descriptor in (self._inotify, self._timer, *self._mounts):
            if descriptor >= 0:
                os.close(descriptor)
        self._inotify, self._timer, self._mounts = -1, -1, []

    def _pause(self, begins: bool) -> None:
        """Leaves events in the kernel's queue for a moment, or no longer."""
        if begins != self._paused and self._inotify >= 0 and self._timer >= 0:
            self._paused = begins
            self._epoll.modify(self._inotify, 0 if begins else select.EPOLLIN)
            once = (ctypes.c_long * 4)(0, 0, 0, PAUSE_NS if begins else 0)  # no period; seconds, nanoseconds
            libc.timerfd_settime(self._timer, 0, once, None)

    def _events(self) -> Iterator[_Raw]:
        for _ in range(READS_AT_MOST):
            try:
                raw = os.read(self._inotify, READ_BYTES)
            except OSError:  # nothing more, or nothing ever: without a queue the descriptor is -1
                return
            at = 0
            while at < len(raw):
                number, mask, _, size = _HEAD.unpack_from(raw, at)
                at += _HEAD.size + size
                yield _Raw(number, mask, os.fsdecode(raw[at - size : at].rstrip(b"\0")))

    def _report(self, place: _Place, event: _Raw) -> None:
        action = next((action for mask, action in ACTIONS if event.mask & mask), None)
        for watch in place.watches:
            counts = event.mask & (_kernel_mask(watch) & ~ITSELF)
            if action and counts and _matches(watch, event.name):
                self._pending[_of(watch, action, event.name)] = None
                return  # reported once, even where two paths lead there

    # Setting up

    def _arm(self) -> None:
        """Follows every path again, and returns events for directories that have changed."""
        faults: dict[str, None] = {}
        places: dict[int, _Place] = {}
        reached: dict[Watch, int] = {}
        if self._open(faults):
            numbers: dict[tuple[str, int], int] = {}
            wanted = list(self._wanted)
            for watch in wanted:
                reached[watch] = self._follow(watch, places, numbers, faults)
                if place := places.get(reached[watch]):
                    wanted += [found for found in _led_to(watch, place) if found not in reached]
            for number in self._places.keys() - places.keys():
                libc.inotify_rm_watch(self._inotify, number)  # fails if the kernel has removed it already
        for watch, number in reached.items():
            if self._reached.get(watch, number) != number:
                self._pending.update(dict.fromkeys(_changed(watch, self._reached[watch], number)))
        self._places, self._reached, self.faults = places, reached, tuple(faults)

    def _open(self, faults: dict[str, None]) -> bool:
        if self._inotify < 0:
            self._inotify = libc.inotify_init1(_CLOEXEC | _NONBLOCK)
            if self._inotify < 0:
                code = ctypes.get_errno()
                faults[f"inotify: cannot be had: {os.strerror(code)}; {HINTS.get(code, '')}".rstrip("; ")] = None
                return False
            self._epoll.register(self._inotify, select.EPOLLIN)
        return True

    def _follow(
        self, watch: Watch, places: dict[int, _Place], numbers: dict[tuple[str, int], int], faults: dict[str, None]
    ) -> int:
        """The kernel's number for the directory, 0 if it does not exist (yet) or cannot be watched."""

        def place(path: str, mask: int) -> _Place | None:
            if (path, mask) not in numbers:
                numbers[path, mask] = self._add(path or "/", mask, faults)
            number = numbers[path, mask]
            return places.setdefault(number, _Place(path)) if number > 0 else None

        here, links, parts = "", 0, watch.directory.split("/")[::-1]
        while parts:
            part = parts.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0]
                continue
            above = place(here, COMES_OR_GOES | _DELETE_SELF | _MOVE_SELF)
            if above:  # before the lookup of the part: what is made in between makes an event
                above.parts.add(part)
            try:
                target = os.readlink(f"{here}/{part}") if stat.S_ISLNK(os.lstat(f"{here}/{part}").st_mode) else ""
            except OSError:
                return 0
            if not target:
                here = f"{here}/{part}"
                continue
            links += 1
            if links > LINKS_AT_MOST:
                return 0
            here = "" if target.startswith("/") else here
            parts.extend(target.split("/")[::-1])
        found = place(here, _kernel_mask(watch))
        if not found:
            return 0
        found.watches.append(watch)
        return numbers[here, _kernel_mask(watch)]

    def _add(self, path: str, mask: int, faults: dict[str, None]) -> int:
        how = mask | _ONLYDIR | _DONT_FOLLOW | _MASK_ADD
        number: int = libc.inotify_add_watch(self._inotify, os.fsencode(path), how)
        code = ctypes.get_errno()
        if number < 0 and code not in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP):
            place = "inotify" if code == errno.ENOSPC else path  # the limit is one fault, not fifty
            fact = f"{place}: cannot be watched: {os.strerror(code)}"
            faults[f"{fact}; {HINTS[code]}" if code in HINTS else fact] = None
        return number


def _kernel_mask(watch: Watch) -> int:
    mask = COMES_OR_GOES | _ATTRIB | _DELETE_SELF | _MOVE_SELF
    if watch.writes == NONE:
        return mask
    return mask | (WRITTEN if watch.writes == EACH else _CLOSE_WRITE)


def _matches(watch: Watch, name: str) -> bool:
    return bool(name) and (not watch.names or any(matches(name, pattern) for pattern in watch.names))


def _led_to(watch: Watch, place: _Place) -> Iterator[Watch]:
    """The other ends of links among the files that are watched by their names. From now on the links are parts of ways.

    Nodes and sockets are none that tools install, and a spec is never a link's end.
    """
    for name in watch.names if watch.writes == CLOSED else ():
        if WILD.isdisjoint(name):
            place.parts.add(name)
            with contextlib.suppress(OSError):
                directory, last = os.path.split(os.path.join(place.path, os.readlink(f"{place.path}/{name}")))
                if last not in ("", ".", ".."):
                    yield Watch(directory, (last,), watch.kind, watch.writes)


def _of(watch: Watch, action: Action, name: str = "") -> Event:
    return Event(Source.INOTIFY, watch.kind, action, f"{watch.directory}/{name}" if name else watch.directory)


def _changed(watch: Watch, before: int, now: int) -> Iterator[Event]:
    """What happened to a directory that was removed, made or replaced. A new empty one is no event."""
    if before:
        yield _of(watch, Action.REPLACED if now else Action.GONE)
    names: list[str] = []
    with contextlib.suppress(OSError):
        names = sorted(os.listdir(watch.directory)) if now else []
    for name in [name for name in names if _matches(watch, name)][:NAMED_AT_MOST]:
        yield _of(watch, Action.THERE, name)
