"""Splits a spec as NVIDIA's generator does on hosts with coherent GPUs."""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import Device, Spec
from cdi_refreshd.core.cdi.version import minimum_version
from cdi_refreshd.core.nvidia.build.edits import merged, tidy, without
from cdi_refreshd.core.nvidia.build.gpus import COHERENT

NAMES = {"true": "coherent", "false": "noncoherent"}


def parts(spec: Spec) -> Iterator[tuple[str, Spec]]:
    """("", the whole), then ("coherent", ...) and ("noncoherent", ...) where there are such GPUs; none is annotated."""
    marks = {device.name: dict(device.annotations).get(COHERENT) for device in spec.devices}
    if not any(marks.values()):
        yield "", spec
        return
    plain = tuple(device._replace(annotations=()) for device in spec.devices)
    yield "", _at_lowest_version(spec._replace(devices=plain))
    for mark, name in NAMES.items():
        chosen = [device for device in plain if marks[device.name] == mark]
        if not chosen:
            continue
        if "all" in marks:
            everything = tidy(merged(*(device.container_edits for device in chosen)))
            chosen.append(Device("all", without(everything, spec.container_edits)))
        kind = f"{spec.vendor}/{spec.class_name}.{name}"
        devices = tuple(sorted(chosen, key=lambda device: device.name.encode()))
        yield name, _at_lowest_version(spec._replace(kind=kind, devices=devices))


def _at_lowest_version(spec: Spec) -> Spec:
    return spec._replace(cdi_version=minimum_version(spec))
