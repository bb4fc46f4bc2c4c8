"""Rules about calls of NVIDIA's hook program: does the installed one know the hooks that a spec uses?

A hook that fails keeps the container from starting, whatever generated the spec.
"""

from collections.abc import Iterator

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


RULES = (unknown_hooks,)
