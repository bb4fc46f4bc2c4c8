"""Signs that the driver is being taken away piece by piece: daemons stop, then modules go, the last one last.

A look in the middle opens the driver, for seconds where nothing keeps the GPUs initialised, and whoever is about to
unload the module or to reset a GPU is told that it is in use. The last module's own going, a GPU's unbinding and nodes
that vanish are no such signs: what they say is true at once, and NVML is not opened for a driver that is gone.
"""

import re

LAST_MODULES = ("nvidia", "nvidia_current", "nvgpu", "dxgkrnl")
_SIGNS = re.compile(
    rf"""
    module\ remove\ (?!(?:{"|".join(LAST_MODULES)})\b)
    | drm\ remove\                                       # all of nvidia_drm's go with it
    | /dev/dri/.*\ (?:deleted|is\ gone)\ \(node\)$       # and their nodes
    | .*\ (?:deleted|is\ gone)\ \(socket\)$              # nvidia-persistenced, MPS, the fabric manager
    """,
    re.VERBOSE,
)


def is_sign(words: str) -> bool:
    """Of a trigger's words for the journal."""
    return _SIGNS.match(words) is not None
