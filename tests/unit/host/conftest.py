import contextlib
import os
from pathlib import Path

import pytest


def descriptors():
    """The numbers of all open descriptors but the listing's own."""
    return {name: os.readlink(f"/proc/self/fd/{name}") for name in os.listdir("/proc/self/fd") if exists(name)}


def exists(name):
    return os.path.lexists(f"/proc/self/fd/{name}")


def children():
    """Zombies included."""
    found = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # a thread that ends meanwhile
            found.update((task / "children").read_text().split())
    return found


@pytest.fixture(autouse=True)
def nothing_is_left():
    """No test here leaves a child, a zombie or a descriptor."""
    before = descriptors(), children()
    yield
    assert (descriptors(), children()) == before
