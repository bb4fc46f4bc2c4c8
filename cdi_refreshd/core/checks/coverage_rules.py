"""Is every GPU and MIG slice of the host in some spec that containers resolve? All specs taken together."""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.spec_places import OUR_KIND
from cdi_refreshd.core.checks.hints import make_again
from cdi_refreshd.core.checks.host_facts import BoundGpu, Host
from cdi_refreshd.core.checks.published import Published
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import GPU_NODE, Subject, counted, listed
from cdi_refreshd.core.entries import NOTHING

DISPLAY_ONLY = ("DGX Display", "NVIDIA DGX Display")
NO_SPEC_HINT = "cdi-refreshd oneshot, or systemctl enable --now cdi-refreshd"


def coverage(of: Published, host: Host) -> Iterator[RuleFinding]:
    """Coverage is unknown if single files were named, or if a document is one that runtimes drop."""
    if not of.directories or of.broken or any(one.state == "conflict" for one in of.definitions):
        return
    if not host.gpus and not host.platform:
        yield from _without_driver(of, host)
        return
    ours = [one for one in of.subjects if is_for_everybody(one)]
    if ours:
        yield from _missing(ours, host)
        return
    if any(one.ours for one in of.subjects):
        return  # of another mode, by configuration
    what = f"{host.platform}'s GPU" if host.platform else counted(len(host.gpus), "NVIDIA GPU")
    place = of.directories[-1]
    others = sorted({one.spec.kind for one in of.subjects if one.gpus or one.platform})
    if others:
        fact = f"has no spec of {OUR_KIND} for {what}: containers request it as {listed(others)}"
        yield found("other-kind", place, fact, f"nothing if that is intended; else {NO_SPEC_HINT}")
    elif host.platform or any(not may_be_in_mig_mode(gpu, host) for gpu in host.gpus):
        fact = f"has no spec for {what}: no container gets {OUR_KIND}=all"
        yield found("no-spec", place, fact, NO_SPEC_HINT)


def _without_driver(of: Published, host: Host) -> Iterator[RuleFinding]:
    for address in host.without_driver:
        fact = "has no driver, so there is no spec for it"
        yield found("gpu-without-driver", f"GPU {address}", fact, "modprobe nvidia; else see dmesg for NVRM")
    if host.bare_wsl and not any(one.platform for one in of.subjects):
        fact = "is there, so this is WSL, but NVIDIA's driver for Windows is not: there is no spec for its GPU"
        yield found("gpu-without-driver", host.bare_wsl, fact, "install it; nothing, if the GPU is another vendor's")


def is_for_everybody(of: Subject) -> bool:
    """Whether the spec should have all GPUs of the host, and not just those of a claim or a plugin."""
    has_gpus = bool(of.gpus or of.platform)
    for_all = of.ours or of.spec.kind == OUR_KIND or any(device.name == "all" for device in of.devices)
    return has_gpus and for_all


def _missing(specs: list[Subject], host: Host) -> Iterator[RuleFinding]:
    if any(of.platform for of in specs) or not host.gpus:
        return  # on Tegra the numbers of device nodes are not those of PCI functions
    yield from _gpus_missing(specs, host)
    yield from _slices_missing(specs, host)
    for address in host.without_driver:
        fact = "has no driver, and is in no spec"
        yield found("gpu-without-driver", f"GPU {address}", fact, "see dmesg for lines of NVRM", specs[0].file)


def _gpus_missing(specs: list[Subject], host: Host) -> Iterator[RuleFinding]:
    cut = {instance.gpu for instance in host.instances}
    nodes = {path for of in specs if of.gpus for path in of.gpus.nodes}
    described = {int(match[1]) for path in nodes if (match := GPU_NODE.fullmatch(path))}
    hint, file = make_again(specs[0]), specs[0].file
    for gpu in host.gpus:
        if gpu.minor < 0 or gpu.minor in described or gpu.minor in cut or gpu.model in DISPLAY_ONLY:
            continue
        fact = f"is bound to the nvidia driver (/dev/nvidia{gpu.minor}) and in no spec"
        if may_be_in_mig_mode(gpu, host):
            fact += ", which is correct in MIG mode without slices"
            yield found("gpu-in-mig-mode", f"GPU {gpu.address}", fact, f"if it is not in MIG mode, {hint}", file)
        else:
            yield found("gpu-missing", f"GPU {gpu.address}", fact, hint, file)
    asleep = [gpu.address for gpu in host.gpus if gpu.minor < 0]
    left = described - {gpu.minor for gpu in host.gpus}
    if len(asleep) > len(left):
        fact = f"one of them is in no spec: {len(left)} of {len(asleep)} are"
        yield found("gpu-missing", f"GPU {listed(asleep)}", fact, hint, file)


def may_be_in_mig_mode(gpu: BoundGpu, host: Host) -> bool:
    """It is MIG-capable and has no slices. Only NVML knows whether MIG mode is on."""
    return gpu.minor in host.mig_capable and gpu.minor not in {instance.gpu for instance in host.instances}


def _slices_missing(specs: list[Subject], host: Host) -> Iterator[RuleFinding]:
    described = [{node.path for node in device.container_edits.device_nodes} for of in specs for device in of.devices]
    of_gi = {(one.gpu, one.gi): one.minor for one in host.instances if one.ci < 0}
    root = next((of.gpus.dev_root for of in specs if of.gpus), "")
    for one in host.instances:
        gi = of_gi.get((one.gpu, one.gi))
        if one.ci < 0 or gi is None:
            continue
        access = [f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in (gi, one.minor)]
        if any({f"/dev/nvidia{one.gpu}", *access} <= nodes for nodes in described):
            continue
        place = f"MIG slice gi{one.gi}/ci{one.ci} of /dev/nvidia{one.gpu}"
        gone = [path for path in access if host.entry(root + path).kind == NOTHING]
        fact, hint = "is in no spec", make_again(specs[0])
        if gone:
            fact = f"is in no spec: {listed(gone)} is missing"
            capability = f"/proc/driver/nvidia/capabilities/gpu{one.gpu}/mig/gi{one.gi}"
            inner = "" if gone[0] == access[0] else f"/ci{one.ci}"
            maker = f"nvidia-modprobe -f {capability}{inner}/access makes it"
            hint = f"{maker if not root else f'what runs the driver below {root} makes it'}; then {hint}"
        yield found("slice-missing", place, fact, hint, specs[0].file)


def host_versions(of: Published, host: Host) -> Iterator[RuleFinding]:
    """The loaded module and this host's libraries differ, but no spec is affected yet."""
    module, library = host.module_version, host.library_version
    if not module or not library or module == library or not any(one.gpus for one in of.subjects):
        return
    fact = f"the loaded module is {module}, this host's libraries are {library}"
    hint = "reboot, or reload the module; existing specs work while their files exist"
    yield found("driver-mismatch", "NVIDIA driver", fact, hint)


RULES = (coverage, host_versions)
