"""Signs that the driver is being unloaded step by step: daemons stop, then modules go, the nvidia module last.

A probe in the middle opens the driver, for seconds where nothing keeps the GPUs initialised, and then the
module cannot be unloaded, nor a GPU reset. The removal of the last module, the unbinding of a GPU and removed
nodes are not such signs: they are final, and NVML is not opened for a driver that is gone.
"""

from cdi_refreshd.core.refresh.event import Action, Event, Kind

LAST_MODULES = ("nvidia", "nvidia_current", "nvgpu", "dxgkrnl")
GOES = (Action.DELETED, Action.GONE)


def is_sign(event: Event) -> bool:
    match event.kind:
        case Kind.MODULE:
            return event.action is Action.REMOVE and event.subject not in LAST_MODULES
        case Kind.DRM:  # all nodes of nvidia_drm go with it,
            return event.action is Action.REMOVE
        case Kind.NODE:  # and their nodes
            return event.action in GOES and "/dev/dri/" in f"{event.path}/"
        case Kind.SOCKET:  # nvidia-persistenced, MPS, the fabric manager
            return event.action in GOES
    return False
