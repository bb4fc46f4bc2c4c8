"""Makes a machine like the reporter's from a document of `cdi-refreshd bundle`: a report is a test."""

import os
from pathlib import Path

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.schema import KEYS
from cdi_refreshd.core.nvidia.inventory import freeze

from .driver_files import nvml
from .elf import MACHINES, shared_library
from .hardware import hardware
from .tree import SCRIPT, Dir, File, Link, Node, Socket, Tree, text

CONFIGURATION = "/etc/cdi-refreshd/cdi-refreshd.conf"
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d/devices.csv"
CACHE_DIRS = "/etc/ld.so.conf.d/00-bundle.conf"
OWN = ("/dev/nvidia", "/dev/dri/", "/proc/driver/nvidia")
"""Files that are taken from the bundle, not made up from its GPUs."""
GRAPHICS_PROFILE = 0x0A
DXCORE = "/usr/lib/wsl/lib/libdxcore.so"
HOOK = """#!/bin/sh
case "$1" in
--version) echo '{title} version {version}';;
--help) printf 'COMMANDS:\\n{commands}';;
esac
exit 0
"""


def is_bundle(document: dict) -> bool:
    return "inventory" in document and "choices" in document


def trees(document: dict, has_modules: bool) -> tuple[Tree, Tree]:
    """The machine's own files, and what its kernel shows; `has_modules` as for hardware."""
    made_up = {path: entry for path, entry in hardware(case(document), has_modules).items() if not path.startswith(OWN)}
    kernel = made_up | {path: text(content) for path, content in document["procfs"].items()}
    kernel |= {f"/sys/module/{name}/initstate": text("live\n") for name in document["modules"]}
    if document["firmware_path"]:
        kernel["/sys/module/firmware_class/parameters/path"] = text(document["firmware_path"] + "\n")
    files = {}
    links = {path: seen["target"] for path, seen in document["files"].items() if seen["kind"] == "link"}
    root = document["choices"]["driver_root"].rstrip("/")
    for path, seen in document["files"].items():
        if path.count("/") > 1 and (entry := made(path, seen, document)) is not None:
            (kernel if path.startswith("/dev/") else files)[through(path, links, root)] = entry
    files |= programs(document) | configuration(document) | lists(document)
    if document["loader_cache"] is not None:
        folders = dict.fromkeys(os.path.dirname(path) for path in document["loader_cache"])
        files[root + CACHE_DIRS] = text("".join(f"{folder.removeprefix(root)}\n" for folder in folders))
    return files, kernel


def through(path, links, root):
    """The path with the links in its directories resolved: an entry of a tree must not lead through one."""
    parts, here = path.strip("/").split("/"), ""
    for hop, part in enumerate(parts[:-1]):
        target = links.get(f"{here}/{part}")
        if target is not None:
            base = root if target.startswith("/") and not target.startswith(f"{root}/") else ""
            whole = base + target if target.startswith("/") else f"{here}/{target}"
            return through(os.path.normpath("/".join([whole, *parts[hop + 1 :]])), links, root)
        here = f"{here}/{part}"
    return f"{here}/{parts[-1]}"


def made(path, seen, document):
    """The entry for a path; None for what every host has itself."""
    mode = int(seen.get("mode", "0644"), 8)
    match seen["kind"]:
        case "link":
            return Link(seen["target"])
        case "node":
            return Node(seen["major"], seen["minor"], mode, seen.get("gid", 0))
        case "socket":
            return Socket()
        case "directory":
            return None if path.startswith(("/dev", "/proc", "/sys")) else Dir()
        case "file" if not path.startswith(("/etc/cdi/", "/run/cdi", "/var/run/cdi")):
            return File(content(path, seen, document), mode)
    return None


