"""A machine's files as values, and the one place that makes them real."""

import os
import socket
import stat
from pathlib import Path
from typing import NamedTuple


class File(NamedTuple):
    content: bytes
    mode: int = 0o644


class Link(NamedTuple):
    target: str


class Node(NamedTuple):
    """A character device."""

    major: int
    minor: int
    mode: int = 0o666
    gid: int = 0


class Socket(NamedTuple):
    """A Unix socket that nobody listens on."""


class Dir(NamedTuple):
    """A directory that is there even if it is empty."""


Entry = File | Link | Node | Socket | Dir
Tree = dict[str, Entry]
"""Absolute path to entry. Directories need no entry unless they may be empty."""

SCRIPT = File(b"#!/bin/sh\nexit 0\n", 0o755)


def text(content):
    return File(content.encode())


def under(prefix, tree):
    """The same tree, below another directory."""
    return {prefix.rstrip("/") + path: entry for path, entry in tree.items()}


def apply(root: Path, have: Tree, want: Tree) -> None:
    """Turns `have` into `want` below root and touches only what differs: the rest keeps its inode.

    No directory on the way to a path may be an absolute link: root is another file system's, seen from outside.
    """
    for path in sorted(have.keys() - want.keys(), reverse=True):
        remove(root, path, want)
    for path, entry in sorted(want.items()):
        old = have.get(path)
        if old != entry:
            if old is not None and not (isinstance(old, File) and isinstance(entry, File)):
                remove(root, path, want)
            make(root / path.lstrip("/"), entry)


def remove(root, path, want):
    """Removes a path and the directories above it that become empty, except wanted ones."""
    real = root / path.lstrip("/")
    try:
        if real.is_dir() and not real.is_symlink():
            real.rmdir()
        else:
            real.unlink(missing_ok=True)
        while path.count("/") > 2:
            path = os.path.dirname(path)
            if path in want:
                return
            os.rmdir(root / path.lstrip("/"))
    except OSError:
        return  # not empty, or a mount point


def make(path, entry):
    path.parent.mkdir(parents=True, exist_ok=True)
    match entry:
        case File(content, mode):
            # In place, because the path may be a mount point.
            path.write_bytes(content)
            path.chmod(mode)
        case Link(target):
            path.unlink(missing_ok=True)
            path.symlink_to(target)
        case Node(major, minor, mode, gid):
            path.unlink(missing_ok=True)
            os.mknod(path, stat.S_IFCHR | mode, os.makedev(major, minor))
            os.chown(path, 0, gid)
            path.chmod(mode)
        case Socket():
            bind(path)
        case Dir():
            path.mkdir(exist_ok=True)


def bind(path):
    """Binds through a descriptor, because a socket's address has room for 107 bytes only."""
    parent = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(f"/proc/self/fd/{parent}/{path.name}")
    finally:
        os.close(parent)
