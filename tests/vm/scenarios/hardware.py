"""GPUs, driver and spec come, go and change."""

import os
import shutil
import socket
import time
from pathlib import Path

from . import owner, spec
from .scenario import expect, scenario, seconds_after, seconds_until

CONTROL = {"/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools", "/dev/nvidia-modeset"}
PERSISTENCED = Path("/run/nvidia-persistenced/socket")
MIG_LIMIT_S = 5.0
LEAVING_LIMIT_S = 4.0
"""When nvidia-persistenced stops, the driver may go, too: no probe begins for two seconds."""
LIBRARIES = Path("/usr/lib/x86_64-linux-gnu")
OLD, NEW, UPGRADE = "580.95.05", "580.99.02", "/usr/lib/upgrade"


@scenario
def driver_loaded():
    return spec.takes(owner.load, "0", "1")


@scenario
def control_nodes_listed():
    return seconds_until(lambda: spec.control() >= CONTROL, lambda: f"it lists {sorted(spec.control())}")


@scenario
def gpu_removed():
    return spec.takes(lambda: owner.remove(1), "0")


@scenario
def gpu_rescanned():
    return spec.takes(owner.rescan, "0", "1")


@scenario
def gpu_unbound():
    return spec.takes(lambda: owner.unbind(1), "0")


@scenario
def gpu_bound():
    return spec.takes(lambda: owner.bind(1), "0", "1")


@scenario(limit_s=MIG_LIMIT_S)
def mig_created():
    return spec.takes(lambda: owner.cut(0b0110), "0:0", "0:1", "1")


@scenario(limit_s=MIG_LIMIT_S)
def mig_changed():
    return spec.takes(lambda: owner.cut(0b0010), "0:0", "1")


@scenario(limit_s=MIG_LIMIT_S)
def mig_destroyed():
    return spec.takes(lambda: owner.cut(0), "0", "1")


@scenario
def spec_deleted():
    spec.path().unlink()
    return spec.recovers("0", "1")


@scenario
def spec_truncated():
    spec.path().write_text("cdiVersion: 0.5.0\nkind: nv")
    return spec.recovers("0", "1")


@scenario
def spec_tampered():
    good = spec.text()
    spec.path().write_text(good.replace("/dev/nvidia1", "/dev/sda"))
    return seconds_until(lambda: spec.text() == good, "the spec is not what it was")


@scenario
def directory_wiped():
    shutil.rmtree(spec.DIRECTORY)
    return spec.recovers("0", "1")


@scenario
def socket_appeared():
    def bind():
        PERSISTENCED.parent.mkdir(exist_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(PERSISTENCED))

    return seconds_after(bind, lambda: str(PERSISTENCED) in spec.text(), f"{PERSISTENCED} is not mounted")


@scenario(limit_s=LEAVING_LIMIT_S)
def socket_left():
    return seconds_after(PERSISTENCED.unlink, lambda: str(PERSISTENCED) not in spec.text(), "it is still mounted")


@scenario
def node_left_and_came_late():
    node = "/dev/nvidia-modeset"
    left = seconds_after(lambda: os.unlink(node), lambda: node not in spec.control(), f"{node} is still listed")
    return max(left, seconds_after(owner.make_nodes, lambda: node in spec.control(), f"{node} is not listed"))


@scenario
def last_gpu_removed():
    def remove_all():
        owner.remove(0)
        owner.remove(1)

    left = spec.takes(remove_all)
    expect(not spec.documents(), "a spec without devices stands there, which CDI forbids")
    return max(left, spec.takes(owner.rescan, "0", "1"))


@scenario
def driver_unloaded():
    left = spec.takes(owner.unload)
    expect(not spec.documents(), "a spec without devices stands there, which CDI forbids")
    return left


@scenario
def driver_reloaded():
    return spec.takes(owner.load, "0", "1")


@scenario
def driver_unloaded_by_hand_while_nvml_is_slow():
    """Module after module, as administrators do it: a probe between two would hold the last one for seconds."""
    with owner.scripted("hang nvmlDeviceGetCount_v2 3"):
        for module in reversed(owner.MODULES):
            owner.do("rmmod", module)
            time.sleep(0.7)
        owner.remove_nodes()
        left = spec.recovers()
    owner.load()
    spec.recovers("0", "1")
    return left


@scenario(limit_s=20.0)
def driver_unloaded_while_the_daemon_is_held():
    """After nodes went, which makes the daemon probe at once, while probes take long."""
    with owner.scripted("hang nvmlDeviceGetCount_v2 3"):
        took_s = -time.monotonic()
        owner.do("cdi-refreshd", "hold", "120")
        took_s += time.monotonic()
        os.unlink("/dev/nvidia-modeset")
        for module in reversed(owner.MODULES):
            time.sleep(1.5)
            owner.do("rmmod", module)
        owner.remove_nodes()
        expect(spec.lists("0", "1")(), "the spec did not stay")
        owner.do("cdi-refreshd", "refresh", check=False)
        expect(not spec.documents(), "the spec stayed")
    owner.load()
    spec.recovers("0", "1")
    return took_s


@scenario
def libraries_came_late():
    """The module is there long before its libraries: in a GPU operator's driver container by minutes."""
    owner.unload()
    library = LIBRARIES / f"libnvidia-ml.so.{OLD}"
    aside = library.with_name("aside")
    library.rename(aside)
    seconds_until(spec.lists(), spec.now)
    owner.load()
    time.sleep(3)
    expect(not spec.documents(), "there is a spec without libraries")

    def install():
        aside.rename(library)
        owner.do("ldconfig")

    return spec.takes(install, "0", "1")


@scenario
def driver_upgraded():
    """The files first, and the module some seconds later, as a package manager and an administrator do it."""
    upgrade_files()
    time.sleep(5)
    owner.unload()
    time.sleep(2)
    owner.load()
    good = f"libcuda.so.{NEW}"

    def upgraded():
        text = spec.text()
        return spec.lists("0", "1")() and good in text and OLD not in text

    return seconds_until(upgraded, lambda: f"the spec names {good}: {good in spec.text()}; of the old: {of_old()}")


def of_old():
    return [line.strip() for line in spec.text().splitlines() if OLD in line][:3]


def upgrade_files():
    """The new package's files replace the old one's; then those that it does not have are deleted."""
    owner.do("cp", "-a", f"{UPGRADE}/.", "/")
    for folder in ("/usr/lib/x86_64-linux-gnu", "/usr/lib/xorg", "/usr/lib/firmware/nvidia", "/usr/share/nvidia"):
        for path in sorted(Path(folder).rglob(f"*{OLD}*")):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
    owner.do("ldconfig")
    owner.do("depmod")
