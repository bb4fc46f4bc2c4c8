"""Probes the machine: which mode it needs, then what that mode needs."""

import os

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Fault, Finding, UsageFault, quoted
from cdi_refreshd.core.nvidia.driver_paths import CHANNEL_DIR, NODES
from cdi_refreshd.core.nvidia.driver_texts import integrated_name, not_found
from cdi_refreshd.core.nvidia.inventory import Channel, Driver, Gpu, Inventory, Link, Node, Presence
from cdi_refreshd.core.nvidia.nvml_answer import Answer, believed, forgotten, without_slices
from cdi_refreshd.host import char_devices, nvml, pci, procfs
from cdi_refreshd.host.driver_root import Tree
from cdi_refreshd.probe import files, gpus, hook_program, platforms
from cdi_refreshd.probe.driver_libraries import inferred_version, inspected, versioned
from cdi_refreshd.probe.libraries import Libraries
from cdi_refreshd.probe.request import Request

NOT_MANAGEMENT = ("nvidia-fs", "nvidia-nvswitch", "nvidia-nvlink")
NO_SYSFS = Finding("degraded", "/sys", "cannot be read, so DRM nodes are left out", "mount it")


def probe(request: Request) -> Inventory:
    """Raises Fault if nothing can be described in the mode."""
    choices = request.choices
    tree = Tree(choices.driver_root)
    seen = presence(tree)
    if request.gated and choices.mode in ("auto", "nvml") and not may_open_nvml(seen):
        return Inventory(mode="nvml", presence=seen)
    for option, root in (("--driver-root", choices.driver_root), ("--dev-root", choices.dev_root)):
        if not os.path.isdir(root):
            raise Fault(option, f"{root} is not a directory", "name the directory that contains its paths")
        if not os.access(root, os.R_OK | os.X_OK):
            raise Fault(option, f"{root} may not be read", "run as root")
    libraries = Libraries(tree, choices.library_search_paths)
    hook = hook_program.found(choices, keep=request.gated)
    mark = ""
    if request.gated and any(function.may_suspend for function in seen.functions):
        from cdi_refreshd.probe.fingerprint import fingerprint  # noqa: PLC0415 - few GPUs may sleep

        mark = fingerprint(choices, seen, tree, libraries, hook)
    if mark and mark == request.known_fingerprint and any(function.suspended for function in seen.functions):
        return Inventory(mode="nvml", presence=seen, fingerprint=mark, unchanged=True)
    mode, answer = resolved(choices, seen, libraries, not request.gated or may_open_nvml(seen))
    base = Inventory(mode=mode, machine=procfs.machine(), presence=seen, fingerprint=mark, hook=hook)
    devices = gpus.Devices(choices.dev_root)
    full = PROBES[mode](base._replace(nvml=answer.nvml), choices, libraries, answer, devices)
    blind = () if seen.sysfs or mode != "nvml" else (NO_SYSFS,)
    return full._replace(findings=(*answer.findings, *devices.findings, *tree.findings, *blind))


def presence(tree: Tree) -> Presence:
    """Never a part: if something cannot be read, nothing else is reported."""
    try:
        return Presence(
            sysfs=pci.readable(),
            functions=pci.functions(),
            module_version=procfs.module_version(),
            module_loaded=procfs.module_loaded(),
            wsl=char_devices.node("/dev/dxg") is not None,
            tegra=platforms.is_tegra(tree),
        )
    except Fault as fault:
        return Presence(sysfs=pci.readable(), unreadable=f"{fault.finding.place}: {fault.finding.fact}")


def may_open_nvml(seen: Presence) -> bool:
    """Opening NVML may load the driver, so it is opened only if the driver is loaded and has a GPU."""
    bound = any(function.driver == "nvidia" for function in seen.functions)
    return not seen.unreadable and (seen.wsl or seen.tegra or (seen.module_loaded and bound))


def resolved(choices: Choices, seen: Presence, libraries: Libraries, may_ask: bool) -> tuple[str, Answer]:
    """The mode that `auto` means here, and the answer of NVML if it was asked."""
    tree, unasked = libraries.tree, Answer(Inventory().nvml)
    if choices.mode not in ("auto", "nvml", "management", "csv") or not may_ask:
        return choices.mode, unasked
    if choices.mode == "auto" and platforms.is_wsl(tree, seen):
        return "wsl", unasked
    library = libraries.nvml(seen.module_version)
    if not library and tree.root:
        answer = Answer(unasked.nvml._replace(code=12, message=f"there is no libnvidia-ml.so.1 under {tree.root}"))
    else:
        answer = believed(nvml.ask(library), procfs.gpus())
    if choices.mode != "auto":
        return choices.mode, answer
    without = answer.nvml.code == 12 and platforms.is_tegra(tree)
    return ("csv" if without or any(integrated_name(gpu.name) for gpu in answer.gpus) else "nvml"), answer


def nvml_probe(
    base: Inventory, choices: Choices, libraries: Libraries, answer: Answer, devices: gpus.Devices
) -> Inventory:
    if answer.nvml.code != 0:
        return base._replace(driver=without_nvml(libraries, base.presence.module_version))
    if any(gpu.mig_enabled for gpu in answer.gpus):
        devices.findings += without_slices(answer, procfs.mig_instances())
    if not base.presence.tegra:
        devices.findings += forgotten(answer, base.presence.functions, procfs.gpus())
    found = with_gpus(base, answer, devices)
    return found._replace(nodes=devices.control(), driver=driver(found, choices, libraries, answer))


