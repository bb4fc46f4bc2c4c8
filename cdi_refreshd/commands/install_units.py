"""`cdi-refreshd install-units`: the systemd units, without a package. They start the program that runs this."""

import os
import re
import shutil
import sys
from typing import NamedTuple

from cdi_refreshd.command_line import Parser
from cdi_refreshd.core.findings import Fault, printable, printable_lines
from cdi_refreshd.host import atomic_file, regular_file

DESCRIPTION = """Write the systemd units, with what belongs to them, for an installation by pip or pipx. They start this
program from where it is. Nothing is enabled or started. Exit status: 0 done; 1 a file could not be written, or systemd
could not start this program; 2 usage."""
HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SOURCES = (f"{HERE}/units", f"{os.path.dirname(HERE)}/systemd")
"""The units in an installation from a wheel, and in a checkout."""
PACKAGED = "/usr/bin/cdi-refreshd"
"""The program in the unmodified units."""
HOME = "/opt/cdi-refreshd"
"""For hints: a place that only root may change. They name no package, since no package index has the program."""
UNIT_LIMIT_BYTES = 1 << 20
UNITS = "etc/systemd/system"
PLACES = {
    ".service": UNITS,
    ".socket": UNITS,
    ".target": UNITS,
    ".timer": UNITS,
    ".path": UNITS,
    ".catalog": "usr/local/lib/systemd/catalog",  # systemd reads none below /etc
    ".preset": "etc/systemd/system-preset",
    ".rules": "etc/udev/rules.d",
    ".tmpfiles": "etc/tmpfiles.d",
}
_PLAIN = re.compile(r"[A-Za-z0-9/._+@-]+")
_UNSEEN = ("/home/", "/root/", "/run/user/", "/tmp/", "/var/tmp/")  # noqa: S108 -- nothing is written there
"""What ProtectHome= and PrivateTmp= hide."""
_MANUAL = re.compile(rb"^Documentation(=|: )man:.*\n", re.MULTILINE)


class Unit(NamedTuple):
    path: str
    content: bytes


def run(argv: list[str]) -> int:
    parser = Parser(prog="cdi-refreshd install-units", description=DESCRIPTION, allow_abbrev=False)
    parser.add_argument("--root", metavar="DIR", default="/", help="write below this, as for an image (default: /)")
    parser.add_argument("--dry-run", "-n", action="store_true", help="print what would be written, and write nothing")
    parsed = parser.parse_args(argv)
    root = os.path.realpath(parsed.root)
    if not os.path.isdir(root):
        raise Fault(parsed.root, "is not a directory", "give the root of the system for the units")
    program = startable(running(sys.argv[0]), root)
    for unit in units(source(SOURCES), root, program):
        if parsed.dry_run:
            print(printable(f"{unit.path}: would be written"))
        else:
            became = "written" if atomic_file.publish(unit.path, unit.content) else "unchanged"
            print(printable(f"{unit.path}: {became}"))
    if not parsed.dry_run:
        print(printable_lines(next_steps(root)), file=sys.stderr)
    return 0


def source(folders: tuple[str, ...]) -> str:
    for folder in folders:
        if os.path.isdir(folder):
            return folder
    raise Fault("install-units", "this installation has no units in it", "its package has installed them already")


def units(folder: str, root: str, program: str) -> list[Unit]:
    """The files of the folder and their targets. Drop-ins for other units are in subfolders."""
    found = []
    for at, folders, names in os.walk(folder):
        folders.sort()
        below = os.path.relpath(at, folder)
        for name in sorted(names):
            place = destination(name if at == folder else f"{below}/{name}")
            if place:
                content = regular_file.read(f"{at}/{name}", UNIT_LIMIT_BYTES, follow_links=True)
                content = content.replace(PACKAGED.encode(), program.encode())
                content = _MANUAL.sub(b"", content)  # only the package has the man pages
                found.append(Unit(os.path.join(root, place), content))
    return found


def destination(name: str) -> str:
    """The target below the root; "" for what is not installed: the configuration, whose defaults need no file."""
    if os.path.dirname(name).endswith(".d"):
        return f"{UNITS}/{name}"
    stem, ending = os.path.splitext(name)
    if ending not in PLACES:
        return ""
    # Presets apply in the order of their names, and distributions end with a 90- or 99- file.
    name = {".tmpfiles": f"{stem}.conf", ".preset": f"80-{name}"}.get(ending, name)
    return f"{PLACES[ending]}/{name}"


def running(word: str) -> str:
    """The path of this program as it was called: a link, such as pipx makes, survives upgrades."""
    if os.path.basename(word) == "__main__.py":  # python -m: the script is beside the interpreter
        word = f"{os.path.dirname(sys.executable)}/cdi-refreshd"
    found = shutil.which(word)
    if not found:
        raise Fault(word, "is missing, or cannot be executed", f"install cdi-refreshd, as in {HOME}")
    return os.path.abspath(found)


def startable(program: str, root: str) -> str:
    """The program's path for the units. Raises Fault if systemd should not start it as root."""
    hint = f"as root, where its source is: python3 -m venv {HOME} && {HOME}/bin/pip install ."
    for path in (program, os.path.realpath(program)):
        if inside(path, root).startswith(_UNSEEN):
            raise Fault(path, "is in a home or in /tmp, which the units cannot see", hint)
        others = writable_by_others(os.path.realpath(path))
        if others:
            raise Fault(others, "is writable by others than root, and the units would run it as root", hint)
    seen = inside(program, root)
    if not _PLAIN.fullmatch(seen):
        raise Fault(ascii(seen), "has characters that are special in units", hint)
    return seen


def inside(path: str, root: str) -> str:
    """The path as the system below `root` has it."""
    top = root.rstrip("/")
    return path.removeprefix(top) if path.startswith(f"{top}/") else path


def writable_by_others(path: str) -> str:
    """The program, or the first directory of its path, that others than root can change; "" if none."""
    while True:
        known = os.stat(path)
        sticky_directory = known.st_mode & 0o1000
        if known.st_uid != 0 or (known.st_mode & 0o022 and not sticky_directory):
            return path
        if path == "/":
            return ""
        path = os.path.dirname(path)


def next_steps(root: str) -> str:
    if root == "/":
        prepare = "systemctl daemon-reload; systemd-tmpfiles --create; journalctl --update-catalog"
        return f"{prepare}; systemctl enable --now cdi-refreshd"
    return f"systemctl --root={root} enable cdi-refreshd"
