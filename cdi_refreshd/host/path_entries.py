"""What is at paths, by lstat and stat only: nothing is opened, so no GPU wakes and no driver is held."""

import os
import stat
from collections.abc import Iterable

from cdi_refreshd.core.entries import BLOCK, CHARACTER, DIRECTORY, FIFO, FILE, LINK, NOTHING, SOCKET, UNKNOWN, Entry
from cdi_refreshd.core.read_errors import ABSENT

KINDS = {
    stat.S_IFCHR: CHARACTER,
    stat.S_IFBLK: BLOCK,
    stat.S_IFIFO: FIFO,
    stat.S_IFREG: FILE,
    stat.S_IFDIR: DIRECTORY,
    stat.S_IFSOCK: SOCKET,
}


def entries(paths: Iterable[str]) -> dict[str, Entry]:
    return {path: entry(path) for path in paths}


def entry(path: str) -> Entry:
    try:
        seen = os.lstat(path)
    except (OSError, ValueError) as error:
        kind = NOTHING if isinstance(error, ValueError) or error.errno in ABSENT else UNKNOWN
        return Entry(kind, kind)
    owner = seen.st_uid
    kind = KINDS.get(stat.S_IFMT(seen.st_mode), LINK)
    real = kind
    if kind == LINK:
        try:
            seen = os.stat(path)
        except OSError as error:
            return Entry(LINK, NOTHING if error.errno in ABSENT else UNKNOWN)
        real = KINDS.get(stat.S_IFMT(seen.st_mode), UNKNOWN)
    device = seen.st_rdev
    return Entry(kind, real, os.major(device), os.minor(device), stat.S_IMODE(seen.st_mode), seen.st_gid, owner)


def registered_drivers() -> str:
    """/proc/devices, "" where it cannot be read."""
    try:
        with open("/proc/devices", encoding="utf-8", errors="replace") as file:
            return file.read(1 << 16)
    except OSError:
        return ""


def nvidia_loaded() -> bool:
    return os.path.exists("/proc/driver/nvidia/version")


def known_to_sysfs(kind: str, major: int, minor: int) -> bool:
    return os.path.lexists(f"/sys/dev/{'block' if kind == BLOCK else 'char'}/{major}:{minor}")


def char_linked(numbers: Iterable[tuple[int, int]]) -> list[bool]:
    """Whether /dev/char has a link for each."""
    return [os.path.lexists(f"/dev/char/{major}:{minor}") for major, minor in numbers]


def interfaces() -> frozenset[str]:
    return frozenset(names("/sys/class/net"))


def drm_owners() -> dict[str, str]:
    """card1 and its like to the address of the function that they are of."""
    found = {}
    for name in names("/sys/class/drm"):
        try:
            # A connector of a card leads to the card, not to a function.
            found[name] = os.path.basename(os.readlink(f"/sys/class/drm/{name}/device"))
        except OSError:
            continue
    return found


def names(directory: str) -> list[str]:
    try:
        return sorted(os.listdir(directory))
    except OSError:
        return []


def systemd_version() -> int:
    """By the name of its shared library, since asking it would wake it; 0 where unknown."""
    for directory in ("/usr/lib/systemd", "/lib/systemd"):
        for name in names(directory):
            number = name.removeprefix("libsystemd-shared-").partition(".")[0].partition("-")[0]
            if name.startswith("libsystemd-shared-") and number.isdigit():
                return int(number)
    return 0


def library_target(directories: Iterable[str], name: str) -> str:
    """The real path of the first of the directories' files of that name, "" for none."""
    for directory in directories:
        if os.path.exists(path := f"{directory}/{name}"):
            return os.path.realpath(path)
    return ""


def real(paths: Iterable[str]) -> dict[str, str]:
    """Each path without a slash at its end, to where it leads."""
    return {path.rstrip("/"): os.path.realpath(path) for path in paths}


def same_as(path: str, others: Iterable[str]) -> bool:
    """Whether a path is one of the others, by name or by a link."""
    return any(_same(path, other) for other in others)


def _same(path: str, other: str) -> bool:
    try:
        return os.path.samefile(path, other)
    except OSError:
        return False
