"""A made-up GPU machine: this host's programs, with another machine's driver files, /dev, /proc, /sys and sockets."""

import contextlib
import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path, PurePosixPath

from . import bundle, hidden
from .driver_files import MULTIARCH, driver_files
from .hardware import OPENS, VERSION, hardware
from .namespace import TOP, CannotBoot, Namespace
from .tree import SCRIPT, Link, apply, text, under

CLEAN = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# libudev refuses a /sys that is no sysfs, unless this variable is set.
CLEAN |= {"SYSTEMD_DEVICE_VERIFY_SYSFS": "0", "PYTHONDONTWRITEBYTECODE": "1", "HOME": "/root"}
LOCALE = ("LANG", "LC_")
"""How variables begin that choose it."""
# Directories that every distribution's loader searches, and that of this interpreter's library.
LOADER = {
    "/etc/ld.so.conf": text("include /etc/ld.so.conf.d/*.conf\n"),
    "/etc/ld.so.conf.d/machine.conf": text(
        f"/usr/local/lib\n/usr/local/lib/{hidden.TRIPLET}\n/lib/{hidden.TRIPLET}\n{MULTIARCH}\n"
        f"{sysconfig.get_config_var('LIBDIR') or '/usr/lib'}\n"
    ),
}


def software(case):
    """Driver files, and what the case adds to them or takes away, by their paths in the machine."""
    root = case.get("driver_root", "/")
    tree = dict(LOADER)
    if case.get("files", True):
        version = case.get("files_version", case.get("driver", VERSION))
        tree |= under(root, driver_files(version, case.get("layout", "debian")))
        if root != "/":
            include = text("include /etc/ld.so.conf.d/*.conf\n")
            tree |= under(root, {"/etc/ld.so.conf": include, "/lib": Link("usr/lib")})
    gone = [root.rstrip("/") + "/" + pattern.lstrip("/") for pattern in case.get("remove", [])]
    tree = {path: entry for path, entry in tree.items() if not any(PurePosixPath(path).match(g) for g in gone)}
    tree |= {path: text(content) for path, content in case.get("add", {}).items()}
    tree |= {path: Link(target) for path, target in case.get("links", {}).items()}
    return tree | dict.fromkeys(case.get("path_bins", []), SCRIPT)


def made_up(case, has_modules):
    """The machine's own files, and what its kernel shows."""
    return software(case), hardware(case, has_modules)


def reported(document, has_modules):
    """The same, of the machine that a bundle was made on. Programs still use this host's loader."""
    files, shown = bundle.trees(document, has_modules)
    return LOADER | files, shown


