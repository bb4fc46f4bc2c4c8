"""Which uevents are a reason to probe again.

Events of runtime power management are not: every GPU that falls asleep or wakes makes one.
"""

from typing import NamedTuple

from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source

NVIDIA = "10DE"
SUBSYSTEMS = ("pci", "drm", "module", "drivers", "misc", "vmbus", "platform", "host1x")
"""The subsystems to subscribe to; misc and vmbus are WSL's, platform and host1x Tegra's."""
MODULES = (
    "nvidia",
    "nvidia_current",
    "nvidia_uvm",
    "nvidia_modeset",
    "nvidia_drm",
    "nvidia_peermem",
    "nvidia_fs",
    "gdrdrv",
    "nvgpu",
    "dxgkrnl",
)
DRIVERS = ("/bus/pci/drivers/nvidia", "/bus/platform/drivers/gk20a", "/bus/vmbus/drivers/dxgkrnl")
TEGRA_DRIVERS = ("gk20a", "nvgpu")
DXG_CHANNELS = (
    "vmbus:c0cbe9dd605036449448ea1254a5d177",  # the virtual machine's own
    "vmbus:182d386e36334b4facc42b7703d4df4a",  # one for each GPU
)
NO_GPU_CLASSES = ("403", "C03", "C80")
"""The card's sound, USB and USB-C functions, by the first digits of PCI_CLASS."""
COME_AND_GO = ("add", "remove")
BIND = ("add", "remove", "bind", "unbind")


class Uevent(NamedTuple):
    action: str
    subsystem: str
    name: str
    """The last part of the path: 0000:65:00.0, card1, nvidia_uvm."""
    path: str
    """Below /sys: /devices/pci0000:64/0000:64:00.0/0000:65:00.0."""
    driver: str = ""
    """"" on unbind: by then the kernel no longer knows it."""
    pci_id: str = ""
    """10DE:2330; "" if the event lacks it."""
    pci_class: str = ""
    """30200: in hexadecimal, without leading zeros."""
    modalias: str = ""
    display: bool = False
    """The event is about a display: a hotplug, a lease. The node does not change."""
    parent_pci_id: str = ""
    """The address of a DRM node's PCI function; "" if there is none, or no longer."""


def interesting(uevent: Uevent) -> Event | None:
    """None where it changes nothing for a spec."""
    test = TESTS.get(uevent.subsystem)
    if test is None or not test(uevent):
        return None
    kind, action = Kind(uevent.subsystem), Action(uevent.action)
    return Event(Source.UDEV, kind, action, subject=uevent.name, note=uevent.driver)


def _pci(event: Uevent) -> bool:
    vendor = event.pci_id.partition(":")[0].upper()
    gpu_class = event.pci_class.upper().zfill(6)[:4].lstrip("0")
    return vendor == NVIDIA and gpu_class not in NO_GPU_CLASSES and event.action in (*BIND, "change")


def _drm(event: Uevent) -> bool:
    """Connectors (card1-DP-1) are DRM devices, too, but have no node."""
    number = event.name.removeprefix("renderD").removeprefix("card")
    if not number.isdigit() or number == event.name or event.display:
        return False
    others = event.parent_pci_id and not event.parent_pci_id.upper().startswith(f"{NVIDIA}:")
    return not others and event.action in (*COME_AND_GO, "change")


def _module(event: Uevent) -> bool:
    return event.name in MODULES and event.action in COME_AND_GO


def _drivers(event: Uevent) -> bool:
    return event.path in DRIVERS and event.action in COME_AND_GO


def _misc(event: Uevent) -> bool:
    return event.name == "dxg" and event.action in COME_AND_GO


def _vmbus(event: Uevent) -> bool:
    return event.action in BIND and (event.driver == "dxgkrnl" or event.modalias in DXG_CHANNELS)


def _platform(event: Uevent) -> bool:
    """17000000.gpu on Orin, 57000000.gpu on older ones, gpu.0 on the oldest."""
    gpu = event.driver in TEGRA_DRIVERS or event.name.endswith(".gpu") or event.name.startswith("gpu.")
    return gpu and event.action in BIND


def _host1x(event: Uevent) -> bool:
    return event.action in BIND


TESTS = {
    "pci": _pci,
    "drm": _drm,
    "module": _module,
    "drivers": _drivers,
    "misc": _misc,
    "vmbus": _vmbus,
    "platform": _platform,
    "host1x": _host1x,
}
