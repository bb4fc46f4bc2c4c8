"""The result of a boot with the package installed and container runtimes enabled: checked when the machine is up.

`python3 -m scenarios.booting NAME` prints what it saw, and then one line as a scenario does.
"""

import json
import os
import sys
import time
from typing import NamedTuple

from . import daemon, owner, spec
from .daemon import UNIT, systemctl
from .hardware import CONTROL
from .scenario import LIMIT_S, Scenario, bare_start_s, expect, seconds_until

ONESHOT = "cdi-refreshd-oneshot.service"
RUNTIMES = (
    "containerd.service",
    "docker.service",
    "podman-restart.service",
    "podman.service",
    "crio.service",
    "kubelet.service",
    "k3s.service",
)
BOOTING_S = 240.0
READY_WAIT_S = 10.0
STARTING_S = 40.0
"""However slow the machine is; the start times of the container runtimes show how slow it was in this boot."""
PROMPT_S = 3.0
LATE_S = 40.0
WARNING = 4
STARTED, PUBLISHED, KEPT = (
    "7dd361b38bcb4aa3adbcde7fc6499ea3",
    "21f4aa7f6a9a4136b946534ed56753a0",
    "3606eb5d887d4d22b958436dc4b565a9",
)
"""MESSAGE_IDs of the journal's lines."""


class Boot(NamedTuple):
    play: object
    limit_s: float
    prepare: str
    """A shell script that prepares the machine before systemd starts."""
    debian: tuple
    """The releases that play this boot."""


BOOTS = {}


def boot(*prepare, limit_s=STARTING_S, debian=(12,)):
    def declare(play):
        BOOTS[play.__name__] = Boot(play, limit_s, "\n".join(prepare), debian)
        return play

    return declare


def at_boot(*modules):
    return f"printf '%s\\n' {' '.join(modules)} >/etc/modules-load.d/gpu.conf"


HARDWARE = at_boot("gpubus")
DRIVER = at_boot("gpubus", *owner.MODULES)
QUADLET = "systemctl enable quadlet.service"
UDEV = "cp nvidia-modprobe /usr/bin && cp nvidia.rules /etc/udev/rules.d"
NO_DAEMON = f"systemctl disable {UNIT} && systemctl enable {ONESHOT}"
BROKEN_MODULE = "for file in /lib/modules/*/extra/nvidia.ko; do head -c 5000 $file >cut && cp cut $file; done"


def nvml(*rules):
    return "".join(f"echo '{rule}' >>{owner.SCRIPT}\n" for rule in rules)


# Each of these is a boot of its own. Seconds are what the product took from its start until systemd called it active.


@boot(DRIVER, QUADLET, debian=(12, 13))
def with_a_driver_the_spec_is_there_before_container_runtimes_start():
    """No device node is there but those that the daemon makes."""
    took_s = with_driver(UNIT)
    expect(daemon.state() == "ready", f"the state is {daemon.state()}")
    return took_s


@boot(HARDWARE, QUADLET, UDEV, debian=(12, 13))
def with_a_driver_that_udev_loads_the_spec_is_there_before_container_runtimes_start():
    """The driver comes piece by piece while the daemon starts, and other programs make its nodes, too."""
    took_s = with_driver(UNIT)
    daemon.becomes("ready")
    seconds_until(lambda: spec.control() >= CONTROL, lambda: f"it lists {sorted(spec.control())}")
    return took_s


@boot(debian=(12, 13))
def without_hardware_nothing_fails_and_nothing_waits():
    took_s = without_hardware(UNIT)
    expect(daemon.state() == "no-gpu", f"the state is {daemon.state()}")
    idle_s = moment(UNIT, "ActiveEnter") - first(KEPT)
    expect(idle_s < PROMPT_S, f"it knew that there is no GPU, and went on {idle_s:.1f} s later")
    verify()
    ordered = systemctl("show", "--value", "--property=After", "podman-kube@some.service").split()
    expect({UNIT, ONESHOT} <= set(ordered), f"podman-kube@ comes after {ordered}")
    return took_s


