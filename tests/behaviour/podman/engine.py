"""podman in a made-up machine, with a runtime by name, on a root file system that stands there as a directory."""

import subprocess

STORAGE = ["--root", "/run/storage", "--runroot", "/run/podman", "--storage-driver", "vfs"]
OPTIONS = ["--cgroup-manager", "cgroupfs", "--events-backend", "none"]
RUN = ["run", "--rm", "--network", "none", "--log-driver", "none"]
# podman lets only crun do without cgroups. runc has no such mode, and asks for no more of them than any kernel has.
CGROUPS = {
    "crun": ["--cgroups", "disabled"],
    "runc": ["--cgroups", "no-conmon", "--pids-limit", "0", "--ulimit", "host"],
}
RUNTIMES = tuple(CGROUPS)


def prepare(machine) -> None:
    """The machine's cgroups can be written: runc makes one for each container, and takes it away."""
    machine.run(["mount", "-o", "remount,rw", "/sys/fs/cgroup"])


def podman(machine, runtime, device, rootfs, command, options=(), prefix=(), storage=STORAGE):
    """The finished process. `device` is a full CDI name, "" for none; `prefix` goes before podman."""
    gpu = ["--device", device] if device else []
    words = ["podman", *storage, *OPTIONS, "--runtime", runtime, *RUN, *CGROUPS[runtime], *gpu, *options]
    return machine.run([*prefix, *words, "--rootfs", rootfs, *command], stderr=subprocess.STDOUT)
