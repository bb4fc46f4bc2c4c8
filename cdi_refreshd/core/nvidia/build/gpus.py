"""Devices of nvml mode: which GPUs and MIG devices are requested, their names, and their edits."""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import ContainerEdits, Device
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import nearest
from cdi_refreshd.core.findings import Fault, UsageFault, quoted
from cdi_refreshd.core.nvidia.build.edits import below, merged, nodes
from cdi_refreshd.core.nvidia.build.hookless import by_path_nodes
from cdi_refreshd.core.nvidia.build.hooks import Hooks
from cdi_refreshd.core.nvidia.inventory import Gpu, Inventory, Link, MigDevice

COHERENT = "gpu.nvidia.com/coherent"
DISPLAY_ONLY = ("DGX Display", "NVIDIA DGX Display")
EMPTY = ContainerEdits(env=("NVCT_EMPTY_DEVICE=",))


def devices(inventory: Inventory, choices: Choices, hooks: Hooks) -> list[Device]:
    found = []
    for item in asked_for(inventory, choices):
        edits = merged(nodes(item.nodes, choices), by_path(item, choices, hooks))
        if isinstance(item, Gpu):
            edits = merged(edits, ContainerEdits(hooks=chmod(item, hooks)))
        notes = annotations(item, choices)
        found += [Device(name, edits, notes) for name in names(item, choices)]
    return found


def asked_for(inventory: Inventory, choices: Choices) -> Iterator[Gpu | MigDevice]:
    """In the order of the ids. The first `all` or `none` decides, as for NVIDIA's generator."""
    first = next((word for word in choices.device_ids if word in ("all", "none")), "")
    if first == "all":
        yield from (gpu for gpu in inventory.gpus if not gpu.mig_enabled and gpu.name not in DISPLAY_ONLY)
        hidden = {gpu.number for gpu in inventory.gpus if gpu.name in DISPLAY_ONLY}
        yield from (mig for mig in inventory.migs if mig.parent not in hidden)
    elif not first:
        table = ids(inventory)
        seen = set()
        for word in choices.device_ids:
            item = table.get(word)
            if item is None:
                raise unknown(word, inventory, list(table))
            if item not in seen:
                seen.add(item)
                yield item


def ids(inventory: Inventory) -> dict[str, Gpu | MigDevice]:
    """Every name of a GPU or MIG device that --device-id accepts."""
    table: dict[str, Gpu | MigDevice] = {}
    for gpu in inventory.gpus:
        table.update({str(gpu.number): gpu, gpu.uuid: gpu})
    for mig in inventory.migs:
        old = f"MIG-{mig.parent_uuid}/{mig.gi}/{mig.ci}"
        table.update({f"{mig.parent}:{mig.number}": mig, mig.uuid: mig, old: mig})
    table.pop("", None)
    return table


def unknown(word: str, inventory: Inventory, known: list[str]) -> Fault:
    for finding in inventory.findings:
        if word in finding.left_out:
            return Fault(f"--device-id {word}", finding.sentence, finding.hint)
    return UsageFault("--device-id", f"there is no device {quoted(word)}", nearest(word, known) if known else "")


def names(item: Gpu | MigDevice, choices: Choices) -> Iterator[str]:
    for strategy in choices.name_strategies:
        if strategy == "uuid":
            yield from [item.uuid] if item.uuid else []
        elif isinstance(item, Gpu):
            yield f"gpu{item.number}" if strategy == "type-index" else str(item.number)
        else:
            prefix = "mig" if strategy == "type-index" else ""
            yield f"{prefix}{item.parent}:{item.number}"


def by_path(item: Gpu | MigDevice, choices: Choices, hooks: Hooks) -> ContainerEdits:
    """The links to the item's DRM nodes by its PCI address."""
    if hooks.none:
        return by_path_nodes(item.nodes, item.links, choices)
    inside = [Link(below(choices.dev_root, link.path), link.target) for link in item.links]
    return ContainerEdits(hooks=hooks.links(inside))


def chmod(gpu: Gpu, hooks: Hooks) -> tuple:  # type: ignore[type-arg]
    drm = len(gpu.nodes) > 1
    return hooks.call("chmod", "--mode", "755", *(("--path", "/dev/dri") if drm else ()))


def annotations(item: Gpu | MigDevice, choices: Choices) -> tuple[tuple[str, str], ...]:
    wanted = "enable-coherent-annotations" in choices.feature_flags
    if not wanted or not isinstance(item, Gpu) or item.coherent is None:
        return ()
    return ((COHERENT, "true" if item.coherent else "false"),)
