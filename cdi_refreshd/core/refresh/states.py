"""The states of a host, what each means for the published spec, and its exit status."""

from collections.abc import Iterable
from typing import NamedTuple

from cdi_refreshd.core.cdi.model import Spec
from cdi_refreshd.core.cdi.validate import validate
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import SEVERITIES, Fault, Finding, UsageFault, alike, together
from cdi_refreshd.core.nvidia.build import left_out
from cdi_refreshd.core.nvidia.build.edits import below
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.csv_files import GPU_NODE
from cdi_refreshd.core.nvidia.driver_paths import essential_libraries
from cdi_refreshd.core.nvidia.driver_texts import SEE_LOG, flaw, not_found
from cdi_refreshd.core.nvidia.inventory import Driver, Inventory, Presence
from cdi_refreshd.core.refresh.recalled import Recalled

EXIT_STATUS = {
    "no-gpu": 0,
    "waiting-driver": 3,
    "waiting-userspace": 3,
    "driver-mismatch": 4,
    "ready": 0,
    "degraded": 0,
    "failed": 1,
}
DEGRADED = 5
USAGE = 2

PUBLISH, KEEP, KEEP_WHILE_VALID, WITHDRAW = "publish", "keep", "keep-while-valid", "withdraw"
"""What happens to the spec. `keep-while-valid`: it is kept until a path that it names is gone."""

RETRIED = ("failed", "waiting-userspace")
"""States whose end makes no event: the host is probed again, at growing intervals."""
SWEPT = ("degraded", "driver-mismatch", "waiting-driver")
"""States that events end, if all goes well: the host is also probed again at each slow sweep."""
SETTLED = ("no-gpu", "ready", "degraded", "driver-mismatch")
"""States that do not change by waiting."""

NVML_DRIVER_NOT_LOADED, NVML_LIBRARY_NOT_FOUND, NVML_MISMATCH = 9, 12, 18
LOAD = f"modprobe nvidia, else {SEE_LOG}"
GIVEN_AWAY = "nothing to do if that is intended, else bind them to the nvidia driver"
GPU_MODES = ("nvml", "csv", "wsl")


NOTHING_RECALLED = Recalled()


class Verdict(NamedTuple):
    state: str
    reason: str
    """One sentence for the reader, without a full stop."""
    action: str
    """What happens to the spec: PUBLISH, KEEP, WITHDRAW, and in a draft KEEP_WHILE_VALID."""
    spec: Spec | None = None
    findings: tuple[Finding, ...] = ()
    in_reason: tuple[Finding, ...] = ()
    """Those that the reason has already."""
    usage: bool = False
    """Something requested does not exist: exit status 2."""
    fingerprint: str = ""
    """The fingerprint of the probe, "" if no GPU may sleep."""
    seen: Inventory | None = None
    """The inventory that was judged; None if there was no probe."""
    summary: str = ""
    """The reason without findings."""
    recalled: Recalled = NOTHING_RECALLED
    """What to remember of it, if a fingerprint bounds its validity."""


class Facts(NamedTuple):
    """What a verdict depends on besides the probe: the host, the spec that stands, and other specs."""

    findings: tuple[Finding, ...] = ()
    """Where the host contradicts the drafted spec."""
    refusal: Fault | None = None
    """Why the drafted spec should not be published."""
    stands: bool = False
    """There is a spec now."""
    useless: Finding | None = None
    """Why no container could start with the published spec."""
    obstacle: Finding | None = None
    """What is at the spec's path and is not a spec."""
    conflicts: tuple[Finding, ...] = ()
    """What other specs do to this one."""
    missing: Finding | None = None
    """GPUs that the host should have are not there."""


def exit_status(state: str, findings: Iterable[Finding] = (), strict: bool = False) -> int:
    """A degraded state with a fatal finding is not a success: containers would not start or not find their GPU."""
    if state == "degraded" and (strict or any(finding.severity == "fatal" for finding in findings)):
        return DEGRADED
    return EXIT_STATUS.get(state, EXIT_STATUS["failed"])