@boot(HARDWARE, limit_s=2 * LIMIT_S)
def a_late_driver_holds_the_boot_no_longer_than_configured():
    """Seconds from the driver to the spec."""
    came_up()
    held_s = moment(UNIT, "ActiveEnter") - first(STARTED)
    print(f"once it had started, it held the boot for {held_s:.2f} s")
    expect(READY_WAIT_S <= held_s + 0.5 <= READY_WAIT_S + PROMPT_S, f"it held the boot for {held_s:.1f} s")
    expect(daemon.state() == "waiting-driver", f"the state is {daemon.state()}")
    time.sleep(max(0.0, begun(UNIT) + LATE_S - time.monotonic()))
    took_s = spec.takes(owner.load, "0", "1")
    daemon.becomes("ready")
    print_journal(UNIT)
    return took_s


@boot(at_boot("gpubus", "nvidia"), BROKEN_MODULE, limit_s=READY_WAIT_S + STARTING_S)
def a_module_that_cannot_be_loaded_is_one_line():
    # systemd fails, which was configured to load it.
    came_up("systemd-modules-load.service")
    expect(daemon.state() == "waiting-driver", f"the state is {daemon.state()}")
    expect(not spec.documents(), "there is a spec")
    says_once("the nvidia module is not loaded")
    return took(UNIT)


@boot(DRIVER, nvml("fail nvmlInit_v2 999"), limit_s=READY_WAIT_S + STARTING_S)
def nvml_that_cannot_start_is_one_line():
    came_up()
    expect(daemon.state() == "failed", f"the state is {daemon.state()}")
    expect(not spec.documents(), "there is a spec")
    says_once("NVML")
    return took(UNIT)


@boot(DRIVER, nvml("fail nvmlDeviceGetUUID 15"), limit_s=READY_WAIT_S + STARTING_S)
def gpus_that_are_all_lost_are_one_line():
    came_up()
    expect(daemon.state() == "failed", f"the state is {daemon.state()}")
    expect(not spec.documents(), "there is a spec")
    says_once("GPU is lost")
    return took(UNIT)


@boot(DRIVER, QUADLET, NO_DAEMON)
def one_probe_with_a_driver_is_over_before_container_runtimes_start():
    expect(systemctl("is-active", UNIT, check=False) == "inactive", "the daemon runs")
    return with_driver(ONESHOT)


@boot(NO_DAEMON)
def one_probe_without_hardware_holds_nobody_up():
    return without_hardware(ONESHOT)


# What they have in common


def with_driver(unit):
    came_up(unit=unit)
    started = {runtime: begun(runtime) for runtime in (*RUNTIMES, "quadlet.service")}
    up, written = moment(unit, "ActiveEnter"), written_s()
    print(f"{written:8.2f} s  there was a spec first; {file_s():.2f} s is the file's time")
    critical_chains()
    early = [runtime for runtime, at in started.items() if not 0 < max(up, written) <= at]
    expect(not early, f"started before there was a spec: {early}")
    expect(spec.lists("0", "1")(), spec.now())
    expect(not loud(unit), f"the journal says {loud(unit)}")
    print(owner.do("podman", "exec", "systemd-quadlet", "/bin/busybox", "ls", "-l", "/dev"), end="")
    owner.do("podman", "exec", "systemd-quadlet", "/bin/busybox", "head", "-c1", "/dev/nvidia0")
    return promptly(unit)


def without_hardware(unit):
    came_up(unit=unit)
    critical_chains()
    early = [runtime for runtime in RUNTIMES if not 0 < moment(unit, "ActiveEnter") <= begun(runtime)]
    expect(not early, f"started before it was known that there is no GPU: {early}")
    expect(not spec.documents(), "there is a spec")
    expect(not loud(unit), f"the journal says {loud(unit)}")
    return promptly(unit)


def promptly(unit):
    """Seconds from start to active: less than containerd and dockerd take, one after the other, in the same boot."""
    ours, theirs = took(unit), took("containerd.service") + took("docker.service")
    expect(ours < theirs, f"it took {ours:.1f} s, and containerd and dockerd {theirs:.1f} s")
    return ours


