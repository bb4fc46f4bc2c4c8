"""What the administrator of a GPU host does to it."""

import contextlib
import os
import subprocess
from pathlib import Path

from .scenario import Wrong

MODULES = ("nvidia", "nvidia-uvm", "nvidia-modeset")
PCI = Path("/sys/bus/pci")
MASK = Path("/sys/module/nvidia/parameters/mig")
SCRIPT = Path("/run/fake-nvml")
PROC = Path("/proc/driver/nvidia")
CAPS = Path("/dev/nvidia-caps")


def do(*command, limit_s=60, check=True):
    """The output of a command. One that hangs is given up, since it may hang in the kernel."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        said, _ = process.communicate(timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise Wrong(f"{' '.join(command)} hangs") from None
    if check and process.returncode:
        raise Wrong(f"{' '.join(command)} ended with {process.returncode}: {said.strip()[-300:]}")
    return said


def put(value, path):
    """Writes a value into a file of the kernel, which may take long, or for ever."""
    do("sh", "-c", 'echo "$1" >"$2"', "put", str(value), str(path), limit_s=20)


def address(gpu):
    return f"0001:00:{gpu:02x}.0"


def remove(gpu):
    put(1, PCI / "devices" / address(gpu) / "remove")


def rescan():
    put(1, PCI / "rescan")


def unbind(gpu):
    put(address(gpu), PCI / "drivers/nvidia/unbind")


def bind(gpu):
    put(address(gpu), PCI / "drivers/nvidia/bind")


def load():
    for module in MODULES:
        do("modprobe", module)
    make_nodes()


def unload():
    do("rmmod", *reversed(MODULES))
    remove_nodes()


def cut(mask):
    """Divides GPU 0 into the MIG instances of this mask; 0 ends MIG mode."""
    put(mask, MASK)
    for node in CAPS.glob("nvidia-cap*"):
        if node.name not in ("nvidia-cap1", "nvidia-cap2"):
            node.unlink()
    make_nodes()


def majors():
    """Major numbers of character devices by name."""
    lines = Path("/proc/devices").read_text().partition("\n\n")[0].splitlines()[1:]
    return {name: int(number) for number, name in map(str.split, lines)}


def field(path, name):
    lines = (line.partition(":") for line in path.read_text().splitlines())
    return next(int(value) for key, _, value in lines if key == name)


def make_nodes():
    """Makes the device nodes, as nvidia-modprobe does by the udev rules of distributions."""
    known = majors()
    node("/dev/nvidiactl", 195, 255)
    for information in PROC.glob("gpus/*/information"):
        minor = field(information, "Device Minor")
        node(f"/dev/nvidia{minor}", 195, minor)
    if "nvidia-uvm" in known:
        node("/dev/nvidia-uvm", known["nvidia-uvm"], 0)
        node("/dev/nvidia-uvm-tools", known["nvidia-uvm"], 1)
    if "nvidia-modeset" in known:
        node("/dev/nvidia-modeset", 195, 254)
    CAPS.mkdir(exist_ok=True)
    for capability in (PROC / "capabilities").rglob("*"):
        if capability.is_file():
            minor = field(capability, "DeviceFileMinor")
            node(f"{CAPS}/nvidia-cap{minor}", known["nvidia-caps"], minor, field(capability, "DeviceFileMode"))


def node(path, major, minor, mode=0o666):
    with contextlib.suppress(FileExistsError):
        os.mknod(path, 0o020000, os.makedev(major, minor))
        os.chmod(path, mode)


def remove_nodes():
    for path in (*CAPS.glob("*"), *Path("/dev").glob("nvidia*")):
        if not path.is_dir():
            path.unlink()


@contextlib.contextmanager
def scripted(*lines):
    """The stand-in NVML obeys these rules for a while."""
    SCRIPT.write_text("".join(f"{line}\n" for line in lines))
    try:
        yield
    finally:
        SCRIPT.unlink()
