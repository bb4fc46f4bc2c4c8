"""The request to the probe's child."""

from typing import NamedTuple

from cdi_refreshd.core.config.choices import Choices


class Request(NamedTuple):
    choices: Choices
    gated: bool = False
    """True: NVML stays closed unless sysfs and procfs say that a driver is there, since opening it may load one.
    So for the daemon and oneshot; `generate` always tries NVML."""
    known_fingerprint: str = ""
    """The fingerprint of the published spec's probe. If it still matches, a sleeping GPU is not woken."""
    device_nodes: str = "no"
    """Make missing device nodes of the driver before reading them: yes, no, auto."""
    dev_char_links: bool = False
    """Keep their links in /dev/char."""
