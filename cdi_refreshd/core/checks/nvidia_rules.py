"""Rules about NVIDIA's specs: what CUDA and graphics need, the driver's version, and whether every GPU is there.

Which files and nodes matter is NVIDIA's driver's own list; what may be absent on a good host is not in it.
"""

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Mount
from cdi_refreshd.core.checks.host_facts import NOTHING, SOCKET, UNKNOWN, Host
from cdi_refreshd.core.checks.host_rules import Found, Subject, again, every_edits, host_path, is_tegras
from cdi_refreshd.core.checks.spec_rules import listed, name_of
from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia.driver_paths import SOCKET_DIRS, SOCKETS

GPU_NODE = re.compile(r"/dev/nvidia(\d{1,4})", re.ASCII)
# The driver's own versions begin with three digits; libnvidia-egl-wayland and its like have others.
VERSIONED = re.compile(
    r"/(?:lib[^/]*\.so|gsp[^/]*)\.(\d{3,4}\.\d{1,4}(?:\.\d{1,4})?)$|/nvidia/(\d{3}\.[\d.]+)/gsp", re.ASCII
)
CUDA = re.compile(r"/libcuda\.so\.[\d.]+$", re.ASCII)
DISPLAY_ONLY = ("DGX Display", "NVIDIA DGX Display")

ESSENTIAL = ("libcuda", "libnvidia-ml", "libnvidia-ptxjitcompiler", "libnvidia-nvvm")
GRAPHICS = ("libGLX_nvidia", "libEGL_nvidia", "libnvidia-eglcore", "libnvidia-glcore", "libnvidia-glsi",
            "libnvidia-tls", "libnvidia-glvkspirv", "libnvidia-rtcore", "libnvidia-gpucomp")  # fmt: skip
# What graphics is looked up by: how it is called in the container, and where it may lie on the host.
LOADER_FILES = (
    ("nvidia_icd", "Vulkan finds no driver", tuple(
        f"{directory}/vulkan/icd.d/nvidia_icd{arch}.json"
        for directory in ("/etc", "/usr/share") for arch in ("", ".x86_64", ".aarch64")
    )),
    ("10_nvidia.json", "EGL falls back to software", tuple(
        f"{directory}/glvnd/egl_vendor.d/10_nvidia.json" for directory in ("/etc", "/usr/share")
    )),
)  # fmt: skip
CONTROL = (
    ("nvidiactl", "nvidia", "fatal", "nothing of NVIDIA's works without it", "nvidia-modprobe -c 0"),
    ("nvidia-uvm", "nvidia_uvm", "fatal", "CUDA does not start without it", "nvidia-modprobe -c 0 -u"),
    ("nvidia-uvm-tools", "nvidia_uvm", "degraded", "profilers and debuggers want it", "nvidia-modprobe -c 0 -u"),
    ("nvidia-modeset", "nvidia_modeset", "degraded", "Vulkan and EGL want it", "nvidia-modprobe -m"),
)
"""Node, the module that it is of, how grave its absence is, what for, what makes it."""


class Gpus(NamedTuple):
    """What a spec with GPUs of NVIDIA's has, looked up once for all rules."""

    of: Subject
    nodes: frozenset[str]
    """Paths in the container."""
    dev_root: str
    mounts: tuple[Mount, ...]
    library_dir: str
    """On the host, of libcuda; "" where the spec has none."""
    version: str
    """Of that libcuda."""
    driver_root: str

    def names(self) -> set[str]:
        return {mount.host_path.rpartition("/")[2] for mount in self.mounts}


