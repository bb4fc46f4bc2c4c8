import pytest

from cdi_refreshd.core.refresh.driver_unload import is_sign
from cdi_refreshd.core.refresh.event import Action, Event, Kind, Source
from cdi_refreshd.core.report.wording import words


def udev(kind, action, subject):
    return Event(Source.UDEV, kind, action, subject=subject)


def file(kind, action, path):
    return Event(Source.INOTIFY, kind, action, path)


SIGNS = (
    udev(Kind.MODULE, Action.REMOVE, "nvidia_uvm"),
    udev(Kind.MODULE, Action.REMOVE, "nvidia_drm"),
    udev(Kind.MODULE, Action.REMOVE, "nvidia_fs"),
    udev(Kind.DRM, Action.REMOVE, "card1"),
    file(Kind.NODE, Action.DELETED, "/dev/dri/renderD128"),
    file(Kind.NODE, Action.DELETED, "/run/nvidia/driver/dev/dri/card1"),
    file(Kind.NODE, Action.GONE, "/dev/dri/by-path"),
    file(Kind.NODE, Action.GONE, "/dev/dri"),
    file(Kind.SOCKET, Action.DELETED, "/run/nvidia-persistenced/socket"),
    file(Kind.SOCKET, Action.GONE, "/run/nvidia-persistenced"),
)
OTHERS = (
    udev(Kind.MODULE, Action.REMOVE, "nvidia"),
    udev(Kind.MODULE, Action.REMOVE, "nvidia_current"),
    udev(Kind.MODULE, Action.ADD, "nvidia_uvm"),
    udev(Kind.DRIVERS, Action.REMOVE, "nvidia"),
    udev(Kind.PCI, Action.UNBIND, "0000:65:00.0"),
    udev(Kind.PCI, Action.REMOVE, "0000:65:00.0"),
    udev(Kind.DRM, Action.ADD, "card1"),
    file(Kind.NODE, Action.DELETED, "/dev/nvidia0"),
    file(Kind.NODE, Action.DELETED, "/dev/nvidia-uvm"),
    file(Kind.SOCKET, Action.THERE, "/run/nvidia-persistenced/socket"),
    file(Kind.SPEC, Action.DELETED, "/run/cdi/nvidia.yaml"),
)


@pytest.mark.parametrize("event", SIGNS, ids=words)
def test_a_removed_part_of_the_driver_is_a_sign_of_an_unload(event):
    assert is_sign(event)


@pytest.mark.parametrize("event", OTHERS, ids=words)
def test_other_changes_are_no_sign_of_an_unload(event):
    assert not is_sign(event)
