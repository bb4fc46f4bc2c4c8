"""Containers of all container runtimes, with NVIDIA's toolkit and without, across reloads of systemd and of the driver.

With it a spec has hooks that make links and the loader's cache; without, it has mounts in their place.
"""

import contextlib
import functools
import itertools
import json
import shutil
import time
from pathlib import Path

from . import owner, runtimes, spec
from .daemon import systemctl
from .keeper import LOOP, Keeper
from .scenario import debian, expect, scenario, seconds_after, seconds_until

in_own_machine = functools.partial(scenario, machine="containers")

HOOK = Path("/usr/bin/nvidia-cdi-hook")
ASIDE = Path("/root/nvidia-cdi-hook")
DEVICE = "nvidia.com/gpu"
SHELL = ("/bin/busybox", "sh", "-c")
LIBRARIES = ("libcuda.so.1", "libnvidia-ml.so.1")
OWN = ("/dev/nvidia0", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-modeset")
OTHER = "/dev/nvidia1"
LOAD = f"/bin/loads {' '.join((*LIBRARIES, *OWN, OTHER))}"
ASK = f"exec >/diary/tries 2>&1; {LOAD}; (: <{OWN[0]}) && echo opened; echo ended"
FOUND = [*(f"loaded {name}" for name in LIBRARIES), *(f"there {path}" for path in OWN), f"no {OTHER}", "opened"]
READY_S, RELOADS_S, ALL_S, CHECK_S = 300.0, 180.0, 180.0, 40.0
CONTAINER_S = 60.0
"""In software, a container of Docker takes ten seconds to start."""
PROGRAMS = ("podman", "dockerd", "containerd")
BUILD = ("runtime-note", "podman")
"""`podman build` before 5.5 reads one of the two directories."""
FOLLOWED_S = 5.0
"""Container runtimes read the new spec in the same moment, on the same two processors."""
count = itertools.count()


def here():
    return [runtime for runtime in runtimes.EVERY if debian() in runtime.debian]


def diary(name):
    folder = Path("/run/diaries") / name
    folder.mkdir(parents=True)
    (folder / "tries").touch()
    return folder


@contextlib.contextmanager
def started(runtime, device, words):
    """The diary of such a container, while it is there."""
    name = f"one-{next(count)}"
    folder = diary(name)
    runtime.start(name, device, folder, words)
    try:
        yield folder / "tries"
    finally:
        runtime.remove(name)
        shutil.rmtree(folder)


def said(runtime, device):
    """What a container reports of its libraries and nodes, from its start to its end."""
    with started(runtime, device, (*SHELL, ASK)) as tries:
        ends = f"a container of {runtime.name} does not end"
        seconds_until(
            lambda: tries.read_text().endswith("ended\n"), lambda: f"{ends}: {tries.read_text()}", CONTAINER_S
        )
        return tries.read_text().splitlines()[:-1]


def finds_cuda(runtime):
    """Seconds that a new container of GPU 0 takes to load CUDA, to open its GPU and to be gone."""
    began = time.monotonic()
    lines = said(runtime, f"{DEVICE}=0")
    found = [line.partition(" from ")[0] for line in lines if line != "started"]
    expect(found == FOUND, f"a container of {runtime.name} says {'; '.join(lines)}")
    return time.monotonic() - began


def hooks():
    """Everything that the spec has, for all devices together."""
    edits = [document.get("containerEdits") or {} for document in spec.ours()]
    edits += [device["containerEdits"] for document in spec.ours() for device in document["devices"]]
    return [hook for one in edits for hook in one.get("hooks") or []]


def has_hooks():
    return spec.lists("0", "1")() and bool(hooks())


def has_none():
    return spec.lists("0", "1")() and not hooks()


def unread():
    """What check reports of container runtimes that read no spec: the rule and the runtime."""
    for program in PROGRAMS:  # not in the page cache, they take longer than check waits for their versions
        owner.do(program, "--version")
    found = json.loads(owner.do("cdi-refreshd", "check", "--json", check=False))["findings"]
    return sorted((one["rule"], one["place"].split()[0]) for one in found if one["rule"] in ("runtime", "runtime-note"))


@in_own_machine(limit_s=CHECK_S)
def the_driver_is_loaded():
    owner.do("modprobe", "gpubus")
    return spec.takes(owner.load, "0", "1")


@in_own_machine(limit_s=CHECK_S, debian=(13,))
def check_reports_that_docker_and_containerd_have_cdi_turned_off():
    """As Debian configures them. Without a kubelet nobody uses this containerd, so it is a note."""
    began = time.monotonic()
    found = unread()
    expect(found == [("runtime", "Docker"), ("runtime-note", "containerd"), BUILD], f"check says {found}")
    return time.monotonic() - began


@in_own_machine(limit_s=READY_S)
def container_runtimes_start_and_load_an_image():
    began = time.monotonic()
    for runtime in here():
        runtime.ready()
    expect(has_hooks(), "the toolkit is there, and the spec has no hooks")
    without = said(here()[0], "")
    expect("loaded libcuda.so.1" not in "".join(without), f"without a GPU there is CUDA: {without}")
    return time.monotonic() - began


@in_own_machine(limit_s=CHECK_S, debian=(13,))
def check_finds_nothing_wrong_with_them():
    began = time.monotonic()
    found = unread()
    expect(found == [BUILD], f"check says {found}")
    return time.monotonic() - began


def declare(name, play, **options):
    def named():
        return play()

    named.__name__ = name
    in_own_machine(**options)(named)


def across_daemon_reloads():
    """Seconds of ten of them, with a container of each runtime that opens its GPU all the time."""
    with contextlib.ExitStack() as stack:
        keepers = []
        for runtime in here():
            words = (*SHELL, f"exec >>/diary/tries{LOOP}")
            keepers.append(Keeper(runtime.name, stack.enter_context(started(runtime, f"{DEVICE}=all", words))))
        have_kept_their_gpu(keepers, "from the start")
        began = time.monotonic()
        for times in range(1, 11):
            systemctl("daemon-reload")
            have_kept_their_gpu(keepers, f"{times} times systemctl daemon-reload")
        took_s = time.monotonic() - began
    for runtime in here():
        finds_cuda(runtime)
    return took_s


def have_kept_their_gpu(keepers, through):
    """All of them, at the same time."""
    for keeper, since in [(keeper, len(keeper.tries())) for keeper in keepers]:
        keeper.has_kept_its_gpu(through, since)


def across_a_driver_reload(expected):
    """Seconds that the slowest runtime takes to start a container afterwards."""
    owner.unload()
    spec.recovers()
    owner.load()
    spec.recovers("0", "1")
    expect(expected(), "the spec is of the other kind")
    return max(finds_cuda(runtime) for runtime in here())


def every(kind, expected):
    for runtime in runtimes.EVERY:
        name = f"{runtime.name}_starts_a_container_that_finds_cuda_by_{kind}"
        declare(name, lambda runtime=runtime: finds_cuda(runtime), limit_s=CONTAINER_S, debian=runtime.debian)
    name = f"containers_keep_their_gpu_across_ten_daemon_reloads_by_{kind}"
    declare(name, across_daemon_reloads, limit_s=RELOADS_S)
    name = f"new_containers_find_cuda_after_the_driver_was_reloaded_by_{kind}"
    declare(name, lambda: across_a_driver_reload(expected), limit_s=CONTAINER_S)


every("hooks", has_hooks)


@in_own_machine(limit_s=FOLLOWED_S)
def without_the_toolkit_the_spec_does_without_hooks():
    return seconds_after(lambda: shutil.move(HOOK, ASIDE), has_none, lambda: f"it has {len(hooks())} hooks")


every("mounts", has_none)


@in_own_machine(limit_s=FOLLOWED_S)
def with_the_toolkit_again_the_spec_has_hooks():
    return seconds_after(lambda: shutil.move(ASIDE, HOOK), has_hooks, "it has no hooks")


@in_own_machine(limit_s=ALL_S)
def containers_of_all_runtimes_find_cuda_with_the_toolkit_again():
    began = time.monotonic()
    for runtime in here():
        finds_cuda(runtime)
    runtimes.stop()
    return time.monotonic() - began