def without_nvml(libraries: Libraries, module_version: str) -> Driver:
    """The driver's libraries if NVML did not answer, to find out why."""
    opened = libraries.nvml(module_version)
    found = [inspected(libraries.tree, opened)] if opened else []
    return Driver(
        files_version=inferred_version(libraries, ""),
        libraries=tuple(one for one in found if one.flaw),
        search=libraries.searched(),
    )


def with_gpus(base: Inventory, answer: Answer, devices: gpus.Devices) -> Inventory:
    parents = {raw.number: raw for raw in answer.gpus}
    whole = (devices.gpu(raw) for raw in answer.gpus)
    migs = (devices.mig(raw, parents[raw.parent]) for raw in answer.migs)
    return base._replace(gpus=tuple(filter(None, whole)), migs=tuple(filter(None, migs)))


def driver(base: Inventory, choices: Choices, libraries: Libraries, answer: Answer) -> Driver:
    tree = libraries.tree
    found = versioned(libraries, answer.version, base.presence.module_version, choices)
    ipc = "disable-ipc-discoverer" not in choices.feature_flags
    found = files.beside(tree, found, choices, procfs.machine(), ipc)
    gsp = files.firmware(tree, found.version, procfs.release(), procfs.firmware_path()) if found.version else ()
    unresolved = (*gsp, *found.xorg, *found.sockets, *found.binaries, *found.graphics_binaries)
    astray = tuple(Link(path, real) for path in unresolved if (real := tree.astray(path)))
    return found._replace(firmware=gsp, astray=astray, cuda_version=answer.cuda_version)


def management_probe(
    base: Inventory, choices: Choices, libraries: Libraries, answer: Answer, devices: gpus.Devices
) -> Inventory:
    found = (node for pattern in NODES["management"] for node in char_devices.matching(devices.root + pattern))
    kept = (node for node in found if not node.path.rpartition("/")[2].startswith(NOT_MANAGEMENT))
    found_driver = driver(base, choices, libraries, answer)
    if found_driver.library_dirs:
        for name in found_driver.missing:
            libraries.tree.note(Finding("degraded", name, "is missing", not_found(found_driver.search)))
    return base._replace(nodes=tuple(dict.fromkeys(kept)), driver=found_driver)


def node_probe(base: Inventory, _: Choices, libraries: Libraries, __: Answer, devices: gpus.Devices) -> Inventory:
    found = (node for pattern in NODES[base.mode] for node in char_devices.matching(devices.root + pattern))
    kept: tuple[Node, ...] = tuple(dict.fromkeys(found))
    extra: tuple[str, ...] = ()
    if base.mode == "gds" and kept:
        tree = libraries.tree
        extra = tuple(filter(None, (tree.first([tree.host("/run/udev")], tree.is_directory),)))
        extra += tuple(filter(None, (tree.first([tree.host("/etc/cufile.json")]),)))
    return base._replace(nodes=kept, files=extra)


def imex_probe(base: Inventory, choices: Choices, _: Libraries, __: Answer, devices: gpus.Devices) -> Inventory:
    place = f"{devices.root}{CHANNEL_DIR}"
    found: dict[str, None] = {}
    for wanted in choices.device_ids:
        if wanted in ("all", "channelall"):
            paths = (node.path for node in char_devices.matching(f"{place}/channel*"))
            found.update((path, None) for path in paths if is_channel(path.rpartition("/channel")[2]))
            break
        channel = wanted.removeprefix("channel")
        if not is_channel(channel):
            raise UsageFault(
                "--device-id", f"{quoted(wanted)} is not an IMEX channel", "channels are 0 to 1048575, or all"
            )
        if char_devices.node(f"{place}/channel{channel}") is None:
            raise Fault(f"{place}/channel{channel}", "there is no such channel", "nvidia-modprobe -i makes it")
        found[f"{place}/channel{channel}"] = None
    return base._replace(channels=tuple(Channel(path.rpartition("/channel")[2], path) for path in found))


def is_channel(number: str) -> bool:
    return number.isascii() and number.isdigit() and int(number.lstrip("0")[:8] or "0") < 1 << 20


def wsl_probe(
    base: Inventory, choices: Choices, libraries: Libraries, answer: Answer, devices: gpus.Devices
) -> Inventory:
    base = node_probe(base, choices, libraries, answer, devices)
    from cdi_refreshd.probe import wsl  # noqa: PLC0415 - few hosts are WSL

    return base._replace(wsl=wsl.probe(libraries.tree, base.presence))


def csv_probe(
    base: Inventory, choices: Choices, libraries: Libraries, answer: Answer, devices: gpus.Devices
) -> Inventory:
    from cdi_refreshd.probe import tegra  # noqa: PLC0415 - few hosts are Tegra

    found = tegra.probe(libraries.tree, choices, answer)
    if found.integrated >= 0:
        ours, other = answer.gpus
        own = Gpu(
            ours.number, ours.uuid, 2, ours.pci, ours.name, nodes=char_devices.present([f"{devices.root}/dev/nvidia2"])
        )
        discrete = tuple(filter(None, [devices.gpu(other)]))
        base = base._replace(gpus=(own, *discrete), nodes=devices.control())
    return base._replace(tegra=found, driver=Driver(answer.version, cuda_version=answer.cuda_version))


PROBES = {
    "nvml": nvml_probe,
    "management": management_probe,
    "imex": imex_probe,
    "csv": csv_probe,
    "wsl": wsl_probe,
    "gds": node_probe,
    "gdrcopy": node_probe,
    "mofed": node_probe,
    "nvswitch": node_probe,
}
