"""What the kernel shows of a machine's GPUs, from a case: /dev, /proc/driver/nvidia, /sys, and NVML's script."""

import re

from .tree import Dir, Link, Node, Socket, Tree, text

NODES = ("ctl", "modeset", "uvm", "uvm-tools", "caps")
SCRIPT = "/run/fake-nvml"
OPENS = "/run/fake-nvml.opens"
MISMATCH, NOT_LOADED = 18, 9
STANDARD_NODES = {"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9}
DRM_MAJOR = 226


# Majors that a kernel without NVIDIA's driver registers.
CHARACTER_MAJORS = {
    1: "mem", 4: "tty", 5: "/dev/tty", 7: "vcs", 10: "misc", 13: "input", 29: "fb", 128: "ptm", 136: "pts",
    189: "usb_device", DRM_MAJOR: "drm", 249: "hidraw", 252: "bsg", 253: "watchdog", 254: "rtc",
}  # fmt: skip
BLOCK_MAJORS = {7: "loop", 8: "sd", 9: "md", 253: "device-mapper", 259: "blkext"}


def hardware(case: dict, has_modules: bool = True) -> Tree:
    """Everything but the driver's files. `has_modules`: this host's kernel has a /proc/modules."""
    loaded = not case.get("no_module")
    gpus = [described(i, gpu, loaded) for i, gpu in enumerate(case.get("gpus", []))]
    dev_root = case.get("dev_root", "/").rstrip("/")
    tree = {f"/dev/{name}": Node(1, minor) for name, minor in STANDARD_NODES.items()}
    tree |= {"/dev/tty": Node(5, 0), "/dev/shm": Dir(), "/dev/fd": Link("/proc/self/fd")}
    tree |= {f"/dev/{name}": Link(f"/proc/self/fd/{fd}") for fd, name in enumerate(("stdin", "stdout", "stderr"))}
    tree |= control_nodes(case, dev_root, loaded) | kernel(case, gpus, has_modules)
    for gpu in gpus:
        tree |= gpu_nodes(case, gpu, dev_root) | pci_function(gpu["bdf"], "0x030200", "nvidia" if loaded else None)
        tree |= drm(gpu) | power(gpu)
        if loaded:
            tree |= proc_of(gpu, case.get("driver", VERSION)) | mig(case, gpu, dev_root)
    for function in case.get("unbound", []):
        tree |= pci_function(function["bdf"], function.get("class", "0x030200"), function.get("driver"))
        tree |= power(function)
    tree[SCRIPT] = text("\n".join(nvml_script(case, gpus)) + "\n")
    return tree | {path: Socket() for path in case.get("sockets", [])}


VERSION = "580.95.05"


def described(index, gpu, loaded):
    """A GPU of a case with its defaults filled in."""
    return {
        "index": index,
        "minor": index,
        "bdf": f"0000:{index + 1:02x}:00.0",
        "uuid": f"GPU-00000000-0000-4000-8000-{index:012x}",
        "node": loaded,
    } | gpu


def cap_minor(gpu_minor, gi, ci=None):
    """The minor number of an instance's capability node, as the driver numbers them."""
    return 3 + (gpu_minor * 15 + gi) * 9 + (0 if ci is None else ci + 1)


def control_nodes(case, dev_root, loaded):
    uvm, caps = case.get("uvm_major", 510), case.get("caps_major", 511)
    known = {
        "ctl": {"nvidiactl": Node(195, 255)},
        "modeset": {"nvidia-modeset": Node(195, 254)},
        "uvm": {"nvidia-uvm": Node(uvm, 0)},
        "uvm-tools": {"nvidia-uvm-tools": Node(uvm, 1)},
        "caps": {"nvidia-caps/nvidia-cap1": Node(caps, 1, 0o400), "nvidia-caps/nvidia-cap2": Node(caps, 2, 0o444)},
    }
    default = NODES if loaded else ()
    tree = {f"{dev_root}/dev/{n}": node for kind in case.get("nodes", default) for n, node in known[kind].items()}
    for name, (major, minor) in case.get("extra_nodes", {}).items():
        tree[f"{dev_root}/dev/{name}"] = Node(major, minor)
    return tree


def gpu_nodes(case, gpu, dev_root):
    tree = {}
    if gpu["node"]:
        mode, gid = int(gpu.get("mode", "0666"), 8), gpu.get("gid", 0)
        tree[f"{dev_root}/dev/nvidia{gpu['minor']}"] = Node(195, gpu["minor"], mode, gid)
    mode, gid = int(case.get("drm_mode", "0666"), 8), case.get("drm_gid", 0)
    for name, minor in drm_names(gpu).items():
        tree[f"{dev_root}/dev/dri/{name}"] = Node(DRM_MAJOR, minor, mode, gid)
        tree[f"{dev_root}/dev/char/{DRM_MAJOR}:{minor}"] = Link(f"../dri/{name}")  # as udev makes it
    for name, kind in zip(drm_names(gpu), ("card", "render"), strict=False):
        tree[f"{dev_root}/dev/dri/by-path/pci-{gpu['bdf']}-{kind}"] = Link(f"../{name}")
    return tree


def drm_names(gpu):
    """Names under /dev/dri and their minors: "drm": [card, render], and more of them by name in "control"."""
    card, render = gpu.get("drm", (None, None))
    names = {} if card is None else {f"card{card}": card, f"renderD{render}": render}
    return names | {name: int(re.sub(r"\D", "", name) or 0) for name in gpu.get("control", [])}


def pci_function(bdf, class_code, driver):
    device, bus = f"/sys/devices/pci0000:00/{bdf}", "/sys/bus/pci"
    bound = f"DRIVER={driver}\n" if driver else ""
    uevent = f"{bound}PCI_CLASS={int(class_code, 16):X}\nPCI_ID=10DE:2330\nPCI_SLOT_NAME={bdf}\n"
    tree = {
        f"{bus}/devices/{bdf}": Link(f"../../../devices/pci0000:00/{bdf}"),
        f"{device}/subsystem": Link("../../../bus/pci"),
        f"{device}/vendor": text("0x10de\n"),
        f"{device}/device": text("0x2330\n"),
        f"{device}/class": text(f"{class_code}\n"),
        f"{device}/uevent": text(uevent),
    }
    if driver:
        tree[f"{device}/driver"] = Link(f"../../../bus/pci/drivers/{driver}")
        tree[f"{bus}/drivers/{driver}/{bdf}"] = Link(f"../../../../devices/pci0000:00/{bdf}")
    return tree


def power(gpu):
    folder = f"/sys/devices/pci0000:00/{gpu['bdf']}/power"
    return {
        f"{folder}/runtime_status": text(gpu.get("runtime_status", "active") + "\n"),
        f"{folder}/control": text("auto\n" if "runtime_status" in gpu else "on\n"),
    }


def drm(gpu):
    tree = {}
    for name, minor in drm_names(gpu).items():
        relative = f"devices/pci0000:00/{gpu['bdf']}/drm/{name}"
        tree |= {
            f"/sys/{relative}/dev": text(f"{DRM_MAJOR}:{minor}\n"),
            f"/sys/{relative}/uevent": text(f"MAJOR={DRM_MAJOR}\nMINOR={minor}\nDEVNAME=dri/{name}\n"),
            f"/sys/{relative}/subsystem": Link("../../../../../class/drm"),
            f"/sys/{relative}/device": Link(f"../../../{gpu['bdf']}"),
            f"/sys/class/drm/{name}": Link(f"../../{relative}"),
            f"/sys/dev/char/{DRM_MAJOR}:{minor}": Link(f"../../{relative}"),
        }
    return tree


def proc_devices(ours=()):
    """/proc/devices; `ours` are pairs of major and name."""
    characters = sorted([*CHARACTER_MAJORS.items(), *ours])
    sections = (("Character", characters), ("Block", BLOCK_MAJORS.items()))
    return text(
        "\n".join(f"{kind} devices:\n" + "".join(f"{m:3} {n}\n" for m, n in drivers) for kind, drivers in sections)
    )


def kernel(case, gpus, has_modules):
    """What the module shows, loaded or not."""
    tree = {"/sys/bus/pci/devices": Dir(), "/sys/bus/pci/drivers": Dir(), "/sys/module": Dir()}
    tree["/proc/devices"] = proc_devices()
    tree |= {"/proc/modules": text("")} if has_modules else {}
    if case.get("no_module") or not (gpus or case.get("version_file")):
        return tree
    version = case.get("module_version", case.get("driver", VERSION))
    lines = ["config 1", "monitor 2"]
    for gpu in range(8):
        for gi in range(15):
            lines.append(f"gpu{gpu}/gi{gi}/access {cap_minor(gpu, gi)}")
            lines += [f"gpu{gpu}/gi{gi}/ci{ci}/access {cap_minor(gpu, gi, ci)}" for ci in range(8)]
    uvm, caps = case.get("uvm_major", 510), case.get("caps_major", 511)
    name = f"NVIDIA UNIX Open Kernel Module for x86_64  {version}  Release Build  (stand-in)"
    tree |= {
        "/proc/driver/nvidia/version": text(f"NVRM version: {name}\n"),
        "/proc/driver/nvidia/gpus": Dir(),
        "/proc/driver/nvidia-caps/mig-minors": text("\n".join(lines) + "\n"),
        "/sys/module/nvidia/version": text(f"{version}\n"),
        "/sys/module/nvidia/initstate": text("live\n"),
        "/sys/bus/pci/drivers/nvidia/module": Link("../../../../module/nvidia"),
    }
    tree["/proc/devices"] = proc_devices([(195, "nvidia-frontend"), (uvm, "nvidia-uvm"), (caps, "nvidia-caps")])
    if has_modules:
        tree["/proc/modules"] = text("nvidia 104165376 2 - Live 0x0000000000000000 (OE)\n")
    return tree


def proc_of(gpu, version):
    information = {
        "Model": "\t\t NVIDIA H100 80GB HBM3",
        "IRQ": "  \t\t 16",
        "GPU UUID": "\t " + gpu["uuid"],
        "Bus Type": "\t PCIe",
        "Bus Location": "\t " + gpu["bdf"],
        "Device Minor": "\t " + str(gpu["minor"]),
        "GPU Firmware": "\t " + version,
    }
    lines = "".join(f"{key}: {value}\n" for key, value in information.items())
    return {f"/proc/driver/nvidia/gpus/{gpu['bdf']}/information": text(lines)}


def mig(case, gpu, dev_root):
    """Capability files and nodes of a GPU in MIG mode; its instances are [gi, ci] or [gi, ci, profile]."""
    if "mig" not in gpu:
        return {}
    folder = f"/proc/driver/nvidia/capabilities/gpu{gpu['minor']}/mig"
    tree = {folder: Dir()}
    for gi, ci, *_ in gpu["mig"]:
        own, inner = cap_minor(gpu["minor"], gi), cap_minor(gpu["minor"], gi, ci)
        for path, minor in ((f"{folder}/gi{gi}", own), (f"{folder}/gi{gi}/ci{ci}", inner)):
            lines = f"DeviceFileMinor: {minor}\nDeviceFileMode: 292\nDeviceFileModify: 1\n"
            tree[f"{path}/access"] = text(lines)
            if gpu.get("mig_nodes", True):
                node = Node(case.get("caps_major", 511), minor, 0o444)
                tree[f"{dev_root}/dev/nvidia-caps/nvidia-cap{minor}"] = node
    return tree


def nvml_script(case, gpus):
    """Lines for the stand-in library; those of the case's "nvml" come last."""
    version = case.get("driver", VERSION)
    yield f"driver {version}"
    yield f"count {OPENS}"
    if case.get("no_module"):
        yield f"fail nvmlInit_v2 {NOT_LOADED}"
    elif case.get("module_version", version) != case.get("files_version", version):
        yield f"fail nvmlInit_v2 {MISMATCH}"
    for gpu in gpus:
        index = gpu["index"]
        yield f"gpu {gpu['uuid']} {gpu['minor']} {gpu['bdf']}{' mig' if 'mig' in gpu else ''}"
        for key in ("name", "addressing"):
            if key in gpu:
                yield f"{key} {index} {gpu[key]}"
        for k, (gi, ci, *profile) in enumerate(gpu.get("mig", [])):
            uuids = gpu.get("mig_uuids", ())
            uuid = uuids[k] if k < len(uuids) else f"MIG-{index:08x}-0000-4000-8000-{k:012x}"
            yield f"mig {index} {gi} {ci} {uuid}"
            if profile:
                yield f"profile {index} {gi} {profile[0]}"
    yield from case.get("nvml", [])