def is_settled(verdict: Verdict) -> bool:
    """Whether the boot may continue at once, because waiting would not change the state."""
    return verdict.state in SETTLED or is_given_away(verdict)


def is_given_away(verdict: Verdict) -> bool:
    """Every GPU has another driver, vfio-pci or nouveau: waiting would not bring the NVIDIA driver."""
    functions = verdict.seen.presence.functions if verdict.seen else ()
    taken = bool(functions) and all(function.driver not in ("", "nvidia") for function in functions)
    return verdict.state == "waiting-driver" and taken


def failed(fault: Fault) -> Verdict:
    return Verdict("failed", str(fault), KEEP, None, (fault.finding,), (fault.finding,), isinstance(fault, UsageFault))


def draft(
    inventory: Inventory,
    choices: Choices,
    gated: bool = False,
    on_mismatch: str = KEEP_WHILE_VALID,
    recalled: Recalled = NOTHING_RECALLED,
) -> Verdict:
    """A draft from the probe alone. `complete` makes a verdict of it.

    `gated`: absence is decided from sysfs and procfs, as the daemon and the oneshot do; else by NVML.
    `on_mismatch` is the configured action for a driver whose module and libraries differ. `recalled`: of
    the pass whose fingerprint the probe was given.
    """
    if inventory.unchanged:
        return _unchanged(inventory, recalled)
    made = _draft(inventory, choices, gated)._replace(seen=inventory)
    return made._replace(action=on_mismatch) if made.state in ("driver-mismatch", "waiting-userspace") else made


def complete(made: Verdict, facts: Facts) -> Verdict:
    """The verdict with everything considered. Nothing changes it after this."""
    if facts.missing:
        made = _without_all(made, facts.missing)
    if made.action == PUBLISH:
        if facts.refusal:
            return _with(failed(facts.refusal), (*made.findings, *facts.findings))._replace(seen=made.seen)
        made = weighed(made, facts.findings)
        made = made._replace(recalled=Recalled(made.state, made.reason, made.findings, made.in_reason))
    elif made.action == KEEP_WHILE_VALID:
        # Not part of the reason, which stays the same while the state lasts: this happens once.
        made = _with(made, (facts.useless,) if facts.useless else ())
        made = made._replace(action=WITHDRAW if facts.useless else KEEP)
    if facts.obstacle and made.action != PUBLISH:  # else publishing says so
        made = _with(made, (facts.obstacle,))
    stands = made.action == PUBLISH or (made.action == KEEP and facts.stands)
    return weighed(made, facts.conflicts) if stands else made


def _without_all(made: Verdict, missing: Finding) -> Verdict:
    """A host that should have GPUs and has none is degraded; its spec is withdrawn all the same."""
    if made.state != "no-gpu":
        return weighed(made, (missing,))
    return _with(made, (missing,))._replace(state="failed", reason=f"{made.reason}; {missing}", in_reason=(missing,))


def _with(made: Verdict, findings: Iterable[Finding]) -> Verdict:
    fresh = dict.fromkeys(one for one in findings if one not in made.findings)
    return made._replace(findings=(*made.findings, *fresh))


def weighed(made: Verdict, findings: Iterable[Finding]) -> Verdict:
    """The verdict with more findings. The reason has the first of the most severe ones, and how many more there are."""
    made = _with(made, findings)
    severe = [finding for finding in made.findings if finding.severity != "info"]
    severe.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    if made.state not in ("ready", "degraded") or not severe or severe[0] in made.in_reason:
        return made
    more = f" (and {len(severe) - 1} more)" if len(severe) > 1 else ""
    reason = f"{made.summary or made.reason}; {severe[0]}{more}"
    return made._replace(state="degraded", reason=reason, in_reason=(severe[0],))


