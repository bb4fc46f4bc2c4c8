"""Hints: what regenerates a spec, and what makes a device node. Ours is proposed only for our own spec."""

from cdi_refreshd.core.cdi.model import DeviceNode
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.subject import Subject, host_path
from cdi_refreshd.core.nvidia.control_nodes import CONTROL_NODES

# By kind, else by vendor.
MAKERS = {
    "management.nvidia.com": "restart NVIDIA's container toolkit pod (GPU operator), which makes it",
    "k8s.device-plugin.nvidia.com": "restart NVIDIA's device plugin, which makes it",
    "k8s.gpu.nvidia.com": "NVIDIA's DRA driver makes it: restart its plugin, or the pod that holds the claim",
    "nvidia.com/pva": "NVIDIA's pva-allow-2 package makes it: restart its service",
    "nvidia.com": "run its generator again, such as nvidia-ctk cdi generate --output={file}",
    "amd.com": "run amd-ctk cdi generate",
    "intel.com": "run intel-cdi-specs-generator",
}
OURS = "run cdi-refreshd oneshot"
CLUSTER_VENDORS = ("k8s.", "management.")
"""Vendors whose specs are maintained by cluster components, for a runtime that is root."""


def make_again(of: Subject, host: Host | None = None) -> str:
    """How to regenerate the spec. Regenerating does not help while module and libraries differ."""
    if of.ours:
        if host and "" != host.module_version != host.library_version != "":
            differ = f"module {host.module_version} and libraries {host.library_version} differ"
            return f"{differ}: reboot, or reload the module"
        return OURS
    kind, vendor = of.spec.kind, of.spec.vendor
    if vendor == "nvidia.com" and kind not in MAKERS and of.spec.class_name != "gpu":
        return f"run the generator of {kind} again (nvidia-ctk cdi generate --output={of.file}, or that of a package)"
    maker = MAKERS.get(kind) or MAKERS.get(vendor) or f"run the generator of {vendor} again"
    return maker.format(file=of.file)


def make_node(node: DeviceNode, host: Host) -> str:
    """The command that makes an NVIDIA device node, "" for others: udev makes those."""
    maker = _maker(node.path, host)
    if maker and host_path(node) != node.path:
        root = host_path(node).removesuffix(node.path)
        return f"the driver container at {root} makes it (nvidia-modprobe makes nodes only in /dev)"
    return f"{maker} makes it" if maker else ""


def _maker(path: str, host: Host) -> str:
    name = path.removeprefix("/dev/")
    control = next((one for one in CONTROL_NODES if one.name == name), None)
    if control:
        return control.maker
    minor = name.removeprefix("nvidia-caps/nvidia-cap")
    if minor in {str(instance.minor) for instance in host.instances}:
        return "nvidia-modprobe -f"
    number = name.removeprefix("nvidia")
    minors = {gpu.minor for gpu in host.gpus}
    return f"nvidia-modprobe -c {number}" if number.isdigit() and int(number) in minors else ""
