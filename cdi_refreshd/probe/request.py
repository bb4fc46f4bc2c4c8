"""What the probe's child is asked."""

from typing import NamedTuple

from cdi_refreshd.core.config.choices import Choices


class Request(NamedTuple):
    choices: Choices
    gated: bool = False
    """True: NVML stays closed unless sysfs and procfs say that a driver is there, since opening it may load one.
    The daemon and the oneshot ask so; who types `generate` wants it tried."""
    known_fingerprint: str = ""
    """Of the probe that the published spec came from. Where it still holds, a GPU that sleeps is let sleep."""
    device_nodes: str = "no"
    """Make those of the driver's nodes that are missing before looking at them: yes, no, auto."""
    dev_char_links: bool = False
    """Keep their links in /dev/char."""
