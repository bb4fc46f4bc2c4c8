"""A container that opens its GPU, over and over, and writes down whether it could."""

import contextlib
import time
from pathlib import Path
from typing import NamedTuple

from . import owner
from .scenario import expect, seconds_until

ROOTFS = Path("/srv/rootfs")
LOOP = """
while :; do
    if (: </dev/nvidia0) 2>/dev/null; then echo opened; else echo refused; fi
    /bin/busybox sleep 0.2
done
"""


class Keeper(NamedTuple):
    runtime: str
    diary: Path

    def tries(self):
        return self.diary.read_text().splitlines()

    def refusals(self):
        return self.tries().count("refused")

    def tries_again(self, since=None):
        """Waits until it has tried again after its `since`-th try; by default the one by now."""
        before = len(self.tries()) if since is None else since
        seconds_until(lambda: len(self.tries()) >= before + 3, f"the container of {self.runtime} does nothing any more")

    def has_kept_its_gpu(self, through="", since=None):
        """It has opened it at every try so far, and does at the next three."""
        self.tries_again(since)
        refused = self.refusals()
        expect(not refused, f"{through}: refused {refused} times of {len(self.tries())} with {self.runtime}")


@contextlib.contextmanager
def running(runtime):
    """Such a container, running, once it has opened its GPU."""
    make_rootfs()
    name = f"keeper-{runtime}"
    folder = Path("/run") / name
    folder.mkdir(exist_ok=True)
    diary = folder / "tries"
    diary.write_text("")
    words = (f"--volume={folder}:/diary", *gpus(), "/bin/busybox", "sh", "-c", f"exec >>/diary/{diary.name}{LOOP}")
    podman("run", "--detach", f"--name={name}", *words, runtime=runtime)
    try:
        keeper = Keeper(runtime, diary)
        keeper.has_kept_its_gpu("from the start")
        yield keeper
    finally:
        podman("rm", "--force", "--time=0", name, runtime=runtime)


def another(runtime):
    """Seconds that a new container takes to start, to open the other GPU and to end."""
    make_rootfs()
    started = time.monotonic()
    podman("run", "--rm", *gpus(), "/bin/busybox", "head", "-c1", "/dev/nvidia1", runtime=runtime)
    return time.monotonic() - started


def podman(command, *words, runtime):
    return owner.do("podman", "--runtime", runtime, "--cgroup-manager=systemd", command, *words)


def gpus():
    return "--network=none", "--device=nvidia.com/gpu=all", "--security-opt=seccomp=unconfined", "--rootfs", str(ROOTFS)


def make_rootfs():
    if not ROOTFS.exists():
        for name in ("bin", "dev", "proc", "sys", "run", "etc", "tmp", "usr/lib", "usr/bin"):
            (ROOTFS / name).mkdir(parents=True)
        owner.do("cp", "/bin/busybox", str(ROOTFS / "bin"))
