"""A reason to probe again, as a record. Its sentence is made where it is journalled: see core/report/wording."""

from enum import Enum
from typing import NamedTuple


class Source(Enum):
    UDEV = "udev"
    INOTIFY = "inotify"
    MIG = "mig"
    SWEEP = "sweep"
    SIGNAL = "signal"
    START = "start"
    RETRY = "retry"
    POLL = "poll"
    """Of any other, as a new one may be: nothing goes by it."""


class Kind(Enum):
    """What it is about."""

    # Files and directories: what a watch is for.
    SPEC = "spec"
    NODE = "node"
    SOCKET = "socket"
    LIBRARY = "library"
    FIRMWARE = "firmware"
    DRIVER_FILE = "driver's file"
    PROGRAM = "program"
    HOOK = "hook"
    CSV_FILE = "CSV file"
    DRIVER_STORE = "driver store"
    CONFIGURATION = "configuration"
    HOLD = "hold"
    # Kernel objects: subsystems of uevents.
    PCI = "pci"
    DRM = "drm"
    MODULE = "module"
    DRIVERS = "drivers"
    MISC = "misc"
    VMBUS = "vmbus"
    PLATFORM = "platform"
    HOST1X = "host1x"
    # The rest.
    NAMED = "named by the spec"
    """Whatever the published spec names: a node, a mount, a hook."""
    MIG_INSTANCES = "MIG instances"
    QUEUE = "queue"
    """Actions of a source of events."""
    DAEMON = "daemon"


class Action(Enum):
    """What happened to it."""

    # Of uevents.
    ADD = "add"
    REMOVE = "remove"
    BIND = "bind"
    UNBIND = "unbind"
    CHANGE = "change"
    # Of files, by inotify.
    DELETED = "deleted"
    MOVED_AWAY = "moved away"
    PUT_IN_PLACE = "put in place"
    CREATED = "created"
    WRITTEN = "written"
    ATTRIBUTES = "has other permissions or times"
    # Of directories, and of what is found in one that is new.
    GONE = "is gone"
    REPLACED = "is another directory"
    THERE = "is there"
    # Of anything else.
    DIFFERS = "differs"
    DAMAGED = "is damaged"
    OVERFLOW = "overflow: events are lost, so everything is probed again"
    RECEIVED_AGAIN = "are received again"
    ASKED = "asked"
    DUE = "due"


class Event(NamedTuple):
    source: Source
    kind: Kind
    action: Action
    path: str = ""
    """The file or directory, as it was watched; "" if the event is about neither."""
    subject: str = ""
    """The name of the device, module or driver; "" if the event is about none."""
    note: str = ""
    """More words for the journal. Nothing is decided by them."""