def came_up(*failing, unit=UNIT):
    """The machine is up, with nothing failed but these, and everything that is enabled has started."""
    expect(os.path.exists("/run/prepared"), "it was not prepared")
    expect(systemctl("is-enabled", unit, check=False) == "enabled", f"{unit} is not enabled")
    state = systemctl("is-system-running", "--wait", check=False, limit_s=BOOTING_S)
    print_times(unit)
    print_journal(unit)
    failed = [line.split()[0] for line in systemctl("list-units", "--failed", "--plain", "--no-legend").splitlines()]
    print(f"systemd says {state}; failed: {' '.join(failed) or 'nothing'}")
    expect(sorted(failed) == sorted(failing), f"failed: {failed}")
    expect(state == ("degraded" if failing else "running"), f"systemd says {state}")
    expect(systemctl("is-active", unit, check=False) == "active", f"{unit} is not active")
    cycles = [line for line in owner.do("journalctl", "--boot").splitlines() if "ordering cycle" in line.lower()]
    expect(not cycles, f"systemd says {cycles[:3]}")
    absent = [runtime for runtime in RUNTIMES if not begun(runtime)]
    expect(not absent, f"never started: {absent}")


def moment(unit, name):
    """Seconds since the kernel started, as time.monotonic() counts them; 0 where it never was."""
    return int(systemctl("show", "--value", "--property", f"{name}TimestampMonotonic", unit) or 0) / 1e6


def begun(unit):
    return moment(unit, "InactiveExit")


def took(unit):
    return moment(unit, "ActiveEnter") - begun(unit)


def first(message):
    """When the journal got the first line with this MESSAGE_ID; 0 where there is none."""
    said = owner.do("journalctl", "--boot", "--output=json", f"MESSAGE_ID={message}").splitlines()
    return min((int(json.loads(line)["__MONOTONIC_TIMESTAMP"]) / 1e6 for line in said if line[:1] == "{"), default=0.0)


def written_s():
    """When the spec was first there: by the journal, or else by its file."""
    return first(PUBLISHED) or file_s()


def file_s():
    return os.stat(spec.path()).st_mtime - (time.time() - time.monotonic())


def print_times(unit):
    print("   begun     exec   active  unit")
    early = ("systemd-modules-load.service", "basic.target", unit)
    for one in (*early, *RUNTIMES, "quadlet.service", "multi-user.target"):
        begin, execute = begun(one), moment(one, "ExecMainStart")
        if begin:
            print(f"{begin:8.2f} {execute or begin:8.2f} {moment(one, 'ActiveEnter'):8.2f}  {one}")


def critical_chains():
    """What each unit had to wait for, down to what every service waits for."""
    for runtime in (*RUNTIMES, "multi-user.target"):
        lines = owner.do("systemd-analyze", "critical-chain", "--no-pager", runtime).splitlines()[3:]
        basic = next((at for at, line in enumerate(lines) if "basic.target" in line), len(lines))
        print(*lines[: basic + 1], sep="\n")


def print_journal(unit):
    for priority, text in daemon.journal(unit):
        print(f"journal <{priority}> {text}")


def loud(unit):
    return [text for priority, text in daemon.journal(unit) if priority <= WARNING]


def says_once(word):
    """One line of warning or above, however often the host is probed again."""
    passes = daemon.passes()
    seconds_until(lambda: daemon.passes() > passes or daemon.state() == "waiting-driver", "it gave up", 60.0)
    lines = loud(UNIT)
    expect(len(lines) == 1 and word in lines[0], f"the journal says {lines}")


def verify():
    units = (UNIT, ONESHOT, "cdi-refreshd@.service", *RUNTIMES, "quadlet.service")
    # A minimal system has no manual pages.
    said = owner.do("systemd-analyze", "verify", "--man=no", *units, check=False)
    print(f"systemd-analyze verify: {said or 'nothing to say'}")
    ours = [line for line in said.splitlines() if "cdi-refreshd" in line or "cycle" in line.lower()]
    expect(not ours, "\n".join(ours))


if __name__ == "__main__":
    name = sys.argv[1]
    Scenario(name, BOOTS[name].play, BOOTS[name].limit_s).report(bare_start_s())
