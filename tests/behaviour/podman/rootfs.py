"""Root file systems like those of several distributions, made of Debian's packages: a C library and one program.

debian: libc6, whose loader looks in /usr/lib/TRIPLET. fedora: libc6-amd64 of the i386 architecture, whose loader looks
in /usr/lib64 as Fedora's does. musl: neither, and its loader looks in /usr/lib.
"""

import os
import shutil
import subprocess
from pathlib import Path

PACKAGES = {"debian": ("libc6", "amd64"), "fedora": ("libc6-amd64", "i386"), "musl": ("musl", "amd64")}
"""The packages that each needs, and their architecture."""
PROGRAM = "/loads"
SOURCE = Path(__file__).with_name("loads.c")
MUSL = "lib/ld-musl-x86_64.so.1"
DIRECTORIES = ("dev", "etc", "proc", "run", "sys", "tmp", "usr/lib64", "usr/lib/x86_64-linux-gnu")


class Unavailable(Exception):
    """A package is not available here; the text has the reason."""


def cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdi-refreshd" / "packages"


def package(name: str, architecture: str) -> Path:
    """The package's file, downloaded once; lists of its architecture do not touch those of this host."""
    place = cache() / architecture
    found = sorted(place.glob(f"{name}_*.deb"))
    if found:
        return found[-1]
    state = place / "state"
    for folder in ("lists/partial", "cache/archives/partial"):
        (state / folder).mkdir(parents=True, exist_ok=True)
    (state / "status").touch()
    apt = ["apt-get", "-q", "-o", f"APT::Architecture={architecture}", "-o", f"APT::Architectures::={architecture}"]
    apt += ["-o", f"Dir::State={state}", "-o", f"Dir::State::status={state}/status", "-o", f"Dir::Cache={state}/cache"]
    apt += ["-o", "APT::Sandbox::User=root", "-o", "Acquire::Languages=none"]
    try:
        subprocess.run([*apt, "update"], check=False, capture_output=True, timeout=120)
        done = subprocess.run([*apt, "download", name], check=False, cwd=place, capture_output=True, timeout=120)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"{name}: {error}") from None
    finally:
        shutil.rmtree(state, ignore_errors=True)
    found = sorted(place.glob(f"{name}_*.deb"))
    if not found:
        raise Unavailable(f"{name}: {done.stderr.decode(errors='replace').strip()[-200:]}")
    return found[-1]


def make(family: str, place: Path) -> None:
    """A root file system with one program, at a directory that is not there yet."""
    place.mkdir(parents=True)
    merge_usr(place)
    unpacked = subprocess.run(
        ["dpkg-deb", "--fsys-tarfile", package(*PACKAGES[family])], check=True, capture_output=True
    )
    wanted = ["--wildcards", "./lib*", "./usr/lib*", "--exclude=gconv", "--exclude=./usr/share"]
    # Through the links of a merged /usr, as dpkg itself.
    subprocess.run(
        ["tar", "-xf", "-", "-C", place, "--keep-directory-symlink", *wanted],
        check=False,
        input=unpacked.stdout,
        capture_output=True,
    )
    for folder in DIRECTORIES:
        (place / folder).mkdir(parents=True, exist_ok=True)
    build(family, place)


def merge_usr(place: Path) -> None:
    for name in ("lib", "lib64"):
        (place / "usr" / name).mkdir(parents=True)
        (place / name).symlink_to(f"usr/{name}")


def build(family: str, place: Path) -> None:
    command = ["gcc", "-O1", "-fno-builtin", "-fno-stack-protector", "-o", place / PROGRAM.strip("/"), SOURCE]
    if family == "musl":
        library = place / "usr/lib/x86_64-linux-musl"
        command += [
            "-DOWN_START",
            "-nostdlib",
            "-no-pie",
            f"-Wl,--dynamic-linker=/{MUSL}",
            f"-L{library}",
            "-l:libc.so",
        ]
    subprocess.run(command, check=True, capture_output=True)


def old_library(place: Path) -> None:
    """A libcuda of another driver than the host's, as in some images."""
    command = ["gcc", "-shared", "-fPIC", "-nostdlib", "-x", "c", "-", "-Wl,-soname,libcuda.so.1", "-o", place]
    subprocess.run(command, check=True, input=b"int old(void) { return 1; }")
