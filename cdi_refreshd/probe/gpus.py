"""Adds device nodes to NVML's GPUs and MIG devices. What lacks a required node is left out and reported."""

from collections.abc import Callable

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia import driver_texts as texts
from cdi_refreshd.core.nvidia.control_nodes import CONTROL_NODES
from cdi_refreshd.core.nvidia.inventory import Gpu, Link, MigDevice, Node
from cdi_refreshd.core.nvidia.nvml_answer import RawGpu, RawMig
from cdi_refreshd.core.paths import joined
from cdi_refreshd.host import char_devices, pci, procfs

CONTROL = tuple(f"/dev/{node.name}" for node in reversed(CONTROL_NODES))


class Devices:
    """Device nodes under a dev root ("" for the host's own), and the findings about them."""

    def __init__(self, dev_root: str) -> None:
        self.root = "" if dev_root == "/" else dev_root
        self.findings: list[Finding] = []
        self._minors: dict[str, int] | None = None

    def control(self) -> tuple[Node, ...]:
        for node in CONTROL_NODES:
            if char_devices.node(path := f"{self.root}/dev/{node.name}") is None:
                loaded = procfs.module_present(node.module)
                hint = "nvidia-modprobe makes it" if loaded else f"modprobe {node.module.replace('_', '-')}"
                severity = node.severity if loaded or node.severity == "fatal" else "info"
                self.findings.append(Finding(severity, path, f"{char_devices.problem(path)}; {node.use}", hint))
        return char_devices.present(self.root + path for path in CONTROL)

    def gpu(self, raw: RawGpu) -> Gpu | None:
        """None if the GPU's own node is missing: DRM nodes alone are useless."""
        own, why = self._node(f"/dev/nvidia{raw.minor}", raw.minor)
        if own is None:
            self._left_out(f"GPU {raw.number} ({raw.uuid})", why, (str(raw.number), raw.uuid))
            return None
        drm, links = self._drm(raw.pci)
        return Gpu(
            raw.number, raw.uuid, raw.minor, raw.pci, raw.name, raw.mig_enabled, raw.coherent, (own, *drm), links
        )

    def mig(self, raw: RawMig, parent: RawGpu) -> MigDevice | None:
        """None unless the GPU's node and both access nodes are there: with less, CUDA would see no device."""
        names = (f"{raw.parent}:{raw.number}", raw.uuid)
        place = f"MIG device {names[0]} ({raw.uuid})"
        own, why = self._node(f"/dev/nvidia{parent.minor}", parent.minor)
        if own is None:
            self._left_out(place, why, names)
            return None
        access = []
        for ci in (None, raw.ci):
            minor = self._capability(parent.minor, raw.gi, ci)
            found = None
            why = f"the driver has no minor for its {'GPU' if ci is None else 'compute'} instance"
            if minor is not None:
                found, why = self._node(f"/dev/nvidia-caps/nvidia-cap{minor}", minor)
            if found is None:
                self._left_out(place, why, names)
                return None
            access.append(found)
        drm, links = self._drm(parent.pci) if raw.graphics else ((), ())
        return MigDevice(raw.parent, parent.uuid, raw.number, raw.uuid, raw.gi, raw.ci, (own, *access, *drm), links)

    def _node(self, path: str, minor: int) -> tuple[Node | None, str]:
        """The node and "", or None and why: a node with another's number would give a container another GPU."""
        found = char_devices.node(path := self.root + path)
        if found is None:
            return None, f"{path} {char_devices.problem(path)}"
        if found.minor != minor:
            return None, f"{path} has the number {found.major}:{found.minor} of another node"
        return found, ""

    def _drm(self, address: str) -> tuple[tuple[Node, ...], tuple[Link, ...]]:
        names = pci.drm_names(address) if address else ()
        found = char_devices.present(f"{self.root}/dev/dri/{name}" for name in names)
        paths = {node.path for node in found}
        by_path = f"{self.root}/dev/dri/by-path"
        links = char_devices.links(f"{by_path}/pci-{address}-{kind}" for kind in pci.BY_PATH)
        return found, tuple(link for link in links if joined(by_path, link.target) in paths)

    def _capability(self, gpu_minor: int, gi: int, ci: int | None) -> int | None:
        """The minor of an access node: from the driver's table, else from the instance's directory."""
        if self._minors is None:
            self._minors = self._table(procfs.text)
        inner = "" if ci is None else f"/ci{ci}"
        known = self._minors.get(f"gpu{gpu_minor}/gi{gi}{inner}/access")
        return procfs.capability_minor(gpu_minor, gi, ci) if known is None else known

    def _table(self, read: Callable[[str], str | None]) -> dict[str, int]:
        said = read(procfs.MIG_MINORS)
        minors, odd = texts.mig_minors(said or "")
        if odd:
            fact = f"has {len(odd)} lines that are no capability, such as {odd[0][:60]!a}"
            self.findings.append(Finding("info", procfs.MIG_MINORS, fact))
        return minors

    def _left_out(self, place: str, fact: str, names: tuple[str, ...]) -> None:
        self.findings.append(Finding("degraded", place, fact, "nvidia-modprobe makes the node", names))
