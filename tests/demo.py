"""What `make run` shows: cdi-refreshd at work on this host's GPUs, or else in a made-up machine."""

import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.machine import CannotBoot, booted

BIN = str(Path(sys.executable).parent)
SPEC = "/var/run/cdi/nvidia.yaml"
CASE = {
    "gpus": [
        {"drm": [1, 128]},
        {"drm": [2, 129], "mig": [[1, 0], [2, 0]]},
    ],
    "sockets": ["/run/nvidia-persistenced/socket"],
    "path_bins": ["/usr/bin/nvidia-cdi-hook"],
}
MADE_UP = """\
This is a MADE-UP MACHINE, because this host has no NVIDIA driver: two GPUs, one of them cut into two MIG slices.
Its driver files, /dev, /proc and /sys are stand-ins, the program is the real one, and nothing reaches this host."""
NEXT = """
Where to go next:
  make test                    all tests
  README.md                    what it does and how to install it
  .venv/bin/cdi-refreshd       its verbs
  python -m tests.machine      run any command in a made-up GPU machine (tests/machine/__init__.py)"""


def say(text):
    print(f"\n# {text}", flush=True)


class Show:
    """Types commands in a shell; remembers whether each ended as it should."""

    def __init__(self, run):
        self.run, self.surprises = run, 0

    def __call__(self, line, expected=0):
        """A command as it would be typed, what it prints, and its exit status."""
        print(f"\n$ {line}", flush=True)
        done = self.run(["sh", "-c", line], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        print(done.stdout.rstrip("\n"), f"[exit status {done.returncode}]", sep="\n" * bool(done.stdout), flush=True)
        if done.returncode != expected:
            self.surprises += 1
            print(f"[that should have been {expected}]", flush=True)


def real_host():
    """This host has the driver: what would be published, and what runtimes find now."""
    environment = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
    show = Show(functools.partial(subprocess.run, check=False, env=environment))
    say("What the spec of this host is. Nothing is written; the GPUs are asked through NVML.")
    show("cdi-refreshd generate | head -n 40")
    if os.geteuid() == 0:
        say(f"You are root, so publish it, twice: this writes {SPEC} once.")
        show("cdi-refreshd oneshot")
        show("cdi-refreshd oneshot")
    else:
        say(f"You are not root, so nothing is published: `sudo make run` writes {SPEC}, too.")
    say("The devices that container runtimes find on this host now.")
    show("cdi-refreshd list")
    return show.surprises


def made_up_machine(machine):
    show = Show(functools.partial(machine.run, env={"PATH": f"{BIN}:/usr/sbin:/usr/bin:/sbin:/bin"}))
    say("Look at the machine once and publish what a container needs of it.")
    show("cdi-refreshd oneshot")
    show(f"head -n 24 {SPEC}")
    say("What podman, Docker, containerd and CRI-O find there.")
    show("cdi-refreshd list")
    say("A spec can be checked against the specification, anybody's.")
    show(f"cdi-refreshd validate {SPEC}")
    say("Nothing has changed: the file is not touched.")
    show("cdi-refreshd oneshot")
    say("Now the GPU with the MIG slices falls off the bus.")
    machine.become(CASE | {"gpus": CASE["gpus"][:1]})
    show("cdi-refreshd oneshot")
    show("cdi-refreshd list")
    say("And the last one goes. CDI forbids a spec without devices, so the file goes, too.")
    machine.become(CASE | {"gpus": []})
    show("cdi-refreshd oneshot")
    show(f"ls {SPEC}", expected=2)
    return show.surprises


def may_become_root():
    return subprocess.run(["sudo", "-n", "true"], check=False, capture_output=True).returncode == 0


def main():
    root = os.geteuid() == 0
    if Path("/proc/driver/nvidia/version").exists():
        print("This host has the NVIDIA driver: this is the real thing.")
        surprises = real_host()
    elif not root and shutil.which("sudo") and may_become_root():
        os.execvp("sudo", ["sudo", "-n", sys.executable, "-m", "tests.demo"])
    else:
        try:
            with booted(CASE) as machine:
                print(MADE_UP)
                surprises = made_up_machine(machine)
        except CannotBoot as why:
            cure = "" if root else ". Type: sudo make run"
            print(f"This host has no NVIDIA driver, and {why}{cure}", file=sys.stderr)
            return 1
    print(NEXT)
    return min(surprises, 1)


if __name__ == "__main__":
    sys.exit(main())
