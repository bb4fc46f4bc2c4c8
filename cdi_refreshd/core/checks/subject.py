"""A spec as rules see it: what containers get from it, who owns it, and which parts of the driver it has."""

import re
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Mount, Spec
from cdi_refreshd.core.nvidia.driver_paths import LIBRARY_DIRS_32

GPU_NODE = re.compile(r"/dev/nvidia(\d{1,4})", re.ASCII)
INTEGRATED = ("/dev/nvmap", "/dev/nvhost", "/dev/nvgpu")
"""Nodes that only Tegra systems have."""
TEGRA, WSL = "Tegra", "WSL"
# Driver versions begin with three digits; libnvidia-egl-wayland and the like have versions of their own.
VERSIONED = re.compile(
    r"/(?:lib[^/]*\.so|gsp[^/]*)\.(\d{3,4}\.\d{1,4}(?:\.\d{1,4})?)$|/nvidia/(\d{3}\.[\d.]+)/gsp", re.ASCII
)
CUDA = re.compile(r"/libcuda\.so\.[\d.]+$", re.ASCII)
BINDS = ("bind", "rbind")
NAMED_AT_MOST = 3


class Gpus(NamedTuple):
    """What a spec with NVIDIA GPUs has."""

    nodes: frozenset[str]
    """Paths in the container."""
    dev_root: str
    mounts: tuple[Mount, ...]
    library_dir: str
    """Directory of libcuda on the host; "" if the spec has none."""
    version: str
    """Version of that libcuda."""
    driver_root: str
    management: bool
    """The spec is for an operator's own containers: every node is in one device, and there is no graphics."""

    def names(self) -> set[str]:
        return {mount.host_path.rpartition("/")[2] for mount in self.mounts}


class Subject(NamedTuple):
    """A spec, and those of its devices that containers get."""

    file: str
    spec: Spec
    devices: tuple[Device, ...]
    ours: bool = False
    """`cdi-refreshd oneshot` writes this file."""
    platform: str = ""
    """Tegra or WSL, if its GPU is of one: their nodes have other drivers, and they have no PCI function."""
    gpus: Gpus | None = None
    """None if the spec has no NVIDIA GPU, or one of such a platform."""


def subject(file: str, spec: Spec, ours: bool = False, devices: tuple[Device, ...] | None = None) -> Subject:
    """`devices`: those that containers get, if another file shadows the rest; by default all."""
    of = Subject(file, spec, spec.devices if devices is None else devices, ours)
    nodes = {node.path: node for _, edits in every_edits(of) for node in edits.device_nodes}
    if any(path.startswith(INTEGRATED) for path in nodes):
        return of._replace(platform=TEGRA)
    if "/dev/dxg" in nodes:
        return of._replace(platform=WSL)
    first = next((node for path, node in nodes.items() if GPU_NODE.fullmatch(path)), None)
    return of if first is None else of._replace(gpus=_gpus(of, frozenset(nodes), first))


def _gpus(of: Subject, nodes: frozenset[str], first: DeviceNode) -> Gpus:
    mounts = tuple(mount for _, edits in every_edits(of) for mount in edits.mounts)
    # 32-bit libraries may be there as well; the rules are about the 64-bit ones.
    cudas = [mount for mount in mounts if CUDA.search(mount.host_path)]
    cuda = min(cudas, key=lambda mount: mount.container_path.rpartition("/")[0] in LIBRARY_DIRS_32, default=None)
    directory, _, name = cuda.host_path.rpartition("/") if cuda else ("", "", "")
    root = cuda.host_path.removesuffix(cuda.container_path) if cuda else ""
    root = "" if cuda and root == cuda.host_path else root
    version = name.removeprefix("libcuda.so.") if VERSIONED.search(f"/{name}") else ""
    dev_root = host_path(first).removesuffix(first.path)
    return Gpus(nodes, dev_root, mounts, directory, version, root, is_management(of))


def is_management(of: Subject) -> bool:
    """By its vendor, or because its one device has the control nodes, which otherwise every device gets."""
    if of.spec.vendor.startswith("management."):
        return True
    own = {node.path for device in of.spec.devices for node in device.container_edits.device_nodes}
    common = {node.path for node in of.spec.container_edits.device_nodes}
    only_all = [device.name for device in of.spec.devices] == ["all"]
    return only_all and "/dev/nvidiactl" in own - common and not any(path.startswith("/dev/dri/") for path in own)


def every_edits(of: Subject) -> Iterator[tuple[str, ContainerEdits]]:
    """The spec's own edits under the name "", then those of each device."""
    yield "", of.spec.container_edits
    for device in of.devices:
        yield device.name, device.container_edits


def items(of: Subject, field: str) -> dict[Any, list[str]]:
    """Each item of a field once, and the devices that have it; "" stands for every device."""
    found: dict[Any, list[str]] = {}
    for name, edits in every_edits(of):
        for item in getattr(edits, field):
            found.setdefault(item, []).append(name)
    return found


def affected(of: Subject, names: Iterable[str]) -> tuple[str, ...]:
    """None if it is all of them."""
    names = tuple(dict.fromkeys(names))
    return () if "" in names or len(names) == len(of.devices) else names


def host_path(node: DeviceNode) -> str:
    return node.host_path or node.path


def is_bound(mount: Mount) -> bool:
    """Whether the runtime needs the host path to exist; a tmpfs needs none."""
    return mount.type in ("", "bind", "rbind", "none") or any(option in BINDS for option in mount.options)


def is_minimal(node: DeviceNode) -> bool:
    """The document is sufficient for the runtime, whatever is at the path."""
    return bool(node.type and (node.major or node.type == "p"))


def name_of(of: Subject, device: str) -> str:
    return f"{of.spec.kind}={device}"


def listed(words: Iterable[str]) -> str:
    words = list(words)
    more = len(words) - NAMED_AT_MOST
    return ", ".join(words[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
