"""What the kernel and NVIDIA's modules tell in procfs and sysfs. Nothing here wakes a GPU."""

import os

from cdi_refreshd.core.nvidia import driver_texts

MIG_MINORS = "/proc/driver/nvidia-caps/mig-minors"
CAPABILITIES = "/proc/driver/nvidia/capabilities"


def text(path: str) -> str | None:
    """A small kernel file; None where it is not there or does not answer."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(1 << 20)
    except OSError:
        return None


def module_version() -> str:
    """Of the loaded nvidia module, "" where none is loaded."""
    said = text("/proc/driver/nvidia/version")
    return (driver_texts.module_version(said) if said else "") or (text("/sys/module/nvidia/version") or "").strip()


def module_loaded() -> bool:
    return os.path.exists("/proc/driver/nvidia/version") or os.path.isdir("/sys/module/nvidia")


def module_present(name: str) -> bool:
    """Whether a module is loaded, by its name in sysfs (with underscores)."""
    return os.path.isdir(f"/sys/module/{name}")


def capability_minor(gpu_minor: int, gi: int, ci: int | None = None) -> int | None:
    """The minor of a MIG access node as the driver's own directory tells it."""
    inner = "" if ci is None else f"/ci{ci}"
    said = text(f"{CAPABILITIES}/gpu{gpu_minor}/mig/gi{gi}{inner}/access")
    return None if said is None else driver_texts.device_file_minor(said)


def no_new_privileges() -> bool:
    """Whether setuid programs have lost their power for this process."""
    return "\nNoNewPrivs:\t1\n" in (text("/proc/self/status") or "")


def firmware_path() -> str:
    """The directory that the administrator gave the firmware loader, "" for none."""
    return (text("/sys/module/firmware_class/parameters/path") or "").strip()


def release() -> str:
    return os.uname().release


def machine() -> str:
    return os.uname().machine


def mig_instances() -> tuple[str, ...]:
    """Paths below the driver's capabilities directory of all GPU and compute instances, sorted. Wakes nothing."""
    found = []
    for directory, names, _ in os.walk(CAPABILITIES):
        found += [f"{directory[len(CAPABILITIES) :]}/{name}" for name in names]
    return tuple(sorted(found))
