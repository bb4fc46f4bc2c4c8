"""The driver's control nodes, which every container with a GPU gets: the one table of them."""

from typing import NamedTuple


class ControlNode(NamedTuple):
    name: str
    """Below /dev."""
    module: str
    """The module that drives it, by its name in sysfs."""
    severity: str
    """The severity of its absence."""
    use: str
    """What does not work without it, for messages."""
    maker: str
    """The command that makes it."""


CONTROL_NODES = (
    ControlNode("nvidiactl", "nvidia", "fatal", "nothing of NVIDIA's works without it", "nvidia-modprobe -c 0"),
    ControlNode("nvidia-uvm", "nvidia_uvm", "fatal", "CUDA does not start without it", "nvidia-modprobe -c 0 -u"),
    ControlNode(
        "nvidia-uvm-tools", "nvidia_uvm", "degraded", "profilers and debuggers need it", "nvidia-modprobe -c 0 -u"
    ),
    ControlNode("nvidia-modeset", "nvidia_modeset", "degraded", "Vulkan and EGL need it", "nvidia-modprobe -m"),
)
"""One of severity degraded is missed only where its module is loaded."""