class Machine:
    """A machine that runs. Made by `booted`."""

    def __init__(self, case: dict):
        os.umask(0o022)  # a real machine's files can be read by all, whoever makes this one
        self._inside = Namespace(hidden.on_this_host(tuple(case.get("host_runtimes", ()))))
        self.root = self._inside.root
        """The machine's / seen from the host; absolute links in it lead to the host's files, so prefer `path`."""
        self._has_modules = self.path("/proc/modules").exists()
        self.case, self._files, self._tree = {}, None, {}
        try:
            self.become(case)
        except BaseException:
            self.close()
            raise

    def become(self, case: dict) -> None:
        """Turns it into the machine of another case. Files that both have stay untouched, with their inodes."""
        files, shown = (reported if bundle.is_bundle(case) else made_up)(case, self._has_modules)
        want = {canonical(path): entry for path, entry in (files | shown).items()}
        apply(self.root, self._tree, want)
        changed = files != self._files
        self.case, self._files, self._tree = case, files, want
        if changed:
            self.ldconfig()

    def ldconfig(self) -> None:
        """Rebuild ld.so.cache, the driver root's, too."""
        driver_root = self.case.get("choices", self.case).get("driver_root", "/")
        for root in {"/", driver_root}:
            command = ["ldconfig", "-r", self.root / root.lstrip("/")]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
        if self.case.get("loader_cache", ()) is None:
            (self.root / driver_root.lstrip("/") / "etc/ld.so.cache").unlink()

    def path(self, path: str) -> Path:
        """The host's path for a path of the machine; links are resolved as in the machine, except the last."""
        real, rest, hops = PurePosixPath("/"), list(PurePosixPath(path).parts[1:]), 0
        while rest:
            part = rest.pop(0)
            if part == "..":
                real = real.parent
                continue
            here = self.root / real.relative_to("/") / part
            if rest and here.is_symlink() and (hops := hops + 1) < 40:
                target = PurePosixPath(os.readlink(here))
                if target.is_absolute():
                    real = PurePosixPath("/")
                rest[:0] = [p for p in target.parts if p != "/"]
            else:
                real /= part
        return self.root / real.relative_to("/")

    def nvml_opens(self) -> int:
        """How often nvmlInit was called in this machine."""
        log = self.path(OPENS)
        return len(log.read_text().splitlines()) if log.exists() else 0

    def pids(self) -> list[int]:
        """The host's pids of the processes inside."""
        found = []
        for name in filter(str.isdigit, os.listdir("/proc")):
            with contextlib.suppress(OSError):
                found += [int(name)] if self._inside.has(name) else []
        return found

    def popen(self, command, cwd=None, env=None, **options) -> subprocess.Popen:
        """Start a command inside. env is added to a small clean environment; cwd is by default the host's, or /."""
        cwd = cwd or (os.getcwd() if self.path(os.getcwd()).is_dir() else "/")
        with self._inside.children_inside():
            return subprocess.Popen(
                [str(word) for word in command],
                env=CLEAN | (env or {}),
                preexec_fn=lambda: self._inside.enter(str(cwd)),  # noqa: PLW1509  (no threads here)
                **options,
            )

    def run(self, command, timeout=120, input=None, check=False, **options) -> subprocess.CompletedProcess:
        """Run a command inside; its output is captured as text, unless the options say otherwise."""
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
        with self.popen(command, **({"stdin": stdin} | pipes | options)) as process:
            try:
                out, err = process.communicate(input, timeout)
            except BaseException:
                process.kill()
                raise
        done = subprocess.CompletedProcess(command, process.returncode, out, err)
        if check:
            done.check_returncode()
        return done

    def run_as_nobody(self, command, **options) -> subprocess.CompletedProcess:
        """As an ordinary user, who can reach this interpreter and the project wherever they are, even below /root."""
        for place in (
            TOP,
            Path(sys.prefix),
            Path(sys.base_prefix),
            Path(sys.executable),
            Path(sys.executable).resolve(),
        ):
            for folder in (place, *place.parents):
                if not folder.samefile("/") and folder.is_dir():
                    with contextlib.suppress(OSError):  # of another file system, which is mounted read-only
                        self.path(str(folder)).chmod(0o755)
        for folder, _, names in os.walk(TOP / "cdi_refreshd"):  # a checkout that was made with a strict umask
            for path in (folder, *(f"{folder}/{name}" for name in names)):
                if not os.stat(path).st_mode & 0o004:
                    self.path(path).chmod(0o755)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        return self.run([*nobody, *command], **options)

    def close(self) -> None:
        self._inside.close()
        del self.root  # the descriptor's number will soon be that of something else


def canonical(path):
    """/var/run and /lib are links on every host that has systemd; an entry's path must not lead through one."""
    for link, real in (("/var/run/", "/run/"), ("/lib/", "/usr/lib/")):
        if path.startswith(link):
            return real + path[len(link) :]
    return path


@contextlib.contextmanager
def booted(case: dict):
    """Keep a machine for several commands and for changes in between."""
    machine = Machine(case)
    try:
        yield machine
    finally:
        machine.close()


def run_in(case: dict, command: list[str], **options) -> subprocess.CompletedProcess:
    """Boot a machine for one command. Options are those of Machine.run."""
    with booted(case) as machine:
        return machine.run(command, **options)


def missing() -> str | None:
    """Why this host cannot hold a made-up machine, in one line, or None where it can."""
    try:
        Namespace().close()
    except CannotBoot as why:
        return str(why)
    return None


def main() -> int:
    """python -m tests.machine CASE.json -- COMMAND ...; its exit status, or 2 where there is no such case."""
    try:
        case, separator, *command = sys.argv[1:]
        if separator != "--" or not command:
            raise ValueError
    except ValueError:
        print("usage: python -m tests.machine CASE.json -- COMMAND [ARGUMENT ...]", file=sys.stderr)
        return 2
    try:
        wanted = json.loads(Path(case).read_text())
    except (OSError, ValueError) as error:
        print(f"tests.machine: {case}: {getattr(error, 'strerror', None) or error}", file=sys.stderr)
        return 2
    environment = {name: value for name, value in os.environ.items() if not name.startswith(LOCALE)}
    # The programs beside this interpreter, cdi-refreshd among them, by their names alone.
    environment["PATH"] = f"{Path(sys.executable).parent}:{environment.get('PATH', CLEAN['PATH'])}"
    try:
        with booted(wanted) as machine:
            return machine.popen(["env", "--", *command], env=environment).wait()
    except CannotBoot as why:
        print(f"tests.machine: {why}", file=sys.stderr)
        return 1