def _unchanged(inventory: Inventory, recalled: Recalled) -> Verdict:
    asleep = [function.address for function in inventory.presence.functions if function.suspended]
    why = f"nothing changed, and {', '.join(asleep)} sleeps"
    reason = f"{recalled.reason}; {why}" if recalled.reason else why
    return Verdict(recalled.state or "ready", reason, KEEP, findings=recalled.findings, in_reason=recalled.in_reason)


def _draft(inventory: Inventory, choices: Choices, gated: bool) -> Verdict:
    early = (absence(inventory.presence) if gated else None) if inventory.mode == "nvml" else None
    early = early or (nvml_trouble(inventory) if inventory.mode == "nvml" else None)
    early = early or (csv_trouble(inventory, choices) if inventory.mode == "csv" else None)
    if early:
        return early._replace(findings=inventory.findings)
    try:
        spec = build(inventory, choices)
    except Fault as fault:
        return failed(fault)._replace(findings=(fault.finding, *inventory.findings))
    if not spec.devices:
        return nothing_to_describe(inventory)._replace(findings=inventory.findings)
    invalid = validate(spec)
    if invalid:
        return Verdict(
            "failed", f"the spec would not be valid: {invalid[0]}", KEEP, None, tuple(invalid), tuple(invalid[:1])
        )
    what, found = summary(inventory, spec), (*inventory.findings, *left_out.findings(inventory, choices, spec))
    return Verdict("ready", what, PUBLISH, spec, found, fingerprint=inventory.fingerprint, summary=what)


def absence(seen: Presence) -> Verdict | None:
    """The verdict that sysfs and procfs alone decide; None if NVML must be asked."""
    if not seen.sysfs:
        return Verdict("failed", "/sys is not readable, so nothing can be said about GPUs; mount it", KEEP)
    if seen.unreadable:
        return Verdict("failed", f"{seen.unreadable}, so nothing can be said about GPUs", KEEP)
    if seen.wsl or seen.tegra:
        return None
    if _has_no_gpu(seen):
        return Verdict("no-gpu", "no NVIDIA GPU", WITHDRAW)
    where = ", ".join(f"{f.address} ({f.driver or 'no driver'})" for f in seen.functions[:4])
    where += f" and {len(seen.functions) - 4} more" if len(seen.functions) > 4 else ""
    # Where another driver has them all, somebody may want it so.
    free = any(not function.driver for function in seen.functions)
    if not seen.module_loaded:
        hint = LOAD if free else GIVEN_AWAY
        return Verdict("waiting-driver", f"the nvidia module is not loaded; GPUs: {where}; {hint}", WITHDRAW)
    if all(function.driver != "nvidia" for function in seen.functions):
        hint = SEE_LOG if free else GIVEN_AWAY
        return Verdict("waiting-driver", f"no GPU is bound to the nvidia driver; GPUs: {where}; {hint}", WITHDRAW)
    return None


def _has_no_gpu(seen: Presence) -> bool:
    return seen.sysfs and not (seen.unreadable or seen.wsl or seen.tegra or seen.functions)


def nvml_trouble(inventory: Inventory) -> Verdict | None:
    nvml, driver, seen = inventory.nvml, inventory.driver, inventory.presence
    module = seen.module_version or "unknown"
    if nvml.code == NVML_MISMATCH:
        return mismatch(module, f"the libraries are {driver.files_version or 'unknown'}")
    if nvml.code in (0, NVML_LIBRARY_NOT_FOUND) and (trouble := library_trouble(driver)):
        return trouble
    if nvml.code == 0:
        return None
    if nvml.code == NVML_LIBRARY_NOT_FOUND:
        there = f"version {driver.files_version} is there; run ldconfig" if driver.files_version else ""
        kernel = f"module {module}" if seen.module_loaded else "the nvidia module is not loaded"
        kernel += ", there is no NVIDIA GPU" if _has_no_gpu(seen) else ""
        reason = f"libnvidia-ml.so.1 cannot be opened, {kernel}; {there or not_found(driver.search)}"
        return Verdict("waiting-userspace", reason, KEEP_WHILE_VALID)
    if nvml.code == NVML_DRIVER_NOT_LOADED:
        more = f", module {module}; {SEE_LOG}" if seen.module_loaded else f"; {LOAD}"
        reason = f"NVML says that the driver is not loaded{more}"
        return Verdict("waiting-driver", reason, KEEP)
    return Verdict("failed", f"NVML failed: {nvml.message}; {SEE_LOG}", KEEP)