def gpus(of: Subject) -> Gpus | None:
    """None where the spec has no GPU of NVIDIA's, or is of a Tegra."""
    nodes = {node.path: node for _, edits in every_edits(of) for node in edits.device_nodes}
    first = next((node for path, node in nodes.items() if GPU_NODE.fullmatch(path)), None)
    if first is None or is_tegras(of):
        return None
    mounts = tuple(mount for _, edits in every_edits(of) for mount in edits.mounts)
    cuda = next((mount for mount in mounts if CUDA.search(mount.host_path)), None)
    directory, _, name = cuda.host_path.rpartition("/") if cuda else ("", "", "")
    root = cuda.host_path.removesuffix(cuda.container_path) if cuda else ""
    root = "" if cuda and root == cuda.host_path else root
    version = name.removeprefix("libcuda.so.") if VERSIONED.search(f"/{name}") else ""
    dev_root = host_path(first).removesuffix(first.path)
    return Gpus(of, frozenset(nodes), dev_root, mounts, directory, version, root)


def paths(of: Subject) -> set[str]:
    """What the rules want to know the entries of, besides what the spec names."""
    seen = gpus(of)
    if seen is None:
        return set()
    wanted = {f"{seen.dev_root}/dev/{name}" for name, *_ in CONTROL}
    wanted |= {f"{seen.library_dir}/{name}.so.{seen.version}" for name in (*ESSENTIAL, *GRAPHICS) if seen.version}
    wanted |= {seen.driver_root + path for _, _, places in LOADER_FILES for path in places}
    return wanted | {f"{seen.driver_root}{directory}/{name}" for directory in SOCKET_DIRS for name in SOCKETS}


def rules(of: Subject, host: Host) -> list[Found]:
    seen = gpus(of)
    versions = list(versions_agree(of, host))
    return versions if seen is None else [*versions, *(found for rule in RULES for found in rule(seen, host))]


def versions_agree(of: Subject, host: Host) -> Iterator[Found]:
    """Libraries that the spec names are of the loaded module's version."""
    loaded = host.module_version
    if not loaded or not re.match(r"\d{3}\.", loaded):
        return
    others: dict[str, list[str]] = {}
    for _, edits in every_edits(of):
        for mount in edits.mounts:
            found = VERSIONED.search(mount.host_path)
            version = (found[1] or found[2]) if found and is_nvidias(mount.host_path) else loaded
            if version != loaded:
                others.setdefault(version, []).append(mount.host_path)
    for version, named in others.items():
        hint = again(of)
        if host.library_version and host.library_version != loaded:
            hint = f"this host's libraries are {host.library_version}: reboot, or reload the module"
        fact = f"names {counted(len(set(named)), 'file')} of driver {version}, and the loaded module is {loaded}"
        yield Found("driver-version", Finding("fatal", of.file, fact, hint), of.file)


def is_nvidias(path: str) -> bool:
    name = path.rpartition("/")[2]
    return "nvidia" in path or name.startswith(("libcuda", "libnv"))


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def control_nodes(seen: Gpus, host: Host) -> Iterator[Found]:
    """The nodes that every GPU container needs, and a spec made too early lacks."""
    for name, module, severity, matters, maker in CONTROL:
        path = f"{seen.dev_root}/dev/{name}"
        if f"/dev/{name}" in seen.nodes or host.entry(path).kind == UNKNOWN:
            continue
        if host.entry(path).kind != NOTHING:
            fact, hint = f"is not in the spec; {matters}", again(seen.of)
        elif severity == "fatal" or module in host.modules:
            fact, hint = f"is missing, here and in the spec; {matters}", f"{maker}; then {again(seen.of)}"
        else:
            continue
        yield Found("control-node", Finding(severity, path, fact, hint), seen.of.file)


