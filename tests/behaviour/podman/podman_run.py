"""podman in a made-up machine, with a named OCI runtime, on a root file system in a directory."""

import os
import subprocess

from tests.machine.machine import CLEAN
from tests.machine.namespace import CLONE_NEWNS

STORAGE = ["--root", "/run/storage", "--runroot", "/run/podman", "--storage-driver", "vfs"]
OPTIONS = ["--cgroup-manager", "cgroupfs", "--events-backend", "none"]
RUN = ["run", "--rm", "--network", "none", "--log-driver", "none"]
# podman allows only crun to run without cgroups. runc gets options that need no more of them than any kernel has.
CGROUPS = {
    "crun": ["--cgroups", "disabled"],
    "runc": ["--cgroups", "no-conmon", "--pids-limit", "0", "--ulimit", "host"],
}
RUNTIMES = tuple(CGROUPS)


def prepare(machine) -> None:
    """Makes the machine's cgroups writable: runc makes one for each container, and removes it."""
    machine.run(["mount", "-o", "remount,rw", "/sys/fs/cgroup"])


def podman(machine, runtime, device, rootfs, command, options=(), prefix=(), storage=STORAGE):
    """The finished process. `device` is a full CDI name, "" for none; `prefix` goes before podman."""
    gpu = ["--device", device] if device else []
    words = ["podman", *storage, *OPTIONS, "--runtime", runtime, *RUN, *CGROUPS[runtime], *gpu, *options]
    return machine.run([*prefix, *words, "--rootfs", rootfs, *command], stderr=subprocess.STDOUT)


# The kernel allows a user namespace only outside of a chroot, and a new /proc and /sys in it only where no mount hides
# parts of the old ones; so the machine's root becomes that of a mount namespace, without those mounts.
AS_USER = """
mount --move . /
exec chroot . sh -ec '
for path in driver devices modules; do umount /proc/$path 2> /dev/null || :; done
mount -t sysfs sysfs /sys; mount -t cgroup2 cgroup /sys/fs/cgroup
mkdir -p /dev/shm; mount -t tmpfs -o mode=1777 shm /dev/shm
mount --make-rshared /
user=$1; shift
mkdir -p /run/home /run/user/$user; chown $user:$user /run/home /run/user/$user; chmod 700 /run/user/$user
exec setpriv --reuid $user --regid $user --clear-groups env HOME=/run/home XDG_RUNTIME_DIR=/run/user/$user "$@"
' sh "$@"
"""
USER = "1000"


def rootless(machine, runtime, device, rootfs, command, options=()):
    """As `podman`, by an ordinary user."""
    storage = ["--root", "/run/home/storage", "--runroot", f"/run/user/{USER}/podman", "--storage-driver", "vfs"]
    words = ["podman", *storage, *OPTIONS, "--runtime", runtime, *RUN, *CGROUPS[runtime], "--device", device, *options]
    unshare = ["unshare", "--mount", "--propagation", "private", "sh", "-ec", AS_USER, "sh", USER]
    inside = machine._inside

    def enter():
        inside._setns(inside._mounts, CLONE_NEWNS)
        os.fchdir(inside._root)

    with inside.children_inside():
        return subprocess.run(
            [*unshare, *words, "--rootfs", rootfs, *command],
            check=False,
            env=CLEAN,
            preexec_fn=enter,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        )