def library_trouble(driver: Driver) -> Verdict | None:
    """What keeps CUDA from starting in a container that gets these libraries; None if nothing does."""
    essential = essential_libraries(driver.version)
    for library in driver.libraries:
        if library.flaw and library.path.rpartition("/")[2].startswith(tuple(f"{name}.so." for name in essential)):
            found = flaw(library)
            return Verdict("waiting-userspace", str(found), KEEP_WHILE_VALID, in_reason=(found,))
    if driver.version and driver.files_version and not driver.library_dirs:
        return mismatch(driver.version, f"the libraries are {driver.files_version}")
    if driver.missing and driver.files_version:
        names = ", ".join(name.partition(".so.")[0] for name in driver.missing)
        return mismatch(driver.version, f"{names} of the libraries is {driver.files_version}: an unfinished upgrade")
    if driver.missing or (driver.version and not driver.library_dirs):
        what = f"there is no {', '.join(driver.missing)}" if driver.library_dirs else "no driver library"
        what += "" if driver.library_dirs else f" of version {driver.version}"
        return Verdict("waiting-userspace", f"{what}; {not_found(driver.search)}", KEEP_WHILE_VALID)
    return None


def csv_trouble(inventory: Inventory, choices: Choices) -> Verdict | None:
    """The GPU's driver makes its nodes some seconds after the boot, and a list may be another model's."""
    found = (*inventory.tegra.nodes, *(node for gpu in inventory.gpus for node in gpu.nodes))
    if any(GPU_NODE.fullmatch(below(choices.dev_root, node.path)) for node in found):
        return None
    if found and not inventory.tegra.names_gpu:
        return None  # nothing is missing that could still appear: the spec has what the files name
    reason = f"none of the GPU's device nodes that {', '.join(choices.csv_files)} name is there"
    return Verdict("waiting-driver", reason, KEEP_WHILE_VALID)


def mismatch(module: str, libraries: str) -> Verdict:
    reason = f"the loaded nvidia module is {module}, {libraries}; reboot, or reload the module"
    return Verdict("driver-mismatch", reason, KEEP_WHILE_VALID)


def nothing_to_describe(inventory: Inventory) -> Verdict:
    severe = [finding for finding in inventory.findings if finding.severity != "info"]
    left_out = any(finding.left_out for finding in severe)
    if any(gpu.mig_enabled for gpu in inventory.gpus) and not left_out:
        return Verdict("ready", "MIG mode is on and there is no MIG device: nothing to publish", WITHDRAW)
    if severe:
        return Verdict("failed", f"no GPU can be used: {together(severe)}", KEEP, in_reason=alike(severe))
    bound = [function.address for function in inventory.presence.functions if function.driver == "nvidia"]
    if bound:
        reason = (
            f"NVML lists no GPU, and {', '.join(bound[:4])} {'has' if len(bound) == 1 else 'have'} the nvidia driver"
        )
        return Verdict("failed", f"{reason}; {SEE_LOG}", KEEP)
    return Verdict("failed", "NVML lists no GPU; lspci -d 10de: lists those on the bus", KEEP)


def summary(inventory: Inventory, spec: Spec) -> str:
    if inventory.mode not in GPU_MODES:
        return f"{inventory.mode} mode, {counted(len(spec.devices), 'device')}"
    whole = sum(not gpu.mig_enabled for gpu in inventory.gpus)
    whole = whole if inventory.mode == "nvml" else whole or 1
    parts = [counted(whole, "GPU")] if whole else []
    parts += [counted(len(inventory.migs), "MIG device")] if inventory.migs else []
    parts += [f"driver {inventory.driver.version}"] if inventory.driver.version else []
    return ", ".join(parts)


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
