"""Parsers for texts of NVIDIA's drivers: procfs files, versions, GPU names."""

import re
from collections.abc import Iterable

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.nvidia.inventory import Library, Search

CAPABILITY = r"(config|monitor|gpu\d+/gi\d+/access|gpu\d+/gi\d+/ci\d+/access) (\d{1,7})"
REINSTALL = "install the driver's libraries again"
SEE_LOG = "see dmesg for NVRM lines"
VERSION = re.compile(r"\d{1,9}(?:\.\d{1,9})+", re.ASCII)


def module_version(text: str) -> str:
    """From /proc/driver/nvidia/version, whose first line has the module and its version; "" if there is none."""
    line = next((line for line in text.splitlines() if line.startswith("NVRM")), "")
    found = VERSION.search(line)
    return found.group() if found else ""


def mig_minors(text: str) -> tuple[dict[str, int], list[str]]:
    """/proc/driver/nvidia-caps/mig-minors: the minor of each capability, and the lines that could not be parsed.

    Keys are such as `gpu0/gi1/access` and `gpu0/gi1/ci0/access`; N of gpuN is the GPU's minor number.
    """
    minors, odd = {}, []
    for line in text.splitlines():
        found = re.fullmatch(CAPABILITY, line, re.ASCII)
        if found:
            minors[found[1]] = int(found[2])
        else:
            odd.append(line)
    return minors, odd


def device_file_minor(text: str) -> int | None:
    """From /proc/driver/nvidia/capabilities/.../access."""
    found = re.search(r"^DeviceFileMinor:\s*(\d{1,7})\s*$", text, re.MULTILINE | re.ASCII)
    return int(found[1]) if found else None


def gpu_uuid(text: str) -> str:
    """From /proc/driver/nvidia/gpus/ADDRESS/information, like all below; "" if the module does not know it yet."""
    found = re.search(r"^GPU UUID:\s*(GPU-[0-9A-Za-z_.-]+)\s*$", text, re.MULTILINE | re.ASCII)
    return found[1] if found else ""


def gpu_minor(text: str) -> int | None:
    found = re.search(r"^Device Minor:\s*(\d{1,7})\s*$", text, re.MULTILINE | re.ASCII)
    return int(found[1]) if found else None


def gpu_excluded(text: str) -> bool:
    """By the module's parameter NVreg_ExcludedGpus, which has another name in older modules."""
    return re.search(r"^GPU (?:Excluded|Blacklisted):\s*Yes\s*$", text, re.MULTILINE | re.ASCII) is not None


def highest_version(words: Iterable[str]) -> str:
    """Compared by numbers: 99.1 before 550.1.2 before 580.95.05. "" if no word is a version."""
    versions = filter(VERSION.fullmatch, words)
    return max(versions, key=lambda version: tuple(map(int, version.split("."))), default="")


def not_found(search: Search) -> str:
    """Where libraries were searched in vain, and how to have them found: they may well be installed."""
    cache = f"{search.cache}, which {search.cache_trouble}" if search.cache_trouble else search.cache
    places = [*search.directories, cache] if cache else list(search.directories)
    looked = f"looked in {' and '.join(filter(None, (', '.join(places[:-1]), places[-1])))}; " if places else ""
    return f"{looked}install the driver's libraries, run ldconfig, or give --library-search-path"


def flaw(library: Library) -> Finding:
    """Of a library that has one."""
    return Finding("degraded", library.path, library.flaw, REINSTALL)


def integrated_name(name: str) -> bool:
    """Whether NVML's name for a GPU is one of a Tegra's own."""
    return "(nvgpu)" in name or "NVIDIA Thor" in name
