"""The daemon as a service: it starts, stops, hangs and is killed, and the spec stays up to date."""

import contextlib
import os
import signal
import time
from pathlib import Path

from . import daemon, keeper, owner, spec
from .daemon import UNIT, systemctl
from .scenario import Wrong, debian, expect, scenario, seconds_until

# Commands that start an interpreter or a container runtime: that takes seconds without hardware virtualisation.
SLOW_S = 20.0


def unchanged(act):
    """Does something during which the spec must stay the same file. Seconds that it took."""
    before, started = spec.inode(), time.monotonic()
    act()
    took_s = time.monotonic() - started
    expect(spec.inode() == before, "the spec was written again")
    return took_s


@scenario(limit_s=SLOW_S)
def stop_keeps_the_spec():
    took_s = unchanged(lambda: systemctl("stop", UNIT))
    expect(daemon.shown("Result") == "success", f"systemd says {daemon.shown('Result')}")
    return took_s


@scenario(limit_s=SLOW_S)
def start_leaves_a_true_spec_alone():
    return unchanged(lambda: systemctl("start", UNIT))


@scenario(limit_s=SLOW_S)
def restart_keeps_the_spec():
    return unchanged(lambda: systemctl("restart", UNIT))


@scenario(limit_s=SLOW_S)
def reload_returns_after_a_probe():
    before = daemon.passes()
    took_s = unchanged(lambda: systemctl("reload", UNIT))
    expect(daemon.passes() > before, "there was no probe")
    expect(daemon.is_up(), f"afterwards it is {daemon.shown('ActiveState')}")
    return took_s


@scenario
def it_follows_after_udevd_was_restarted():
    systemctl("restart", "systemd-udevd")
    took_s = spec.takes(lambda: owner.remove(1), "0")
    return max(took_s, spec.takes(owner.rescan, "0", "1"))


# While events keep coming, a probe may wait for five seconds.
@scenario(limit_s=6.5)
def a_storm_of_events_costs_few_looks():
    before, inode = daemon.passes(), spec.inode()
    for _ in range(20):
        owner.do("udevadm", "trigger", "--action=change", "--subsystem-match=pci", "--subsystem-match=module")
    owner.do("udevadm", "settle")
    owner.remove(1)
    took_s = spec.recovers("0")
    expect(daemon.passes() - before <= 8, f"{daemon.passes() - before} probes")
    expect(spec.inode() != inode, "the removal was not seen")
    owner.rescan()
    spec.recovers("0", "1")
    return took_s


@scenario(limit_s=SLOW_S)
def killed_it_comes_back_and_follows():
    before = daemon.pid()
    inode = spec.inode()
    os.kill(before, signal.SIGKILL)
    owner.remove(1)  # while there are no probes
    took_s = seconds_until(spec.lists("0"), spec.now)
    expect(daemon.pid() not in (0, before), "the same process")
    expect(spec.inode() != inode, "the same spec")
    owner.rescan()
    spec.recovers("0", "1")
    return took_s


@scenario(limit_s=SLOW_S)
def a_gpu_that_fails_does_not_take_the_other_along():
    with owner.scripted("fail nvmlDeviceGetUUID 15 1"):
        systemctl("reload", UNIT)
        took_s = spec.recovers("0")
        daemon.becomes("degraded")
    systemctl("reload", UNIT)
    return max(took_s, spec.recovers("0", "1"))


@scenario(limit_s=SLOW_S)
def nvml_that_fails_takes_no_spec_away():
    inode = spec.inode()
    with owner.scripted("fail nvmlInit_v2 999"):
        systemctl("reload", UNIT, check=False)
        daemon.becomes("failed")
        expect(spec.inode() == inode, "the spec is another one")
    return daemon.becomes("ready")


@scenario(limit_s=SLOW_S)
def a_child_that_hangs_in_nvml_hinders_nobody():
    """The probe is given up after the configured time; what happened meanwhile is seen then."""
    inode = spec.inode()
    with configured("[daemon]\nprobe-timeout = 3\n"):
        with owner.scripted("hang nvmlDeviceGetCount_v2 600"):
            before = daemon.failures()
            systemctl("reload", UNIT, "--no-block")
            seconds_until(lambda: daemon.failures() > before, "the child was not given up")
            expect(spec.inode() == inode, "the spec is another one")
            expect(daemon.is_up(), "the daemon is not up")
        owner.remove(1)
        took_s = spec.recovers("0")
        owner.rescan()
        spec.recovers("0", "1")
    return took_s


