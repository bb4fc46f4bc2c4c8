"""Keeps ctypes.util out while pynvml and pyudev are imported, which import it only to search for a library by name.

The real module brings subprocess, shutil, tempfile and the compression libraries along, which takes longer than asking
NVML about eight GPUs; in the daemon it is 0.2 MiB resident. For pyudev it would run ldconfig, or a compiler, to find a
name that is fixed.
"""

import contextlib
import sys
import types
from collections.abc import Iterator

MODULE = "ctypes.util"
NAMES = {"udev": "libudev.so.1"}
"""The loader finds a library by its soname, without help. pynvml searches for none on Linux."""


@contextlib.contextmanager
def stood_in() -> Iterator[None]:
    """While in it, modules that import ctypes.util get a stand-in. Where the real one is there already, that one."""
    if MODULE in sys.modules:
        yield
        return
    sys.modules[MODULE] = module = types.ModuleType(MODULE)
    module.find_library = NAMES.get  # type: ignore[attr-defined]
    try:
        yield
    finally:
        del sys.modules[MODULE]
