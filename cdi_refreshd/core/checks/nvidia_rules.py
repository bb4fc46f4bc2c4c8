"""Rules about a spec for NVIDIA GPUs: what CUDA and graphics need, and the driver's version.

Which files and nodes matter is from the driver's own manifest; what may be absent on a healthy host is not checked.
"""

import re
from collections.abc import Iterator

from cdi_refreshd.core.checks.hints import make_again
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import VERSIONED, Gpus, Subject, counted, every_edits, is_bound, listed, name_of
from cdi_refreshd.core.entries import DIRECTORY, NOTHING, SOCKET, UNKNOWN
from cdi_refreshd.core.nvidia.control_nodes import CONTROL_NODES
from cdi_refreshd.core.nvidia.driver_paths import ESSENTIAL_LIBRARIES as ESSENTIAL
from cdi_refreshd.core.nvidia.driver_paths import SOCKET_DIRS, SOCKETS

GRAPHICS = ("libGLX_nvidia", "libEGL_nvidia", "libnvidia-eglcore", "libnvidia-glcore", "libnvidia-glsi",
            "libnvidia-tls", "libnvidia-glvkspirv", "libnvidia-rtcore", "libnvidia-gpucomp")  # fmt: skip
# Files by which graphics drivers are found: their names in the container, and where the host may have them.
LOADER_FILES = (
    ("nvidia_icd", "Vulkan finds no driver", tuple(
        f"{directory}/vulkan/icd.d/nvidia_icd{arch}.json"
        for directory in ("/etc", "/usr/share") for arch in ("", ".x86_64", ".aarch64")
    )),
    ("10_nvidia.json", "EGL falls back to software", tuple(
        f"{directory}/glvnd/egl_vendor.d/10_nvidia.json" for directory in ("/etc", "/usr/share")
    )),
)  # fmt: skip
CUDA_IN_DIRECTORY = tuple(
    f"{directory}/libcuda.so.1"
    for directory in ("", "/lib", "/lib64", "/usr/lib", "/usr/lib64", "/lib/x86_64-linux-gnu",
                      "/usr/lib/x86_64-linux-gnu", "/lib/aarch64-linux-gnu", "/usr/lib/aarch64-linux-gnu")
)  # fmt: skip
"""Where it may be in a directory that is mounted whole."""


def paths(of: Subject) -> set[str]:
    """Paths whose entries the rules need, besides those in the spec."""
    gpus = of.gpus
    if gpus is None:
        return set()
    wanted = {f"{gpus.dev_root}/dev/{node.name}" for node in CONTROL_NODES}
    wanted |= {f"{gpus.library_dir}/{name}.so.{gpus.version}" for name in (*ESSENTIAL, *GRAPHICS) if gpus.version}
    wanted |= {gpus.driver_root + path for _, _, places in LOADER_FILES for path in places}
    if mounts_driver_but_no_cuda(gpus):
        wanted |= {mount.host_path + path for mount in gpus.mounts for path in CUDA_IN_DIRECTORY}
    return wanted | {f"{gpus.driver_root}{directory}/{name}" for directory in SOCKET_DIRS for name in SOCKETS}


