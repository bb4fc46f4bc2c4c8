"""The guest's disk: Debian with container runtimes, and with the modules and files of a made-up NVIDIA driver."""

import fcntl
import hashlib
import os
import shutil
import subprocess
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.machine import driver_files, elf, tree

from . import container_image

HERE = Path(__file__).parent
PACKAGES = (
    "linux-image-cloud-amd64",
    # The modules and NVML are built by the guest's compiler, for the guest's kernel and C library.
    "linux-headers-cloud-amd64",
    "gcc",
    "libc6-dev",
    "make",
    "systemd-sysv",
    "udev",
    "dbus",
    "kmod",
    "procps",
    "python3",
    "python3-pyudev",
    "python3-sdnotify",
    "python3-tenacity",
    "python3-yaml",
    "podman",
    "crun",
    "runc",
    "containerd",
    "docker.io",
    "busybox-static",
)


class Release(NamedTuple):
    """Of Debian."""

    suite: str
    further: tuple[str, ...] = ()
    """Packages besides PACKAGES."""


RELEASES = {
    12: Release("bookworm"),
    # Its containerd is the first with CDI, but only by the Kubernetes interface, which needs a client.
    13: Release("trixie", ("docker-cli", "python3-grpcio")),
}
# Units that wait for a network, or that work in the background while times are measured.
UNWANTED = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "podman-auto-update.service",
    "podman-auto-update.timer",
)
RUNTIMES = (
    "containerd.service",
    "docker.service",
    "docker.socket",
    "podman-restart.service",
    "podman.service",
    "podman.socket",
)
"""Masked where times are measured, enabled where boots are checked."""
SIZE = "4G"
VERSION, UPGRADE = "580.95.05", "580.99.02"
"""Of the installed driver, and of the one in UPGRADE_FOLDER that it can be upgraded to."""
UPGRADE_FOLDER = "usr/lib/upgrade"


class Image(NamedTuple):
    disk: Path
    kernel: Path
    initrd: Path

    @classmethod
    def of(cls, folder: Path) -> "Image":
        return cls(folder / "disk", folder / "kernel", folder / "initrd")


def image(debian: int) -> Image:
    """The image for the present sources, built where there is none. It is only read."""
    with cache() as folder:
        return Image.of(host_for(folder, debian))


def image_with(package: Path, debian: int) -> Image:
    """The same image with the package installed and container runtimes enabled, as images are delivered."""
    with cache() as folder:
        host = host_for(folder, debian)
        finished = folder / f"vm-{debian}-with-{digest(host.name, package.read_bytes())}"
        if not finished.exists():
            install(package, host, finished)
            forget_all_but(folder, debian, *folder.glob(f"vm-{debian}-base-*"), host, finished)
        return Image.of(host)._replace(disk=finished / "disk")


def host_for(folder, debian):
    suite, further = RELEASES[debian]
    packages = (*PACKAGES, *further)
    base = folder / f"vm-{debian}-base-{digest(suite, *packages)}.tar"
    sources = [Path(__file__), *files(HERE / "modules"), *files(HERE / "guest"), container_image.PROGRAM]
    sources += [Path(module.__file__) for module in (container_image, driver_files, elf, tree)]
    sources += [Path(driver_files.__file__).with_name("nvml.c")]
    finished = folder / f"vm-{debian}-{digest(base.name, *(file.read_bytes() for file in sources))}"
    if not finished.exists():
        if not base.exists():
            bootstrap(base, suite, packages)
        build(base, finished)
        forget_all_but(folder, debian, base, finished)
    return finished


