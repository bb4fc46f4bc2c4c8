"""Rules about calls of NVIDIA's hook program: does the installed one know the hooks that a spec uses?

A hook that fails keeps the container from starting, whatever generated the spec.
"""

from collections.abc import Iterator

from cdi_refreshd.core.cdi.model import Hook
from cdi_refreshd.core.checks.hints import make_again
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.registry import RuleFinding, found
from cdi_refreshd.core.checks.subject import Subject, affected, items
from cdi_refreshd.core.nvidia import hook_program


def programs(of: Subject) -> set[str]:
    """Paths of NVIDIA's hook program that a spec calls."""
    paths = {hook.path for hook in items(of, "hooks")}
    return {path for path in paths if path.rpartition("/")[2] in hook_program.PROGRAMS}


def unknown_hooks(of: Subject, host: Host) -> Iterator[RuleFinding]:
    """Each hook that its program does not know, once per spec."""
    unknown: dict[tuple[str, str], list[str]] = {}
    for hook, names in items(of, "hooks").items():
        program = host.hook_programs.get(hook.path)
        if program is None:
            continue
        called = hook_program.called(hook.path, hook.args)
        if called and not hook_program.knows(program, called) and not hook_program.tolerates(program):
            unknown.setdefault((hook.path, f"the hook {called}"), []).extend(names)
        flags = [flag for flag in hook_program.CUDA_FLAGS if any(word.startswith(flag) for word in hook.args)]
        if flags and not hook_program.takes_cuda_flags(program) and hook_program.knows(program, called):
            unknown.setdefault((hook.path, f"{flags[0]} of {called}"), []).extend(names)
    for (path, what), names in unknown.items():
        version = host.hook_programs[path].version
        does = f"{version} does" if version else "does"
        fact = f"{does} not know {what}, which the spec calls: containers with it do not start"
        hint = f"update NVIDIA's container toolkit, or {make_again(of)}"
        yield found("hook-unknown", path, fact, hint, of.file, devices=affected(of, names))


def links_on_mounts(of: Subject, _: Host) -> Iterator[RuleFinding]:
    """Links and mounts of one path, which is how a spec with hooks and one without would be mixed."""
    common, places = of.spec.container_edits, programs(of)
    both: dict[str, list[str]] = {}
    for device in of.devices:
        hooks = (*common.hooks, *device.container_edits.hooks)
        mounted = {mount.container_path for mount in (*common.mounts, *device.container_edits.mounts)}
        for path in mounted & {link for hook in hooks if hook.path in places for link in links_of(hook)}:
            both.setdefault(path, []).append(device.name)
    for path, names in sorted(both.items()):
        fact = "is a mount, and a link that a hook makes there: the hook fails, and containers do not start"
        yield found("link-on-mount", path, fact, make_again(of), of.file, devices=affected(of, names))


def links_of(hook: Hook) -> list[str]:
    """Paths in the container of the links that a call makes."""
    if hook_program.called(hook.path, hook.args) != "create-symlinks":
        return []
    pairs = (word for flag, word in zip(hook.args, hook.args[1:], strict=False) if flag == "--link")
    return [pair.partition("::")[2] for pair in pairs]


RULES = (unknown_hooks, links_on_mounts)