def versions_agree(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """The spec's driver libraries have the loaded module's version."""
    loaded = host.module_version
    if not loaded or not re.match(r"\d{3}\.", loaded):
        return
    others: dict[str, set[str]] = {}
    for _, edits in every_edits(of):
        for mount in edits.mounts:
            match = VERSIONED.search(mount.host_path)
            version = (match[1] or match[2]) if match and is_nvidias(mount.host_path) else loaded
            if version != loaded:
                others.setdefault(version, set()).add(mount.host_path)
    for version, named in others.items():
        hint = make_again(of)
        if host.library_version and host.library_version != loaded:
            hint = f"this host's libraries are {host.library_version}: reboot, or reload the module"
        fact = f"names {counted(len(named), 'file')} of driver {version}, and the loaded module is {loaded}"
        yield found("driver-version", of.file, fact, hint, of.file)


def is_nvidias(path: str) -> bool:
    name = path.rpartition("/")[2]
    return "nvidia" in path or name.startswith(("libcuda", "libnv"))


def control_nodes(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """The nodes that every GPU container needs, and that a spec lacks which was generated too early."""
    gpus = of.gpus
    if gpus is None:
        return
    # A spec written by hand may omit them on purpose.
    generated = of.ours or of.spec.vendor.endswith("nvidia.com")
    for node in CONTROL_NODES:
        path = f"{gpus.dev_root}/dev/{node.name}"
        kind = host.entry(path).kind
        severe = node.severity == "fatal"
        if kind == UNKNOWN or f"/dev/{node.name}" in gpus.nodes or not (severe or generated):
            continue
        if kind != NOTHING:
            fact, hint = f"is not in the spec; {node.use}", make_again(of)
        elif severe or node.module in host.modules:
            fact = f"is missing, here and in the spec; {node.use}"
            hint = f"the driver container at {gpus.dev_root} makes it" if gpus.dev_root else node.maker
            hint += f"; then {make_again(of)}"
        else:
            continue
        yield found("control-node" if severe else "control-node-optional", path, fact, hint, of.file)


def cuda_library(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """A spec that mounts driver libraries mounts libcuda. One that mounts none relies on the image."""
    gpus = of.gpus
    if gpus is None or not mounts_driver_but_no_cuda(gpus):
        return
    directories = [m.host_path for m in gpus.mounts if host.entry(m.host_path).real == DIRECTORY and is_bound(m)]
    if any(is_there(host, directory + path) for directory in directories for path in CUDA_IN_DIRECTORY):
        return
    fact = "mounts libraries of the driver and no libcuda.so: nvidia-smi may work, CUDA does not"
    yield found("library-left-out", of.file, fact, make_again(of), of.file)


def mounts_driver_but_no_cuda(gpus: Gpus) -> bool:
    if gpus.library_dir:
        return False
    return any(VERSIONED.search(mount.host_path) and is_nvidias(mount.host_path) for mount in gpus.mounts)


def libraries(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """Driver libraries that are beside the spec's libcuda, but not in the spec."""
    gpus = of.gpus
    if gpus is None or not gpus.library_dir or not gpus.version:
        return
    names = gpus.names()
    graphics = has_graphics(gpus)
    for rule, wanted, matters in (
        ("library-left-out", ESSENTIAL, "CUDA may not start"),
        ("graphics-left-out", GRAPHICS if graphics else (), "graphics falls back to software"),
    ):
        files = [f"{name}.so.{gpus.version}" for name in wanted]
        there = [name for name in files if host.entry(f"{gpus.library_dir}/{name}").kind not in (NOTHING, UNKNOWN)]
        lacks = [name for name in there if name not in names]
        if lacks:
            yield found(rule, of.file, f"leaves out {listed(lacks)}: {matters}", make_again(of), of.file)


def has_graphics(gpus: Gpus) -> bool:
    """Libraries alone do not decide it: a management spec has every library, but none of the files that name them."""
    return not gpus.management and any(name.startswith(GRAPHICS[:2]) for name in gpus.names())


def loader_files(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """The small files by which graphics libraries are found."""
    gpus = of.gpus
    if gpus is None or not has_graphics(gpus):
        return
    names = gpus.names()
    for stem, matters, places in LOADER_FILES:
        there = next((p for path in places if is_there(host, p := gpus.driver_root + path)), "")
        if there and not any(name.startswith(stem) for name in names):
            yield found("graphics-left-out", there, f"is not in the spec: {matters}", make_again(of), of.file)


def sockets(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """Sockets of NVIDIA's daemons, which may start after the spec was generated."""
    gpus = of.gpus
    if gpus is None or not gpus.library_dir:
        return
    for name in SOCKETS:
        there = [f"{gpus.driver_root}{directory}/{name}" for directory in SOCKET_DIRS]
        there = [path for path in there if host.entry(path).real == SOCKET]
        if there and not any(mount.host_path.endswith(name) for mount in gpus.mounts):
            fact = "is not in the spec: the service started later"
            yield found("socket-left-out", there[0], fact, make_again(of), of.file)


def slices(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """A device on a GPU with MIG slices has both access nodes of a slice; else CUDA sees nothing."""
    cut = {f"/dev/nvidia{instance.gpu}" for instance in host.instances}
    for device in of.devices if of.gpus and cut else ():
        nodes = {node.path for node in device.container_edits.device_nodes}
        access = {path for path in nodes if path.startswith("/dev/nvidia-caps/")}
        if nodes & cut and len(access) < 2 and device.name != "all":
            fact = f"has {min(nodes & cut)}, which is cut into MIG slices, and not the access nodes of one"
            fact += ": CUDA sees no slice"
            yield found("mig-access", name_of(of, device.name), fact, make_again(of), of.file, devices=(device.name,))


def drm_of_own_gpu(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """A device with one GPU has the DRM nodes of that GPU, and not those of another."""
    addresses = {f"/dev/nvidia{gpu.minor}": gpu.address for gpu in host.gpus}
    for device in of.devices if of.gpus else ():
        nodes = [node.path for node in device.container_edits.device_nodes]
        own = {addresses[path] for path in nodes if path in addresses}
        names = [path.removeprefix("/dev/dri/") for path in nodes]
        others = [name for name in names if host.drm.get(name, "") not in ("", *own)]
        if len(own) == 1 and others and device.name != "all":
            fact = f"has {listed(others)} of {host.drm[others[0]]}, and its GPU is {min(own)}: they were renumbered"
            yield found("drm-of-gpu", name_of(of, device.name), fact, make_again(of), of.file, devices=(device.name,))


def is_there(host: Host, path: str) -> bool:
    return host.entry(path).real not in (NOTHING, UNKNOWN)


RULES = (
    versions_agree,
    control_nodes,
    cuda_library,
    libraries,
    loader_files,
    sockets,
    slices,
    drm_of_own_gpu,
)
