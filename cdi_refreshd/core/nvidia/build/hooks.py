"""Calls of NVIDIA's hook program, and which of them are wanted."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import ContainerEdits, Hook
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia import hook_program
from cdi_refreshd.core.nvidia.build.places import Places
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import Link

# Given its own environment, the hook does not inherit the container's, which the image controls (LD_PRELOAD).
ENVIRONMENT = ("NVIDIA_CTK_DEBUG=false",)
OFF_BY_DEFAULT = ("chmod",)
NEED_ARGUMENTS = ("create-symlinks", "chmod")


class Hooks(NamedTuple):
    choices: Choices
    program: HookProgram
    forced_off: tuple[str, ...] = ()
    """The hooks of each mode."""
    places: Places = Places("/")

    @property
    def none(self) -> bool:
        """The spec has no hooks: mounts replace them. Never both, since a link hook fails on a mount."""
        return self.choices.hooks == "none" or (self.choices.hooks == "auto" and not self.program.runs)

    def call(self, name: str, *arguments: str) -> tuple[Hook, ...]:
        """One hook, or none if it is disabled or would have nothing to do."""
        if not self.wanted(name):
            return ()
        if name in NEED_ARGUMENTS and not arguments and name not in self.choices.enabled_hooks:
            return ()
        words = (*hook_program.words(self.program.path), name, *arguments)
        return (Hook("createContainer", self.program.path, words, ENVIRONMENT),)

    def wanted(self, name: str) -> bool:
        """Never a hook that the installed program does not know: up to 1.17 no container would start."""
        if self.none or not hook_program.knows(self.program, name):
            return False
        if name in self.choices.enabled_hooks:
            return True
        off = (*self.choices.disabled_hooks, *self.forced_off)
        return name not in off and "all" not in off and name not in OFF_BY_DEFAULT

    def links(self, links: Iterable[Link]) -> tuple[Hook, ...]:
        if self.none:
            return ()
        pairs = dict.fromkeys(f"{link.target}::{link.path}" for link in links)
        return self.call("create-symlinks", *(word for pair in pairs for word in ("--link", pair)))

    def ldcache(self, libraries: Iterable[str]) -> tuple[Hook, ...]:
        """For the directories of paths in the container."""
        folders = () if self.none else library_folders(libraries)
        if not folders:
            return ()
        ldconfig = ("--ldconfig-path", self.choices.ldconfig_path) if self.choices.ldconfig_path else ()
        return self.call("update-ldcache", *ldconfig, *(word for path in folders for word in ("--folder", path)))


def off_mounts(edits: ContainerEdits) -> ContainerEdits:
    """The edits without links at paths of mounts, where their hook would fail.

    There are none unless libraries get another directory than the host has them in: there two of one name may meet.
    """
    mounted = {mount.container_path for mount in edits.mounts}
    hooks = (_off(mounted, hook) for hook in edits.hooks)
    return edits._replace(hooks=tuple(hook for hook in hooks if hook))


def _off(mounted: set[str], hook: Hook) -> Hook | None:
    """The call without such links; None if it had no others."""
    head = hook.args[: hook.args.index("--link")] if "--link" in hook.args else hook.args
    pairs = hook.args[len(head) + 1 :: 2]
    kept = [pair for pair in pairs if pair.partition("::")[2] not in mounted]
    if len(kept) == len(pairs):
        return hook
    return hook._replace(args=(*head, *(word for pair in kept for word in ("--link", pair)))) if kept else None


def library_folders(paths: Iterable[str]) -> list[str]:
    """Directories, in order, of the container paths whose names look like a library's."""
    found = dict.fromkeys(path.rpartition("/")[0] for path in paths if is_library(path.rpartition("/")[2]))
    return list(found)


def is_library(name: str) -> bool:
    """As the shell pattern `lib?*.so*`, where what follows the last `.so` is nothing or starts with a dot."""
    stem, found, rest = name.rpartition(".so")
    return bool(found) and stem.startswith("lib") and len(stem) > len("lib") and (not rest or rest.startswith("."))