def files(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


@contextmanager
def cache():
    """The folder, locked: two processes that want an image build it once."""
    folder = Path(os.environ.get("VM_DIR") or default_cache())
    folder.mkdir(parents=True, exist_ok=True)
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        os.close(lock)


def default_cache():
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cdi-refreshd"


def digest(*parts):
    key = hashlib.sha256()
    for part in parts:
        key.update(hashlib.sha256(part if isinstance(part, bytes) else part.encode()).digest())
    return key.hexdigest()[:16]


def forget_all_but(folder, debian, *kept):
    """Nothing of other releases is touched; what was kept before there were several of them goes, too."""
    others = tuple(f"vm-{other}-" for other in RELEASES if other != debian)
    for old in set(folder.glob("vm-*")) - set(kept):
        if old.name.startswith(others):
            continue
        if old.is_dir():
            shutil.rmtree(old)
        else:
            old.unlink()


def bootstrap(base, suite, packages):
    print(f"Fetching Debian's {suite} for the virtual machine: once, a few minutes", flush=True)
    fresh = base.with_suffix(".part")
    include = f"--include={','.join(packages)}"
    subprocess.run(["mmdebstrap", "--quiet", "--variant=minbase", "--format=tar", include, suite, fresh], check=True)
    fresh.rename(base)


def build(base, finished):
    print("Building the virtual machine's disk: a minute", flush=True)
    work = finished.with_suffix(".part")
    root = unpacked(base, work)
    settle(root)
    (kernel,) = (root / "boot").glob("vmlinuz-*")
    release = kernel.name.removeprefix("vmlinuz-")
    install_modules(root, release)
    install_driver(root)
    container_image.make(root, work / "image", inside)
    subprocess.run(["tar", "-C", root, "-cf", work / "root.tar", "."], check=True)
    mask(root, RUNTIMES)
    shutil.copy(kernel, work / "kernel")
    shutil.copy(root / f"boot/initrd.img-{release}", work / "initrd")
    finish(root, work, finished)


def unpacked(archive, work):
    """The top of a system, in a new folder."""
    shutil.rmtree(work, ignore_errors=True)
    root = work / "root"
    root.mkdir(parents=True)
    subprocess.run(["tar", "-C", root, "-xf", archive], check=True)
    return root


def finish(root, work, finished):
    subprocess.run(["mkfs.ext4", "-q", "-d", root, work / "disk", SIZE], check=True, stdout=subprocess.DEVNULL)
    shutil.rmtree(root)
    work.rename(finished)


def install(package, host, finished):
    """Without a running systemd, as images are made. The package itself has to enable its service."""
    print("Installing the package into the virtual machine's disk: half a minute", flush=True)
    work = finished.with_suffix(".part")
    root = unpacked(host / "root.tar", work)
    shutil.copy(package, root / "package.deb")
    inside(root, ["dpkg", "--install", "/package.deb"])
    stand_ins = sorted((HERE / "guest/services").iterdir())
    for unit in stand_ins:
        shutil.copy(unit, root / "etc/systemd/system")
    # The quadlet is enabled by the boots that have GPUs.
    enabled = [unit.name for unit in stand_ins if unit.name != "quadlet.service"]
    inside(root, ["systemctl", "enable", *RUNTIMES, *enabled])
    for name in ("bin", "dev", "proc", "sys", "run", "etc", "tmp", "usr/lib", "usr/bin"):
        (root / "srv/rootfs" / name).mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", root / "srv/rootfs/bin")
    finish(root, work, finished)


def settle(root):
    """What Debian's installer would have done, and the unit that executes a job."""
    (root / "etc/fstab").write_text("")
    (root / "etc/hostname").write_text("vm\n")
    mask(root, UNWANTED)
    units = root / "etc/systemd/system"
    for name in ("job", "prepare"):
        shutil.copy(HERE / "guest" / name, root / "usr/local/sbin" / name)
    for name in ("job.service", "job.timer"):
        shutil.copy(HERE / "guest" / name, units / name)
    (units / "timers.target.wants").mkdir(exist_ok=True)
    (units / "timers.target.wants/job.timer").symlink_to("../job.timer")


def mask(root, names):
    for name in names:
        (root / "etc/systemd/system" / name).symlink_to("/dev/null")


def install_modules(root, release):
    extra = f"usr/lib/modules/{release}/extra"
    for version, folder in ((VERSION, root), (UPGRADE, root / UPGRADE_FOLDER)):
        (folder / extra).mkdir(parents=True)
        for module in make(root, release, version).glob("*.ko"):
            shutil.copy(module, folder / extra)
    subprocess.run(["chroot", root, "depmod", release], check=True)


def make(root, release, version):
    """The folder of the modules, built inside the guest."""
    folder = root / f"usr/src/stand-in-{version}"
    shutil.copytree(HERE / "modules", folder)
    settings = [f"KERNEL={release}", f"DRIVER_VERSION={version}"]
    inside(root, ["make", "-s", "-C", f"/{folder.relative_to(root)}", *settings])
    return folder


def install_driver(root):
    """The files of the stand-in driver; all but NVML are empty."""
    shutil.copy(Path(driver_files.__file__).with_name("nvml.c"), root / "usr/src/nvml.c")
    for version, folder in ((VERSION, root), (UPGRADE, root / UPGRADE_FOLDER)):
        tree.apply(folder, {}, driver_files.driver_files(version, "debian"))
        # Not this host's build of it, which may want a newer C library than the guest has.
        library = folder / f"{driver_files.MULTIARCH}/libnvidia-ml.so.{version}".lstrip("/")
        options = ["-shared", "-fPIC", "-O1", "-Wl,-soname,libnvidia-ml.so.1"]
        inside(root, ["gcc", *options, "-o", f"/{library.relative_to(root)}", "/usr/src/nvml.c"])
    shutil.copy(HERE / "guest/nvidia-cdi-hook", root / "usr/bin")
    subprocess.run(["chroot", root, "ldconfig"], check=True)


def inside(root, command):
    command = ["chroot", root, *command]
    done = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} ended with {done.returncode}:\n{done.stdout}")
