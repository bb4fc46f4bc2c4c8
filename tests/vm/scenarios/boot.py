"""A machine that has booted without a GPU, and gets one."""

import time

from . import daemon, owner, spec
from .daemon import UNIT, systemctl
from .scenario import expect, scenario

NOTICE = 5
SLOW_S = 20.0


@scenario(limit_s=SLOW_S)
def installed_without_a_gpu_it_is_up_and_quiet():
    """The package has enabled and started it; here it is started again, to measure the time."""
    expect(systemctl("is-enabled", UNIT, check=False) == "enabled", "the package has not enabled it")
    expect(daemon.is_up(), "the package has not started it")
    started = time.monotonic()
    systemctl("restart", UNIT)
    took_s = time.monotonic() - started
    expect(daemon.state() == "no-gpu", f"the state is {daemon.state()}")
    expect(not spec.documents(), "there is a spec")
    expect(systemctl("is-system-running", check=False) == "running", systemctl("--failed"))
    before = daemon.passes()
    time.sleep(5)
    expect(daemon.passes() == before, "it probes again and again")
    loud = [text for priority, text in daemon.journal() if priority <= NOTICE]
    expect(not loud, f"the journal says {loud}")
    return took_s


@scenario
def gpus_without_a_driver_are_waited_for():
    owner.do("modprobe", "gpubus")
    return daemon.becomes("waiting-driver")
