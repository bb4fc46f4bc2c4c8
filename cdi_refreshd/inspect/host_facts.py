"""Gathers the facts that the rules need, by stat, readlink and small kernel files."""

import os
from collections.abc import Iterable

from cdi_refreshd.core.checks import hook_rules, library_rules, nvidia_rules
from cdi_refreshd.core.checks.host_facts import BoundGpu, Host, Instance
from cdi_refreshd.core.checks.subject import TEGRA, WSL, Subject
from cdi_refreshd.core.nvidia.driver_paths import LIBRARY_DIRS
from cdi_refreshd.core.nvidia.driver_texts import VERSION, gpu_minor
from cdi_refreshd.core.nvidia.gpu_count import on_bus, physical
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import PciFunction, Presence
from cdi_refreshd.host import path_entries, pci, procfs, program_output
from cdi_refreshd.inspect import candidate
from cdi_refreshd.probe import hook_program

LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
MODULES = ("nvidia", "nvidia_uvm", "nvidia_modeset")
WSL_DRIVER = ("/usr/lib/wsl/lib/libnvidia-ml.so.1", "/usr/lib/wsl/lib/libcuda.so.1")
DXG = "/dev/dxg"
WSL_STORES, WSL_CUDA = "/usr/lib/wsl/drivers", "libcuda.so.1.1"
"""Files of Windows' NVIDIA driver; /dev/dxg is there for GPUs of any vendor."""


def full_host(subjects: Iterable[Subject], more: Iterable[str] = (), probed: bool = False) -> Host:
    """The same, and the NVIDIA GPUs and driver. `probed`: a child has just inspected the libraries."""
    subjects = tuple(subjects)
    everywhere = pci.functions()
    functions = physical(everywhere)
    kind, wsl = "" if functions else platform(), os.path.exists(DXG)
    there = on_bus(Presence(pci.readable(), everywhere, wsl=wsl, tegra=kind == TEGRA))
    bound = [function for function in functions if function.driver == "nvidia"]
    instances = mig_instances() if bound else ()
    found = [of.gpus for of in subjects if of.gpus]
    paths = {path for of in subjects for path in nvidia_rules.paths(of)}
    paths |= {f"{gpus.dev_root}/dev/nvidia-caps/nvidia-cap{one.minor}" for one in instances for gpus in found}
    directories = sorted({gpus.library_dir for gpus in found} - {""})
    return candidate.plain_host(subjects, paths.union(more))._replace(
        drm=path_entries.drm_owners(),
        modules=frozenset(filter(procfs.module_present, MODULES)),
        module_version=procfs.module_version(),
        library_version=library_version((*directories, *LIBRARY_DIRS[1:])),
        gpus=tuple(bound_gpu(function) for function in bound if os.path.isdir(procfs_of(function))),
        functions=len(functions),
        on_bus=None if there is None else len(there),
        without_driver=tuple(function.address for function in functions if not function.driver),
        instances=instances,
        mig_capable=procfs.mig_capable() if bound else frozenset(),
        platform=kind,
        bare_wsl=DXG if wsl and not kind and not bound else "",
        flaws={} if probed else flaws(path for of in subjects for path in library_rules.paths(of)),
        hook_programs={} if probed else hook_programs(subjects),
    )


def flaws(libraries: Iterable[str]) -> dict[str, str]:
    """Missing ones are found by other rules, and a link leads to the file that counts."""
    from cdi_refreshd.host.driver_root import Tree  # noqa: PLC0415 - few specs name libraries

    tree, machine = Tree("/"), procfs.machine()
    files = {path: tree.library(path) for path in libraries if tree.is_file(path)}
    # What this user may not read, the users who start containers may.
    found = {path: file.flaw(machine) for path, file in files.items() if not file.trouble}
    return {path: flaw for path, flaw in found.items() if flaw}


def hook_programs(subjects: Iterable[Subject]) -> dict[str, HookProgram]:
    """A spec may name any file: one that others than root can write is not executed."""
    paths = {path for of in subjects for path in hook_rules.programs(of)}
    asked = (hook_program.asked(path) for path in sorted(paths) if program_output.is_roots(path))
    return {program.path: program for program in asked if program.runs}


def library_version(directories: Iterable[str]) -> str:
    """Version of the driver library that a program on this host gets, from its file name."""
    directories = tuple(directories)
    for name in LIBRARIES:
        target = path_entries.library_target(directories, name)
        version = target.rpartition(".so.")[2]
        if VERSION.fullmatch(version):
            return version
    return ""


def procfs_of(function: PciFunction) -> str:
    """The driver's directory of a GPU. A container that was not given the GPU may see its function, and not this."""
    return f"{procfs.GPUS}/{function.address}"


def bound_gpu(function: PciFunction) -> BoundGpu:
    """A sleeping GPU is not even asked for its minor: reading that may wake it."""
    if function.suspended:
        return BoundGpu(function.address)
    text = procfs.optional_text(f"{procfs_of(function)}/information")
    minor = gpu_minor(text)
    model = next((line.partition(":")[2].strip() for line in text.splitlines() if line.startswith("Model:")), "")
    return BoundGpu(function.address, -1 if minor is None else minor, model)


def platform() -> str:
    """For hosts whose GPU has no PCI function."""
    if os.path.exists(DXG):
        stores = (f"{WSL_STORES}/{name}/{WSL_CUDA}" for name in path_entries.names(WSL_STORES))
        return WSL if any(map(os.path.exists, (*WSL_DRIVER, *stores))) else ""
    from cdi_refreshd.host.driver_root import Tree  # noqa: PLC0415 - hosts without a PCI GPU come here alone
    from cdi_refreshd.probe.platforms import is_tegra  # noqa: PLC0415

    return TEGRA if is_tegra(Tree("/")) else ""


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