def content(path, seen, document):
    if path == DXCORE:
        return dxcore(document)
    library = seen.get("library")
    if library is None:
        return b"x" * min(seen["size_bytes"], 64)
    whole = seen["size_bytes"] >= library["size_bytes"]
    name = os.path.basename(path)
    if whole and name.startswith("libnvidia-ml.so."):
        return nvml()
    processor = next((name for name, number in MACHINES.items() if number == library["machine"]), "")
    own = processor == document["versions"]["machine"]
    image = shared_library(library["soname"] or name, "" if own else processor)
    return image if whole else image[: len(image) // 2]


def dxcore(document):
    """WSL's library, compiled to name the same driver store as the reporter's."""
    import tempfile

    from tests.unit.host.dxcore import build

    store = next((os.path.dirname(p) for p in document["inventory"]["wsl"]["files"] if "/drivers/" in p), "/none")
    with tempfile.TemporaryDirectory() as folder:
        return Path(build(f"{folder}/libdxcore.so", store=store, adapters=2)).read_bytes()


def case(document):
    """The part of a case from which `hardware` makes /sys, /proc/devices and NVML's script."""
    inventory, files = document["inventory"], document["files"]
    majors = {name: files.get(f"/dev/{name}", {}).get("major") for name in ("nvidia-uvm", "nvidia-caps/nvidia-cap1")}
    drm = {function["address"]: function["drm"] for function in document["pci"]}
    gpus = answering(inventory, drm)
    described = {gpu["bdf"] for gpu in gpus}
    module = inventory["presence"]["module_version"]
    made_up = {
        "gpus": gpus,
        "driver": inventory["driver"]["version"] or module or "0",
        "module_version": module,
        "version_file": bool(module),
        "no_module": not inventory["presence"]["module_loaded"],
        "unbound": [
            {"bdf": function["address"], "driver": function["driver"]}
            for function in document["pci"]
            if function["address"] not in described
        ],
        "nvml": script(inventory),
    }
    return made_up | {
        key: majors[name]
        for key, name in (("uvm_major", "nvidia-uvm"), ("caps_major", "nvidia-caps/nvidia-cap1"))
        if majors[name] is not None
    }


def answering(inventory, drm):
    """GPUs as NVML lists them; one that did not answer for the reporter does not answer here either."""
    known = {gpu["number"]: gpu for gpu in inventory["gpus"]}
    if not known and inventory["mode"] in ("csv", "management"):
        return unnamed(inventory, list(drm))
    found = []
    others = [address for address in drm if address not in {gpu["pci"] for gpu in known.values()}]
    for number in range(max([inventory["nvml"]["listed"], *(n + 1 for n in known)])):
        gpu = known.get(number)
        if gpu is None:
            place = others.pop(0) if others else f"ffff:{number:02x}:00.0"
            found.append({"bdf": place, "minor": 200 + number, "node": False})
            continue
        own = [mig for mig in inventory["migs"] if mig["parent"] == number]
        slices = [[mig["gi"], mig["ci"], GRAPHICS_PROFILE if has_graphics(mig) else 0] for mig in own]
        made_up = {"uuid": gpu["uuid"], "minor": gpu["minor"], "name": gpu["name"]}
        made_up["mig_uuids"] = [mig["uuid"] for mig in own]
        if gpu["coherent"] is not None:
            made_up["addressing"] = "2" if gpu["coherent"] else "1"
        made_up |= {"bdf": gpu["pci"], "control": drm.get(gpu["pci"], [])} if gpu["pci"] else {}
        found.append(made_up | ({"mig": slices} if gpu["mig_enabled"] or slices else {}))
    return found


def unnamed(inventory, addresses):
    """GPUs of a mode that describes none of them: as many as NVML listed."""
    names = (
        {"name": "Orin (nvgpu)" if inventory["tegra"]["orin"] else "NVIDIA Thor"} if inventory["mode"] == "csv" else {}
    )
    places = [{"bdf": address} for address in addresses]
    return [names | place for place in places[: inventory["nvml"]["listed"]]] or [
        dict(names) for _ in range(inventory["nvml"]["listed"])
    ]


def has_graphics(mig):
    return any(node["path"].startswith("/dev/dri/") for node in mig["nodes"])


def script(inventory):
    """Further lines for the stand-in of NVML."""
    code = inventory["nvml"]["code"]
    if code:
        yield f"fail nvmlInit_v2 {code}"
    known = {gpu["number"] for gpu in inventory["gpus"]}
    if not known and inventory["mode"] in ("csv", "management"):
        return
    for number in range(inventory["nvml"]["listed"]):
        if number not in known:
            yield f"fail nvmlDeviceGetUUID 15 {number}"


def programs(document):
    """Programs do nothing here; the hook program answers as the reporter's did."""
    tree = {
        path: SCRIPT
        for path, seen in document["files"].items()
        if seen["kind"] == "file" and int(seen["mode"], 8) & 0o111 and "library" not in seen and path.count("/") > 1
    }
    hook = document["inventory"].get("hook") or {}
    if hook.get("version") or hook.get("commands"):
        commands = "".join(f"   {name:<33} A hook\\n" for name in hook.get("commands", ()))
        filled = HOOK.format(title="NVIDIA CDI Hook", version=hook.get("version") or "unknown", commands=commands)
        tree[hook["path"]] = File(filled.encode(), 0o755)
    return tree


def configuration(document):
    """The reporter's choices, as a configuration file: options and environment, too."""
    choices, usual = freeze_choices(document["choices"]), Choices()
    lines = ["[generate]"]
    for key in (key for key in KEYS if key.section == "generate"):
        changed = getattr(choices, key.field) != getattr(usual, key.field)
        changed |= key.field == "dev_root" and choices.driver_root != "/"  # by default it is the driver root
        if changed:
            lines.append(f"{key.name} = {key.kind.show(getattr(choices, key.field))}")
    return {CONFIGURATION: text("\n".join(lines) + "\n")} if len(lines) > 1 else {}


def freeze_choices(named):
    """Keys that this version does not know belong to another one."""
    known = {field: named[field] for field in Choices._fields if field in named}
    return freeze(Choices, [known.get(field, getattr(Choices(), field)) for field in Choices._fields])


def lists(document):
    """A CSV file that names what the reporter's files named, as far as the machine had it."""
    if document["inventory"]["mode"] != "csv":
        return {}
    tegra, choices = document["inventory"]["tegra"], document["choices"]
    dev_root, root = (choices[name].rstrip("/") for name in ("dev_root", "driver_root"))
    named = [("dev", node["path"].removeprefix(dev_root)) for node in tegra["nodes"]]
    named += [("dir", path.removeprefix(root)) for path in tegra["directories"]]
    named += [("lib", library["path"].removeprefix(root)) for library in tegra["libraries"]]
    named += [("sym", link["path"].removeprefix(root)) for link in tegra["chains"]]
    named += [("sym", library["path"].removeprefix(root)) for library in tegra["symlinks"]]
    first, *others = choices["csv_files"]
    return {first: text("".join(f"{kind}, {path}\n" for kind, path in named))} | dict.fromkeys(others, text(""))
