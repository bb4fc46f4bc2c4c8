"""The files under a driver root: list, find, resolve, read. A tree caches what it read: make one for each probe."""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple

from cdi_refreshd.core.findings import Finding
from cdi_refreshd.core.formats import elf
from cdi_refreshd.core.formats.globs import WILDCARD, matching
from cdi_refreshd.core.read_errors import ABSENT, unreadable
from cdi_refreshd.host import regular_file
from cdi_refreshd.host.regular_file import NotRegular

LINKS_AT_MOST = 40
READ_AT_MOST_BYTES = 16 << 20
NOT_ALLOWED = (errno.EACCES, errno.EPERM)


class LibraryFile(NamedTuple):
    """A file that should be a shared library."""

    image: elf.Image | None
    """None: it is no ELF file."""
    size_bytes: int
    """-1 where it is unknown."""
    trouble: str = ""
    """Why it cannot be read."""

    def flaw(self, machine: str) -> str:
        """Why no program of such a machine can load it, "" where one can; `machine` as for core.formats.elf.flaw.

        A 32-bit library is one for 32-bit programs.
        """
        narrow = self.image is not None and self.image.bits == 32
        return self.trouble or elf.flaw(self.image, self.size_bytes, "i386" if narrow else machine)


class Tree:
    """`root` is absolute, without a slash at the end, or `/`. All paths that go in and come out are host paths.

    Symbolic links are followed inside the root: an absolute target starts at the root again, as for a process
    with that root as `/`; one that already begins with the root (made from outside) is taken as it is.

    A file that cannot be inspected, for instance for lack of memory, raises a Fault: a spec without it would be wrong.
    """

    def __init__(self, root: str) -> None:
        self.root = "" if root == "/" else root
        self.findings: list[Finding] = []
        self._names: dict[str, list[str]] = {}
        self._seen: dict[str, tuple[int, str]] = {}
        self._real: dict[str, str] = {}
        self._libraries: dict[str, LibraryFile] = {}

    def host(self, path: str) -> str:
        return self.root + path

    def within(self, path: str) -> str:
        """The host path of a configured path, which may begin with the root already: the root is not added twice."""
        path = path.rstrip("/") or "/"
        return path if f"{path}/".startswith(f"{self.root}/") else self.host(path)

    def names(self, directory: str) -> list[str]:
        """Sorted; empty where there is no such directory. One that may not be read is a finding."""
        if directory not in self._names:
            try:
                self._names[directory] = sorted(os.listdir(directory))
            except OSError as error:
                self._names[directory] = []
                if error.errno not in ABSENT:
                    self._refused(directory, error)
        return self._names[directory]

    def real(self, paths: Iterable[str]) -> list[str]:
        """The real paths of these files, each once, without dangling ones and names that no spec can hold."""
        return [path for path in dict.fromkeys(map(self.resolve, paths)) if path and self._sane(path)]

    def astray(self, path: str) -> str:
        """The real path of a file where the host, without the root as `/`, would not find it by `path`; else ""."""
        real = self.resolve(path) if self.root else ""
        return real if real and os.path.realpath(path) != os.path.realpath(real) else ""

    def find(self, directories: Iterable[str], *patterns: str) -> Iterator[str]:
        """Host paths of existing files that match by name, without directories; links are not resolved."""
        for directory in directories:
            for name in matching(self.names(directory), patterns):
                if self.is_file(path := f"{directory.rstrip('/')}/{name}") and self._sane(path):
                    yield path

    def seen(self) -> list[str]:
        """Every path that was asked for and exists, sorted."""
        return sorted(path for path, (mode, _) in self._seen.items() if mode)

    def expanded(self, base: str, pattern: str) -> list[str]:
        """Paths below the host directory `base`, of which every part but the wildcards is taken as it is: the last may
        not be there. Sorted at each wildcard."""
        found = [base.rstrip("/")]
        for part in pattern.split("/"):
            if WILDCARD.search(part):
                listed = ((path, self.names(self.resolve(path))) for path in found)
                found = [f"{path}/{name}" for path, names in listed for name in matching(names, (part,))]
            elif part not in ("", "."):
                found = [f"{path}/{part}" for path in found]
        return [path for path in found if self._sane(path)]

    def first(self, paths: Iterable[str], condition: Callable[[str], bool] | None = None) -> str:
        return next((path for path in paths if (condition or self.is_file)(path) and self._sane(path)), "")

    def is_file(self, path: str) -> bool:
        """It exists and is no directory; a dangling link does not exist."""
        mode = self._stat(self.resolve(path))[0]
        return mode != 0 and not stat.S_ISDIR(mode)

    def is_directory(self, path: str) -> bool:
        return stat.S_ISDIR(self._stat(self.resolve(path))[0])

    def is_executable(self, path: str) -> bool:
        """A regular file that somebody may execute."""
        mode = self._stat(self.resolve(path))[0]
        return stat.S_ISREG(mode) and bool(mode & 0o111)

    def is_link(self, path: str) -> bool:
        return stat.S_ISLNK(self._stat(path)[0])

    def link_text(self, path: str) -> str:
        return self._stat(path)[1]

    def resolve(self, path: str) -> str:
        """The real host path, "" where something on the way is missing or loops."""
        if path not in self._real:
            self._real[path] = self._resolved(path)
        return self._real[path]

    def _resolved(self, path: str) -> str:
        root = self.root if f"{path}/".startswith(f"{self.root}/") else ""  # a search path may lie outside the root
        here, parts, links = root, path[len(root) :].split("/"), 0
        parts.reverse()
        while parts:
            part = parts.pop()
            if part in ("", "."):
                continue
            if part == "..":
                here = here.rpartition("/")[0] if len(here) > len(root) else here
                continue
            mode, target = self._stat(f"{here}/{part}")
            if not mode:
                return ""
            if not target:
                here = f"{here}/{part}"
                continue
            links += 1
            if links > LINKS_AT_MOST:
                return ""
            if target.startswith("/"):
                here = root
                target = target[len(root) :] if f"{target}/".startswith(f"{root}/") else target
            parts.extend(reversed(target.split("/")))
        return here or "/"

    def read(self, path: str) -> bytes | None:
        """The start of a regular file, None where there is none. One that may not be read is a finding."""
        try:
            return regular_file.start(self.resolve(path) or path, READ_AT_MOST_BYTES)
        except NotRegular:
            return None
        except OSError as error:
            if error.errno not in ABSENT:
                self._refused(path, error)
            return None

    def library(self, path: str) -> LibraryFile:
        """What the file is as a shared library. Each is opened once, however often it is asked for."""
        if path not in self._libraries:
            self._libraries[path] = self._library(path)
        return self._libraries[path]

    def _library(self, path: str) -> LibraryFile:
        try:
            with regular_file.opened(self.resolve(path) or path) as descriptor:
                image = elf.image(lambda offset, size: os.pread(descriptor, size, offset))
                return LibraryFile(image, os.fstat(descriptor).st_size)
        except (NotRegular, OverflowError):
            return LibraryFile(None, -1)
        except OSError as error:
            if error.errno not in (*ABSENT, *NOT_ALLOWED):
                raise unreadable(path, error) from None
            return LibraryFile(None, -1, f"cannot be read: {os.strerror(error.errno or 0)}")

    def untrusted_socket(self, path: str) -> str | None:
        """Why a file in a directory that everybody may write to is no socket for containers; "" where it is one.

        It must belong to root or to the owner of the driver root, without a link on its path: else any user could have
        root's files mounted. None where there is nothing, or a directory.
        """
        owners = {0, os.stat(self.root or "/").st_uid}
        at = self.root
        for part in path[len(self.root) + 1 :].split("/"):
            at = f"{at}/{part}"
            try:
                seen = os.lstat(at)
            except OSError as error:
                if error.errno in ABSENT:
                    return None
                raise unreadable(at, error) from None
            if stat.S_ISLNK(seen.st_mode):
                return "is reached through a symbolic link"
            if seen.st_uid not in owners:
                return f"belongs to user {seen.st_uid}"
        if stat.S_ISDIR(seen.st_mode):
            return None
        return "" if stat.S_ISSOCK(seen.st_mode) else "is no socket"

    def _stat(self, path: str) -> tuple[int, str]:
        """lstat's mode, and the target of a symbolic link; (0, "") where there is nothing."""
        if path not in self._seen:
            try:
                mode = os.lstat(path).st_mode
                self._seen[path] = (mode, os.readlink(path) if stat.S_ISLNK(mode) else "")
            except (OSError, ValueError) as error:
                if isinstance(error, OSError) and error.errno not in (*ABSENT, *NOT_ALLOWED):
                    raise unreadable(path, error) from None
                self._seen[path] = (0, "")
        return self._seen[path]

    def _sane(self, path: str) -> bool:
        """A spec is a text that people and programs read line by line."""
        if path.isprintable():
            return True
        self._find(ascii(path)[1:-1], "its name is not printable UTF-8, so it is left out", "rename it")
        return False

    def _refused(self, path: str, error: OSError) -> None:
        """A missing permission lasts, and is reported; after any other error it is unknown whether the file exists."""
        if error.errno not in NOT_ALLOWED:
            raise unreadable(path, error)
        self._find(path, f"cannot be read: {os.strerror(error.errno or 0)}")

    def _find(self, place: str, fact: str, hint: str = "") -> None:
        self.note(Finding("degraded", place, fact, hint))

    def note(self, finding: Finding) -> None:
        """Adds the finding once, however often it is found."""
        if finding not in self.findings:
            self.findings.append(finding)
