"""What containers lack because of the hook program that is there: the spec says nothing that it does not know."""

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.config.generate_options import HOOKS, Choices
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia import hook_program
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import Inventory

LOST = {
    "create-symlinks": ("degraded", "libraries lack the names that programs look for"),
    "update-ldcache": ("degraded", "the loader does not find the libraries"),
    "enable-cuda-compat": ("degraded", "images for a newer CUDA than the driver's do not use their compat libraries"),
    "chmod": ("degraded", "/dev/dri keeps the mode that the runtime gives it"),
    "update-application-profile": ("info", "with several GPUs EGL may list one that cannot be opened"),
    "disable-device-node-modification": ("info", "the driver may try to make device nodes, in vain"),
}
"""Hook -> how grave its absence is, and why."""


def findings(inventory: Inventory, choices: Choices, spec: Spec) -> tuple[Finding, ...]:
    """At most one, for all hooks that a current program would be called for and the one that is there does not know."""
    program = inventory.hook
    if all(hook_program.knows(program, hook) for hook in HOOKS) and hook_program.takes_cuda_flags(program):
        return ()
    try:
        full = build(inventory._replace(hook=HookProgram(program.path, program.runs)), choices)
    except Fault:
        return ()
    lacks = [hook for hook in called(full) if hook not in called(spec)]
    return (finding(program, lacks),) if lacks else ()


def called(spec: Spec) -> list[str]:
    """The hooks of a spec by their names, in the order of their first calls."""
    edits = (spec.container_edits, *(device.container_edits for device in spec.devices))
    hooks = (hook for each in edits for hook in each.hooks)
    return list(dict.fromkeys(hook_program.called(hook.path, hook.args) for hook in hooks))


def finding(program: HookProgram, lacks: list[str]) -> Finding:
    what = f"version {program.version}" if program.version else "the program there"
    lost = ", ".join(LOST[hook][1] for hook in lacks)
    grave = any(LOST[hook][0] == "degraded" for hook in lacks)
    fact = f"{what} does not know {' and '.join(lacks)}, so the spec does without: {lost}"
    return Finding("degraded" if grave else "info", program.path, fact, "update NVIDIA's container toolkit to 1.20")