def libraries(seen: Gpus, host: Host) -> Iterator[Found]:
    """Libraries of the driver that lie beside the spec's libcuda, and are not in the spec."""
    if not seen.library_dir:
        if seen.mounts:
            fact = "mounts no libcuda.so: nvidia-smi may work, CUDA does not"
            yield Found("library-left-out", Finding("fatal", seen.of.file, fact, again(seen.of)), seen.of.file)
        return
    names = seen.names()
    graphics = any(name.startswith(GRAPHICS[:2]) for name in names)
    for wanted, severity, matters in (
        (ESSENTIAL, "fatal", "CUDA may not start"),
        (GRAPHICS if graphics else (), "degraded", "graphics falls back to software"),
    ):
        files = [f"{name}.so.{seen.version}" for name in wanted] if seen.version else []
        there = [name for name in files if host.entry(f"{seen.library_dir}/{name}").kind not in (NOTHING, UNKNOWN)]
        lacks = [name for name in there if name not in names]
        if lacks:
            fact = f"leaves out {listed(lacks)}: {matters}"
            yield Found("library-left-out", Finding(severity, seen.of.file, fact, again(seen.of)), seen.of.file)


def loader_files(seen: Gpus, host: Host) -> Iterator[Found]:
    """The small files by which graphics libraries are found."""
    names = seen.names()
    if not any(name.startswith(GRAPHICS[:2]) for name in names):
        return
    for stem, matters, places in LOADER_FILES:
        there = next((p for path in places if is_there(host, p := seen.driver_root + path)), "")
        if there and not any(name.startswith(stem) for name in names):
            fact = f"is not in the spec: {matters}"
            yield Found("file-left-out", Finding("degraded", there, fact, again(seen.of)), seen.of.file)


def sockets(seen: Gpus, host: Host) -> Iterator[Found]:
    """Sockets of NVIDIA's daemons, which may come up after the spec was made."""
    if not seen.library_dir:
        return
    for name in SOCKETS:
        there = [f"{seen.driver_root}{directory}/{name}" for directory in SOCKET_DIRS]
        there = [path for path in there if host.entry(path).real == SOCKET]
        if there and not any(mount.host_path.endswith(name) for mount in seen.mounts):
            fact = "is not in the spec: the service came up later"
            yield Found("socket-left-out", Finding("degraded", there[0], fact, again(seen.of)), seen.of.file)


def slices(seen: Gpus, host: Host) -> Iterator[Found]:
    """A device of a GPU that is cut into MIG slices has the two access nodes of one; else CUDA sees nothing."""
    cut = {f"/dev/nvidia{instance.gpu}" for instance in host.instances}
    for device in seen.of.devices:
        nodes = {node.path for node in device.container_edits.device_nodes}
        access = {path for path in nodes if path.startswith("/dev/nvidia-caps/")}
        if nodes & cut and len(access) < 2 and device.name != "all":
            gpu = min(nodes & cut)
            fact = f"has {gpu}, which is cut into MIG slices, and not the access nodes of one: CUDA sees no slice"
            place = name_of(seen.of, device.name)
            found = Finding("fatal", place, fact, again(seen.of))
            yield Found("mig-access", found, seen.of.file, (device.name,))


def drm_of_own_gpu(seen: Gpus, host: Host) -> Iterator[Found]:
    """A device with one GPU has the DRM nodes of that GPU, and not those of its neighbour."""
    addresses = {f"/dev/nvidia{gpu.minor}": gpu.address for gpu in host.gpus}
    for device in seen.of.devices:
        nodes = [node.path for node in device.container_edits.device_nodes]
        own = {addresses[path] for path in nodes if path in addresses}
        names = [path.removeprefix("/dev/dri/") for path in nodes]
        others = [name for name in names if host.drm.get(name, "") not in ("", *own)]
        if len(own) == 1 and others and device.name != "all":
            fact = f"has {listed(others)} of {host.drm[others[0]]}, and its GPU is {min(own)}: they were numbered anew"
            found = Finding("degraded", name_of(seen.of, device.name), fact, again(seen.of))
            yield Found("drm-of-gpu", found, seen.of.file, (device.name,))


RULES = (control_nodes, libraries, loader_files, sockets, slices, drm_of_own_gpu)


def is_there(host: Host, path: str) -> bool:
    return host.entry(path).real not in (NOTHING, UNKNOWN)


