"""Devices and spec-level edits of csv mode."""

import re

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, Mount
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import nearest
from cdi_refreshd.core.findings import UsageFault, quoted
from cdi_refreshd.core.nvidia.build.driver import VOID
from cdi_refreshd.core.nvidia.build.edits import below, merged, mount, nodes
from cdi_refreshd.core.nvidia.build.gpus import by_path, names
from cdi_refreshd.core.nvidia.build.hooks import Hooks, is_library
from cdi_refreshd.core.nvidia.build.links import library_links, soname_links
from cdi_refreshd.core.nvidia.build.places import Places, once
from cdi_refreshd.core.nvidia.hook_program import takes_cuda_flags
from cdi_refreshd.core.nvidia.inventory import Gpu, Inventory, Library, Link

GPU_NODE = re.compile(r"/dev/nvidia\d+")


def devices(inventory: Inventory, choices: Choices, hooks: Hooks) -> list[Device]:
    whole = inventory.tegra.integrated < 0
    gpus = (Gpu(0, "", -1, ""),) if whole else inventory.gpus
    found = []
    for gpu in wanted(gpus, choices):
        edits = nodes(inventory.tegra.nodes, choices) if whole else both(gpu, inventory, choices, hooks)
        found += [Device(name, edits) for name in names(gpu, choices) if name]
    if not found:
        raise UsageFault("--device-name-strategy", "the integrated GPU has no UUID", "add index or type-index")
    return found


def wanted(gpus: tuple[Gpu, ...], choices: Choices) -> list[Gpu]:
    if "all" in choices.device_ids:
        return list(gpus)
    table = {name: gpu for gpu in gpus for name in (str(gpu.number), gpu.uuid, gpu.uuid.removeprefix("GPU-")) if name}
    for word in choices.device_ids:
        if word not in table:
            raise UsageFault(
                "--device-id", f"there is no device {quoted(word)} in csv mode", nearest(word, list(table))
            )
    return [table[word] for word in choices.device_ids]


def both(gpu: Gpu, inventory: Inventory, choices: Choices, hooks: Hooks) -> ContainerEdits:
    """For an integrated GPU beside a discrete one: each gets its own node and everything that is not the other's."""
    listed = inventory.tegra.nodes
    inside = {node: below(choices.dev_root, node.path) for node in listed}
    if gpu.number == inventory.tegra.integrated:
        return nodes((*(node for node in listed if inside[node] != "/dev/nvidia1"), *gpu.nodes), choices)
    rest = (node for node in listed if not GPU_NODE.fullmatch(inside[node]))
    return merged(
        nodes((*gpu.nodes, *inventory.nodes, *rest), choices),
        by_path(gpu, choices, hooks),
    )


def common(inventory: Inventory, choices: Choices, hooks: Hooks) -> ContainerEdits:
    tegra, root = inventory.tegra, choices.driver_root
    listed = (*tegra.libraries, *tegra.symlinks)
    libraries = once(item for library in listed for item in mounts_of(library, hooks.places))
    rest = tuple(mount(root, path) for path in (*tegra.directories, *tegra.files))
    chains = (hooks.links([link]) for link in chain_links(inventory, root))
    return merged(
        ContainerEdits(
            mounts=(*rest, *libraries),
            hooks=(
                *hooks.links(library_links(tegra.libraries, hooks.places)),
                *(hook for chain in chains for hook in chain),
                *compat(inventory, choices, hooks),
                *hooks.ldcache(item.container_path for item in libraries),
            ),
        ),
        VOID,
    )


def mounts_of(library: Library, places: Places) -> tuple[Mount, ...]:
    """The files may name anything: only libraries are put into loader directories."""
    if not is_library(library.path.rpartition("/")[2]):
        return (mount(places.root, library.path),)
    return tuple(places.mounts(library.path, library.bits))


def chain_links(inventory: Inventory, root: str) -> list[Link]:
    return [Link(below(root, link.path), link.target) for link in inventory.tegra.chains]


def links(inventory: Inventory, places: Places) -> list[Link]:
    """All that hooks would make in a container, those of ldconfig included."""
    listed = [one for one in inventory.tegra.libraries if is_library(one.path.rpartition("/")[2])]
    own = [*library_links(listed, places), *soname_links(listed, places)]
    return [*own, *chain_links(inventory, places.root)]


def compat(inventory: Inventory, choices: Choices, hooks: Hooks) -> tuple:  # type: ignore[type-arg]
    if not inventory.tegra.nvml_works or not takes_cuda_flags(hooks.program):
        return ()
    version = inventory.driver.cuda_version
    words = [f"--host-cuda-version={version // 1000}.{version % 1000 // 10}"]
    if inventory.tegra.orin:
        words.append(f"--cuda-compat-container-root={choices.csv_compat_root}")
    return hooks.call("enable-cuda-compat", *words)