WORST = Path("/dev/nvml-worst")
ALLOWED = {12: ("write /dev/nvml", "fork nobody", "signal parent"), 13: ("write /dev/nvml", "fork nobody")}
"""It needs devices; only Linux 6.12 can keep it from sending signals, which Debian 12 does not have."""


@scenario(limit_s=SLOW_S)
def nvml_at_its_worst_changes_nothing_and_hinders_nobody():
    """Writes below /run and elsewhere, systemd's sockets, signals, a process that stays: see tests/machine/nvml.c."""
    inode, started = spec.inode(), time.monotonic()
    with owner.scripted(f"worst {WORST}"):
        systemctl("reload", UNIT)
    took_s = time.monotonic() - started
    found = dict(line.rsplit(" ", 1) for line in WORST.read_text().splitlines())
    done = [what for what, how in found.items() if how == "done" and what not in ALLOWED[debian()]]
    expect(found.get("fork nobody") == "done" and not done, f"it could {', '.join(done)} (of {found})")
    expect(spec.inode() == inode, "the spec is another one")
    expect(daemon.state() == "degraded", f"the state is {daemon.state()}")
    # Other specs are still checked, in a child.
    seconds_until(lambda: shown_tasks() == 1, lambda: f"{shown_tasks()} tasks are left of the service")
    for path in (WORST, Path("/dev/nvml")):
        path.unlink(missing_ok=True)
    systemctl("reload", UNIT)
    return max(took_s, daemon.becomes("ready"))


def shown_tasks():
    return int(daemon.shown("TasksCurrent"))


@contextlib.contextmanager
def configured(text):
    """A drop-in file of the administrator."""
    file = Path("/etc/cdi-refreshd/cdi-refreshd.conf.d/50-test.conf")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    try:
        systemctl("reload", UNIT)
        yield
    finally:
        file.unlink()
        systemctl("reload", UNIT, check=False)


@scenario(limit_s=SLOW_S)
def containers_of_crun_keep_their_gpu_across_ten_daemon_reloads():
    return across_daemon_reloads("crun")


@scenario(limit_s=SLOW_S)
def containers_of_runc_keep_their_gpu_across_ten_daemon_reloads():
    expect(links(), "there are no links in /dev/char")
    return across_daemon_reloads("runc")


@scenario(limit_s=SLOW_S, debian=(12,))
def without_links_in_dev_char_those_of_runc_lose_it():
    """What the links in /dev/char are for: runc before 1.1.7 passes systemd no device without one."""
    with configured("[host]\ndev-char-links = no\n"):
        for link in links():
            link.unlink()
        with keeper.running("runc") as container:
            systemctl("daemon-reload")
            container.tries_again()
            expect(container.refusals(), "it has kept it: the links are for nothing here")
        expect(not links(), "there are links, although none are wanted")
    return seconds_until(links, "there are no links in /dev/char")


def across_daemon_reloads(runtime):
    """Seconds that a new container takes afterwards."""
    with keeper.running(runtime) as container:
        for count in range(1, 11):
            systemctl("daemon-reload")
            container.has_kept_its_gpu(f"{count} times systemctl daemon-reload")
        return keeper.another(runtime)


def links():
    """Of the GPUs and of nvidiactl, whose major number is always the same."""
    return list(Path("/dev/char").glob("195:*"))


@scenario(limit_s=SLOW_S)
def systemd_finds_nothing_wrong_with_the_units():
    started = time.monotonic()
    # This guest has no man pages.
    units = (UNIT, "cdi-refreshd-oneshot.service", "cdi-refreshd@further.service")
    said = owner.do("systemd-analyze", "verify", "--man=no", *units)
    expect(not said, said)
    return time.monotonic() - started


@scenario(limit_s=SLOW_S)
def the_daemon_holds_no_device_and_maps_no_library():
    daemon.holds_nothing_of_nvidias()
    return 0.0


@scenario(limit_s=SLOW_S)
def the_journal_is_fit_to_be_read():
    """After all scenarios: no traceback, and no line that a terminal would wrap three times."""
    ugly = [text for _, text in daemon.journal() if "Traceback" in text or len(text) > 600]
    if ugly:
        raise Wrong("; ".join(ugly[:3]))
    return 0.0
