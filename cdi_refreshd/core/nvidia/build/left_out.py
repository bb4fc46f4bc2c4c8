"""What containers lack because the hook program is too old or missing."""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import HOOKS
from cdi_refreshd.core.findings import Fault, Finding
from cdi_refreshd.core.nvidia import hook_program
from cdi_refreshd.core.nvidia.build import hookless
from cdi_refreshd.core.nvidia.build.hooks import Hooks
from cdi_refreshd.core.nvidia.build.spec import LINKS, build, links
from cdi_refreshd.core.nvidia.driver_paths import HOOK
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
"""Hook -> the severity of its absence, and why."""
NAMED_AT_MOST = 3
OF_MODE = {
    "nvml": ("enable-cuda-compat", "disable-device-node-modification", "update-application-profile", "chmod"),
    "management": ("enable-cuda-compat",),
    "csv": ("enable-cuda-compat",),
    "wsl": (),
}
"""The hooks of each mode that mounts cannot replace."""


def findings(inventory: Inventory, choices: Choices, spec: Spec) -> tuple[Finding, ...]:
    """At most one for all hooks that a current program would be called for, and one for links that lead nowhere."""
    program = inventory.hook
    without = Hooks(choices, program).none
    if without and inventory.mode in LINKS:
        return tuple(_without_hooks(inventory, choices, spec))
    if all(hook_program.knows(program, hook) for hook in HOOKS) and hook_program.takes_cuda_flags(program):
        return ()
    lacks = [hook for hook in wanted(inventory, choices) if hook not in called(spec)]
    return (unknown(program, lacks),) if lacks else ()


def called(spec: Spec) -> list[str]:
    """The names of a spec's hooks, in the order of their first calls."""
    edits = (spec.container_edits, *(device.container_edits for device in spec.devices))
    hooks = (hook for each in edits for hook in each.hooks)
    return list(dict.fromkeys(hook_program.called(hook.path, hook.args) for hook in hooks))


def wanted(inventory: Inventory, choices: Choices) -> list[str]:
    """The hooks that the spec would have with a current program."""
    current = HookProgram(inventory.hook.path, True)
    try:
        return called(build(inventory._replace(hook=current), choices._replace(hooks="nvidia")))
    except Fault:
        return []


def is_wanted(hook: str, inventory: Inventory, choices: Choices) -> bool:
    """Whether the spec would have it with a current program."""
    if inventory.mode == "csv" and not inventory.tegra.nvml_works:
        return False
    return Hooks(choices._replace(hooks="nvidia"), HookProgram(inventory.hook.path, True)).wanted(hook)


def unknown(program: HookProgram, lacks: list[str]) -> Finding:
    what = f"version {program.version}" if program.version else "the program there"
    severe = any(LOST[hook][0] == "degraded" for hook in lacks)
    those = "it" if len(lacks) == 1 else "them"
    fact = f"{what} does not know {' and '.join(lacks)}, so the spec does not call {those}: {_lost(lacks)}"
    return Finding("degraded" if severe else "info", program.path, fact, "update NVIDIA's container toolkit to 1.20")


def _without_hooks(inventory: Inventory, choices: Choices, spec: Spec) -> Iterator[Finding]:
    """Only worth knowing, unless the configuration names a program that cannot be executed, or asks for a hook."""
    lacks = [hook for hook in OF_MODE[inventory.mode] if is_wanted(hook, inventory, choices)]
    place, fact = inventory.hook.path, "cannot be executed, so the spec has no hooks"
    if choices.hooks == "none":
        place, fact = "hooks = none", "the spec has no hooks"
    lost = f": {_lost(lacks)}" if lacks else ""
    named = choices.hooks == "auto" and choices.hook_path not in ("", HOOK)
    asked = any(hook in choices.enabled_hooks for hook in lacks)
    hint = "see SPECS WITHOUT HOOKS in cdi-refreshd(8)"
    yield Finding("degraded" if named or asked else "info", place, fact + lost, hint)
    missing = hookless.without_end(spec.container_edits, links(inventory, choices))
    if missing:
        more = f" and {len(missing) - NAMED_AT_MOST} more" if len(missing) > NAMED_AT_MOST else ""
        fact = f"leads to no file that the spec mounts, so it is left out{more}"
        yield Finding("info", ", ".join(missing[:NAMED_AT_MOST]), fact)


def _lost(hooks: list[str]) -> str:
    return ", ".join(LOST[hook][1] for hook in hooks)
