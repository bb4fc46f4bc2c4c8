"""A mount and PID namespace: this host with an empty /dev, /sys, /run and /proc/driver.

The host's file system is the lower layer of an overlay, so the host's programs are there, without the hidden paths, and
nothing that is written reaches the host. The namespace lives as long as its first process, which ends when its standard
input does: so it ends with the process that booted it, however that one dies.
"""

import contextlib
import ctypes
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

CLONE_NEWNS, CLONE_NEWPID = 0x00020000, 0x20000000
TOP = Path(__file__).resolve().parents[2]

# The layers are on a tmpfs over /mnt: every host has that directory, and nothing else uses it in this namespace.
# /proc/self is read before the new /proc is mounted, because only the old one knows the pid that the host sees.
KEEPER = """
set -e
read -r pid rest < /proc/self/stat
mount -t tmpfs -o mode=755 machine /mnt
cd /mnt
mkdir root upper work dev sys driver
IFS='
'
for folder in $HIDDEN_FOLDERS; do
    mkdir -p "upper${folder%/*}"
    mknod "upper$folder" c 0 0 # overlayfs takes this for: deleted
done
unset IFS HIDDEN_FOLDERS
mount -t overlay -o lowerdir=/,upperdir=upper,workdir=work overlay root
mount -t proc proc root/proc
for list in devices modules; do
    if [ -e "/proc/$list" ]; then
        : > "$list"
        mount --bind "$list" "root/proc/$list"
    fi
done
mount --bind driver root/proc/driver
mount --bind sys root/sys
mount --bind dev root/dev
mount -t tmpfs -o mode=755 run root/run
[ -L root/var/run ] || { rm -rf root/var/run; ln -s /run root/var/run; }
mkdir -p root/run/lock root/tmp
chmod 1777 root/tmp
for folder; do
    mkdir -p "root$folder"
    mount --bind -o ro "$folder" "root$folder"
done
if [ -d /sys/fs/cgroup ]; then
    mkdir -p sys/fs/cgroup
    mount -t cgroup2 -o ro cgroup root/sys/fs/cgroup || : # only container runtimes need it
fi
exec chroot root sh -c 'echo "$1" && exec env --ignore-signal=CHLD cat' sh "$pid"
"""


class CannotBoot(Exception):
    """This host cannot hold a made-up machine; the text is one line and says what is missing."""


def other_file_systems():
    """Directories that commands need and the overlay lacks, because they are on other file systems than the root."""
    device = os.stat("/").st_dev
    wanted = dict.fromkeys(os.path.realpath(p) for p in (TOP, sys.prefix, sys.base_prefix))
    return [path for path in wanted if os.stat(path).st_dev != device]


class Namespace:
    """The running namespace. `root` is its / seen from outside; processes enter it through `enter`.

    `hidden` are paths of this host that it lacks. No directory on the way to them may be a link.
    """

    def __init__(self, hidden: Iterable[str] = ()):
        if os.geteuid() != 0:
            raise CannotBoot("a made-up machine needs root (mknod, mount namespaces)")
        command = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"]
        command += ["sh", "-c", KEEPER, "sh", *other_file_systems()]
        pipe = subprocess.PIPE
        # Directories before the overlay is mounted: some hold all of a host's containers. Files are cheaper afterwards.
        folders = [path for path in hidden if os.path.isdir(path) and not os.path.islink(path)]
        environment = os.environ | {"HIDDEN_FOLDERS": "\n".join(folders)}
        self.keeper = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, env=environment)
        pid = self.keeper.stdout.readline().strip().decode()
        if not pid:
            _, said = self.keeper.communicate()
            reason = said.decode(errors="replace").strip().replace("\n", "; ") or "unshare said nothing"
            raise CannotBoot(f"a made-up machine needs CAP_SYS_ADMIN, mount namespaces and overlayfs: {reason}")
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._own_pids = os.open("/proc/self/ns/pid_for_children", os.O_RDONLY | os.O_CLOEXEC)
        self._pids = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._mounts = os.open(f"/proc/{pid}/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        self._root = os.open(f"/proc/{pid}/root", os.O_PATH | os.O_CLOEXEC)
        if os.path.samestat(os.fstat(self._root), os.stat("/")):
            raise AssertionError("the machine's root is the host's: nothing may be written there")
        # By descriptor, not by the keeper's pid: pids are reused, and children can use the descriptor, too.
        self.root = Path(f"/proc/{os.getpid()}/fd/{self._root}")
        for path in set(hidden).difference(folders):
            with contextlib.suppress(
                FileNotFoundError, NotADirectoryError
            ):  # of another file system, or hidden with it
                os.unlink(self.root / path.lstrip("/"))

    def _setns(self, fd, kind):
        if self._libc.setns(fd, kind):
            raise OSError(ctypes.get_errno(), "setns")

    @contextlib.contextmanager
    def children_inside(self):
        """Children of this thread get their pids in the namespace; the caller sees them by the host's pids."""
        self._setns(self._pids, CLONE_NEWPID)
        try:
            yield
        finally:
            self._setns(self._own_pids, CLONE_NEWPID)

    def enter(self, cwd: str) -> None:
        """To be called in a child between fork and exec."""
        self._setns(self._mounts, CLONE_NEWNS)
        os.fchdir(self._root)
        os.chroot(".")
        os.chdir(cwd)

    def has(self, pid: str) -> bool:
        """Whether a process lives in this namespace; OSError where it has ended."""
        return os.path.samestat(os.stat(f"/proc/{pid}/ns/pid"), os.fstat(self._pids))

    def close(self):
        """Ends every process inside; the mounts disappear with the last one."""
        for fd in (self._own_pids, self._pids, self._mounts, self._root):
            os.close(fd)
        with contextlib.suppress(BrokenPipeError):
            self.keeper.stdin.close()
        self.keeper.wait()
        self.keeper.stdout.close()
        self.keeper.stderr.close()
