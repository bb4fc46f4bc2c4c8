"""Removes the right to change files outside some directories from this process and its children, for good.

See landlock(7): Linux 5.13 and later, with the security module enabled; else it does nothing. From 6.12 on the
process can besides neither signal others than its own children nor connect to abstract sockets. Sockets that have a
path, in directories that it may see, stay open to it.
"""

import contextlib
import os
import struct
from collections.abc import Iterable

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
"""Numbers of system calls, the same on every architecture."""
WHICH_VERSION = 1
PATH_BENEATH = 1
# write, remove directory and file, make: character device, directory, file, socket, FIFO, block device, link
CHANGES = 1 << 1 | sum(1 << bit for bit in range(4, 13))
TRUNCATE, TRUNCATE_SINCE = 1 << 14, 3
SCOPES, SCOPES_SINCE = 1 << 0 | 1 << 1, 6
"""Abstract sockets and signals."""


def change_only_below(directories: Iterable[str]) -> bool:
    """Whether it is in effect from now on. Open files stay open. Needs no_new_privs, or CAP_SYS_ADMIN."""
    import ctypes  # noqa: PLC0415 - only a probe's child comes here, and has it

    libc = ctypes.CDLL(None, use_errno=True)

    def call(number: int, *words: object) -> int:
        return int(libc.syscall(ctypes.c_long(number), *words))

    version = call(CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(WHICH_VERSION))
    if version < 1:
        return False
    handled = CHANGES | (TRUNCATE if version >= TRUNCATE_SINCE else 0)
    scoped = version >= SCOPES_SINCE
    attributes = struct.pack("=QQQ", handled, 0, SCOPES if scoped else 0)[: 24 if scoped else 8]
    ruleset = call(CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint32(0))
    if ruleset < 0:
        return False
    try:
        for directory in directories:
            with contextlib.suppress(OSError):  # a missing directory needs no rule
                below = os.open(directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
                rule = struct.pack("=Qi", handled, below)
                call(ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint32(0))
                os.close(below)
        return call(RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint32(0)) == 0
    finally:
        os.close(ruleset)
