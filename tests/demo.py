"""What `make run` shows: cdi-refreshd at work on this host's GPUs, or else in a made-up machine."""

import functools
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from tests.behaviour.daemon.running import Running
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
  make test                           all tests
  README.md                           what it does and how to install it
  .venv/bin/cdi-refreshd              its commands
  .venv/bin/python -m tests.machine   run any command in a made-up GPU machine, as root: HACKING.md has an example"""


def say(text):
    print(f"\n# {text}", flush=True)


class Show:
    """Runs commands as in a shell; remembers whether each ended as expected."""

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
    say("Probe the machine once and publish what a container needs of it.")
    show("cdi-refreshd oneshot")
    show(f"head -n 24 {SPEC}")
    say("What podman, Docker, containerd and CRI-O find there.")
    show("cdi-refreshd list")
    say("A spec can be checked against the specification, anybody's.")
    show(f"cdi-refreshd validate {SPEC}")
    say("Nothing has changed: the file is not touched.")
    show("cdi-refreshd oneshot")
    follow(machine, show)
    say("All GPUs gone: CDI forbids a spec without devices, so the file goes, too.")
    machine.become(CASE | {"gpus": []})
    show("cdi-refreshd oneshot")
    show(f"ls {SPEC}", expected=2)
    return show.surprises


def follow(machine, show):
    """The daemon runs and the machine changes; prints how long the spec took to follow."""
    say("Now the daemon, as systemd would start it. The machine changes; the spec follows.")
    whole = CASE["gpus"]
    daemon = Running(machine, config="[daemon]\nmig-poll = 200ms\n")
    try:
        daemon.until_notified("READY=1")
        print(
            f"\n$ cdi-refreshd run &\n  {' '.join(line for line in daemon.notified if line.startswith('STATUS=ready'))}"
        )
        for what, gpus, names in (
            ("a GPU goes", whole[:1], {"0"}),
            ("it comes back, with one MIG slice", [whole[0], {**whole[1], "mig": [[1, 0]]}], {"0", "1:0"}),
            (
                "two more slices are cut",
                [whole[0], {**whole[1], "mig": [[1, 0], [2, 0], [3, 0]]}],
                {"0", "1:0", "1:1", "1:2"},
            ),
            ("MIG mode is turned off", [whole[0], {"drm": [2, 129]}], {"0", "1"}),
        ):
            timed(what, lambda gpus=gpus: machine.become(CASE | {"gpus": gpus}), daemon, names)
        timed("something deletes the spec", machine.path(SPEC).unlink, daemon, {"0", "1"})
        timed("something truncates it", lambda: os.truncate(machine.path(SPEC), 100), daemon, {"0", "1"})
        show("cdi-refreshd status")
        print("\n  The journal meanwhile:")
        print("\n".join(f"    {line[3:]}" for line in daemon.journal().splitlines()))
    finally:
        daemon.stop()


def timed(what, act, daemon, names):
    start = time.monotonic()
    act()
    daemon.until_devices(*names)
    print(f"  {what:<36} the spec has {', '.join(sorted(names)):<20} after {(time.monotonic() - start) * 1000:4.0f} ms")


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
            hint = "" if root else ". Type: sudo make run"
            print(f"This host has no NVIDIA driver, and {why}{hint}", file=sys.stderr)
            return 1
    print(NEXT)
    return min(surprises, 1)


if __name__ == "__main__":
    sys.exit(main())