def coverage(subjects: Iterable[Subject], host: Host, place: str) -> list[Found]:
    """Is every GPU that is bound, and every MIG slice, in a spec? `place` is where a spec would be expected."""
    if not host.gpus:
        return []
    specs = [seen for of in subjects if (seen := gpus(of)) and claims_all(of)]
    if not specs:
        fact = f"has no spec for NVIDIA's {counted(len(host.gpus), 'GPU')}: nobody gets nvidia.com/gpu=all"
        hint = "cdi-refreshd oneshot, or systemctl enable --now cdi-refreshd"
        return [Found("gpu-missing", Finding("fatal", place, fact, hint))]
    return [*_gpus_missing(specs, host), *_slices_missing(specs, host)]


def claims_all(of: Subject) -> bool:
    return of.spec.kind == "nvidia.com/gpu" or any(device.name == "all" for device in of.devices)


def _gpus_missing(specs: list[Gpus], host: Host) -> Iterator[Found]:
    cut = {instance.gpu for instance in host.instances}
    described = {int(found[1]) for seen in specs for path in seen.nodes if (found := GPU_NODE.fullmatch(path))}
    hint = again(specs[0].of)
    asleep = [gpu.address for gpu in host.gpus if gpu.minor < 0]
    for gpu in host.gpus:
        if gpu.minor < 0 or gpu.minor in described or gpu.minor in cut or gpu.model in DISPLAY_ONLY:
            continue
        fact = f"is bound to the nvidia driver (/dev/nvidia{gpu.minor}) and in no spec"
        told = f"{hint}; a GPU in MIG mode without slices is left out on purpose"
        yield Found("gpu-missing", Finding("degraded", f"GPU {gpu.address}", fact, told), specs[0].of.file)
    left = described - {gpu.minor for gpu in host.gpus}
    if len(asleep) > len(left):
        fact = f"one of them is in no spec: {len(left)} of {len(asleep)} are"
        yield Found("gpu-missing", Finding("degraded", f"GPU {listed(asleep)}", fact, hint), specs[0].of.file)


def _slices_missing(specs: list[Gpus], host: Host) -> Iterator[Found]:
    described = [
        {node.path for node in device.container_edits.device_nodes} for seen in specs for device in seen.of.devices
    ]
    of_gi = {(one.gpu, one.gi): one.minor for one in host.instances if one.ci < 0}
    for one in host.instances:
        gi = of_gi.get((one.gpu, one.gi))
        if one.ci < 0 or gi is None:
            continue
        access = [f"/dev/nvidia-caps/nvidia-cap{minor}" for minor in (gi, one.minor)]
        if any({f"/dev/nvidia{one.gpu}", *access} <= nodes for nodes in described):
            continue
        place = f"MIG slice gi{one.gi}/ci{one.ci} of /dev/nvidia{one.gpu}"
        gone = [path for path in access if host.entry(specs[0].dev_root + path).kind == NOTHING]
        fact, hint = "is in no spec", again(specs[0].of)
        if gone:
            fact = f"is in no spec: {listed(gone)} is missing"
            capability = f"/proc/driver/nvidia/capabilities/gpu{one.gpu}/mig/gi{one.gi}"
            inner = "" if gone[0] == access[0] else f"/ci{one.ci}"
            hint = f"nvidia-modprobe -f {capability}{inner}/access makes it; then {hint}"
        yield Found("gpu-missing", Finding("degraded", place, fact, hint), specs[0].of.file)


def host_versions(host: Host, subjects: Iterable[Subject]) -> list[Found]:
    """The loaded module and the libraries of this host, where no spec suffers from it yet."""
    module, library = host.module_version, host.library_version
    if not module or not library or module == library or not any(gpus(of) for of in subjects):
        return []
    fact = f"the loaded module is {module}, this host's libraries are {library}"
    hint = "reboot, or reload the module; specs made before hold while their files exist"
    return [Found("driver-mismatch", Finding("degraded", "NVIDIA driver", fact, hint))]
