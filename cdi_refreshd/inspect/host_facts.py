"""What rules about specs want to know of this host, gathered: by stat, readlink and small files of the kernel."""

import os
from collections.abc import Iterable

from cdi_refreshd.core.checks import nvidia_rules
from cdi_refreshd.core.checks.host_facts import BoundGpu, Host, Instance
from cdi_refreshd.core.checks.host_rules import Subject
from cdi_refreshd.core.nvidia.driver_paths import LIBRARY_DIRS
from cdi_refreshd.core.nvidia.driver_texts import VERSION
from cdi_refreshd.core.nvidia.inventory import PciFunction
from cdi_refreshd.host import path_entries, pci, procfs
from cdi_refreshd.inspect import candidate

LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset")


def full_host(subjects: Iterable[Subject]) -> Host:
    """The same, and what there is of NVIDIA's GPUs and driver."""
    subjects = tuple(subjects)
    functions = pci.functions()
    instances = mig_instances() if any(function.driver == "nvidia" for function in functions) else ()
    more = {path for of in subjects for path in nvidia_rules.paths(of)}
    roots = {seen.dev_root for of in subjects if (seen := nvidia_rules.gpus(of))}
    more |= {f"{root}/dev/nvidia-caps/nvidia-cap{one.minor}" for one in instances for root in roots}
    directories = {seen.library_dir for of in subjects if (seen := nvidia_rules.gpus(of))} - {""}
    return candidate.plain_host(subjects, more)._replace(
        drm=path_entries.drm_owners(),
        modules=frozenset(filter(procfs.module_present, MODULES)),
        module_version=procfs.module_version(),
        library_version=library_version((*sorted(directories), *LIBRARY_DIRS[1:])),
        gpus=tuple(map(bound_gpu, (function for function in functions if function.driver == "nvidia"))),
        instances=instances,
    )


def library_version(directories: Iterable[str]) -> str:
    """Of the driver library that a program of this host would get, as far as its file's name tells."""
    directories = tuple(directories)
    for name in LIBRARIES:
        target = path_entries.library_target(directories, name)
        version = target.rpartition(".so.")[2]
        if VERSION.fullmatch(version):
            return version
    return ""


def bound_gpu(function: PciFunction) -> BoundGpu:
    """A GPU that sleeps is not even asked for its minor: nobody promises that this lets it sleep."""
    if function.suspended:
        return BoundGpu(function.address)
    said = procfs.told(f"/proc/driver/nvidia/gpus/{function.address}/information")
    values = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in said.splitlines())}
    minor = values.get("Device Minor", "")
    return BoundGpu(
        function.address, int(minor) if minor.isascii() and minor.isdigit() else -1, values.get("Model", "")
    )


def mig_instances() -> tuple[Instance, ...]:
    found = []
    for path in procfs.mig_instances():
        numbers = instance_numbers(path)
        if numbers is not None:
            gpu, gi, ci = numbers
            minor = procfs.capability_minor(gpu, gi, None if ci < 0 else ci)
            if minor is not None:
                found.append(Instance(gpu, gi, ci, minor))
    return tuple(found)


def instance_numbers(path: str) -> tuple[int, int, int] | None:
    """GPU, GPU instance, and compute instance or -1, of a path such as /gpu0/mig/gi1/ci0."""
    parts = path.strip("/").split("/")
    words = [("gpu", 0), ("mig", 1), ("gi", 2), ("ci", 3)]
    if len(parts) not in (3, 4) or not all(parts[at].startswith(word) for word, at in words[: len(parts)]):
        return None
    try:
        gpu, gi = int(parts[0][3:]), int(parts[2][2:])
        return gpu, gi, int(parts[3][2:]) if len(parts) == 4 else -1
    except ValueError:
        return None


def same_file(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
