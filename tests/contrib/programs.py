"""Prometheus' programs: this host's own, or those that tests/packages unpacked: installed ones would start services."""

import os
import pwd
import shutil
from pathlib import Path

import pytest

HOMES = [Path.home(), *(Path(pwd.getpwnam(name).pw_dir) for name in [os.environ.get("SUDO_USER")] if name)]
CACHES = [Path(os.environ.get("XDG_CACHE_HOME") or HOMES[0] / ".cache"), *(home / ".cache" for home in HOMES[1:])]
UNPACKED = [cache / "cdi-refreshd/unpacked/usr/bin" for cache in CACHES]


def program(name):
    """Its path. Skips the test where there is none."""
    found = shutil.which(name) or shutil.which(name, path=os.pathsep.join(map(str, UNPACKED)))
    return found or pytest.skip(f"NOT RUN: {name} is missing; type: tests/packages test")
