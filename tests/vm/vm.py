"""One boot of the virtual machine: a folder goes in, `run` in it is run as root, and what it did comes out."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from .image import Image

MEMORY_MIB, PROCESSORS = 2048, 2
OUT_AT_MOST = "64M"
STATUS = "exit status "


class Ended(NamedTuple):
    """A job that has ended, with or without success."""

    status: int
    log: str
    """What it wrote to stdout and stderr."""
    wall_s: float


class Lost(Exception):
    """The machine died before the job was done. That says nothing about what was tested."""


def run(job: Path, out: Path, limit_s: float, made_of: Image, append: str = "") -> Ended:
    """Boots and does the job; again where the machine was lost. `append` is added to the kernel's command line."""
    try:
        return boot(made_of, job, out, limit_s, append)
    except Lost as lost:
        print(f"LOST THE VIRTUAL MACHINE, trying once more: {lost}", file=sys.stderr, flush=True)
    return boot(made_of, job, out, limit_s, append)


def accelerator() -> str:
    """/dev/kvm may be there and writable on a processor without virtualisation, so its flags are read."""
    chosen = os.environ.get("VM_ACCEL")
    if chosen:
        return chosen
    words = set(Path("/proc/cpuinfo").read_text().split())
    return "kvm" if {"vmx", "svm"} & words and os.access("/dev/kvm", os.R_OK | os.W_OK) else "tcg"


def boot(made_of: Image, job: Path, out: Path, limit_s: float, append: str) -> Ended:
    with tempfile.TemporaryDirectory(prefix="vm-", dir="/var/tmp") as name:
        work = Path(name)
        subprocess.run(["tar", "-C", job, "-cf", work / "job", "."], check=True)
        subprocess.run(["truncate", "--size=%1M", work / "job"], check=True)
        subprocess.run(["truncate", f"--size={OUT_AT_MOST}", work / "out"], check=True)
        started = time.monotonic()
        ending = emulated(made_of, work, limit_s, append)
        wall_s = time.monotonic() - started
        out.mkdir(parents=True, exist_ok=True)
        for kept in ("console", "log"):
            shutil.copy(work / kept, out / kept)
        log, marker, status = (out / "log").read_text(errors="replace").rpartition(STATUS)
        if not marker:
            console = (out / "console").read_text(errors="replace").strip()[-800:]
            raise Lost(f"{ending} after {wall_s:.0f} s. Its last words:\n{log[-800:]}{status[-800:]}\n{console}")
        subprocess.run(["tar", "-C", out, "-xf", work / "out"], check=True)
        return Ended(int(status), log, wall_s)


def emulated(made_of, work, limit_s, append):
    """How it ended, in words."""
    accel = {"tcg": "tcg,thread=multi"}.get(accelerator(), accelerator())
    command = ["qemu-system-x86_64", "-accel", accel, "-cpu", "max", "-machine", "q35", "-nodefaults", "-no-reboot"]
    command += ["-m", str(MEMORY_MIB), "-smp", str(PROCESSORS), "-display", "none", "-nic", "none"]
    command += ["-kernel", made_of.kernel, "-initrd", made_of.initrd]
    command += ["-append", f"console=ttyS0 root=/dev/vda rw quiet {append}"]
    command += ["-serial", f"file:{work}/console", "-serial", f"file:{work}/log"]
    for file, more in ((made_of.disk, ",snapshot=on"), (work / "job", ""), (work / "out", "")):
        command += ["-drive", f"file={file},if=virtio,format=raw{more}"]
    for name in ("console", "log"):
        (work / name).touch()
    try:
        # snapshot=on writes to TMPDIR, and /tmp may be memory.
        environment = os.environ | {"TMPDIR": str(work)}
        pipe, both = subprocess.PIPE, subprocess.STDOUT
        done = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, stdout=pipe, stderr=both, timeout=limit_s, env=environment
        )
    except subprocess.TimeoutExpired:
        return f"did not end within {limit_s:g} s"
    return f"qemu ended with {done.returncode}: {done.stdout.decode(errors='replace').strip()[-300:]}"
