"""Inventories of made-up machines, for tests of pure code."""

from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import (
    Driver,
    Gpu,
    Inventory,
    Library,
    Link,
    MigDevice,
    Node,
    Nvml,
    PciFunction,
    Presence,
)

HOOK = "/usr/bin/nvidia-cdi-hook"
LIB = "/usr/lib/x86_64-linux-gnu"
VERSION = "580.95.05"
ADDRESS = "0000:01:00.0"
CONTROL = (
    Node("/dev/nvidia-modeset", 195, 254, 0o666),
    Node("/dev/nvidia-uvm-tools", 510, 1, 0o666),
    Node("/dev/nvidia-uvm", 510, 0, 0o666),
    Node("/dev/nvidiactl", 195, 255, 0o666),
)
DRIVER = Driver(
    version=VERSION,
    cuda_version=13000,
    library_dirs=(LIB,),
    libraries=(Library(f"{LIB}/libcuda.so.{VERSION}", "libcuda.so.1", True, True),),
)
PRESENT = Presence(functions=(PciFunction(ADDRESS, "nvidia"),), module_version=VERSION, module_loaded=True)


def gpu(number=0, minor=None, drm=False, root="", **more):
    minor = number if minor is None else minor
    nodes = (Node(f"{root}/dev/nvidia{minor}", 195, minor, 0o666),)
    links = ()
    if drm:
        nodes += (Node(f"{root}/dev/dri/card{number}", 226, number, 0o666),)
        links = (Link(f"{root}/dev/dri/by-path/pci-0000:{number + 1:02x}:00.0-card", f"../card{number}"),)
    return Gpu(number, f"GPU-{number}", minor, f"0000:{number + 1:02x}:00.0", "H100", nodes=nodes, links=links, **more)


def mig(parent=0, number=0, gi=1, ci=0):
    cap = 3 + gi * 9
    nodes = (
        Node(f"/dev/nvidia{parent}", 195, parent, 0o666),
        Node(f"/dev/nvidia-caps/nvidia-cap{cap}", 511, cap, 0o444),
        Node(f"/dev/nvidia-caps/nvidia-cap{cap + ci + 1}", 511, cap + ci + 1, 0o444),
    )
    return MigDevice(parent, f"GPU-{parent}", number, f"MIG-{parent}-{number}", gi, ci, nodes)


def inventory(*gpus, **more):
    given = {
        "mode": "nvml",
        "presence": PRESENT,
        "nvml": Nvml(0, listed=len(gpus)),
        "gpus": gpus,
        "nodes": CONTROL,
        "driver": DRIVER,
        "hook": HookProgram(HOOK, True),
    }
    return Inventory(**(given | more))
