"""The project's own rules: linters, types, imports, sizes."""

import ast
import pathlib
import subprocess
import sys

import pytest

TOP = pathlib.Path(__file__).resolve().parent.parent
PACKAGE = TOP / "cdi_refreshd"
MODULES = sorted(PACKAGE.rglob("*.py"))
IMPURE = {
    "asyncio", "ctypes", "fcntl", "glob", "io", "logging", "os", "pathlib", "pynvml", "pyudev", "sdnotify", "select",
    "selectors", "shutil", "signal", "socket", "stat", "subprocess", "tempfile", "threading", "time", "yaml",
}  # fmt: skip
OPENER = "cdi_refreshd.host.regular_file"
SHARED = (OPENER, "cdi_refreshd.host.ctypes_util")
"""The two modules of host/ that other modules of it may import."""
OPENS_BY_ITSELF = {
    "cdi_refreshd/cli.py": "/dev/null and the standard streams",
    "cdi_refreshd/daemon/state_file.py": "the lock, which it makes, closed to others and without following links",
    "cdi_refreshd/events/inotify.py": "/proc/self/mountinfo",
    "cdi_refreshd/host/atomic_file.py": "directories; makes the temporary, exclusively",
    "cdi_refreshd/host/child.py": "/dev/null",
    "cdi_refreshd/host/landlock.py": "directories, by O_PATH",
    "cdi_refreshd/host/mknod.py": "directories",
    "cdi_refreshd/host/pci.py": "attributes in sysfs",
    "cdi_refreshd/host/plain_file.py": "makes the temporary, exclusively",
    "cdi_refreshd/host/procfs.py": "files in procfs",
    "cdi_refreshd/host/regular_file.py": "it is the place",
    "cdi_refreshd/host/set_aside.py": "directories; makes a file, exclusively",
    "cdi_refreshd/probe/runner.py": "its own standard input",
}
"""The modules that open files by path, and which: none that another user can have put there. procfs needs no entry."""
MODULE_LINES = 450
FUNCTION_LINES = 45
DAEMON_FUNCTION_LINES = 30
CLASS_FIELDS = 15


def imports(path):
    """Absolute dotted names that a module imports, whatever the form."""
    package = path.relative_to(TOP).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            name = ".".join(x for x in (base, node.module) if x)
            yield from (f"{name}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(TOP)))
def test_rooms_import_only_the_modules_that_they_may(path):
    room = path.relative_to(PACKAGE).parts[0]
    for name in imports(path):
        if room == "core":
            assert name.split(".")[0] not in IMPURE, f"{path}: core/ is pure, but imports {name}"
            assert not name.startswith("cdi_refreshd.host"), f"{path}: core/ imports {name}"
        # One facility each, and none imports another one.
        if room in ("host", "events") and not f"{name}.".startswith(tuple(f"{one}." for one in SHARED)):
            assert not name.startswith("cdi_refreshd.") or name.startswith("cdi_refreshd.core"), f"{path}: {name}"


OPENING = ("open", "open_code", "read_text", "read_bytes", "FileIO")


def opens(tree):
    """The calls that open a file by its path, but for literal paths in procfs."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called.rpartition(".")[2] not in OPENING or called in ("read_bytes", "yaml_file.read_bytes"):
            continue
        first = node.args[0] if node.args else None
        text = first.values[0] if isinstance(first, ast.JoinedStr) else first
        if not (isinstance(text, ast.Constant) and str(text.value).startswith("/proc/")):
            yield node


def test_files_that_others_can_put_in_place_are_opened_by_one_module():
    found = {str(path.relative_to(TOP)) for path in MODULES if any(opens(ast.parse(path.read_text())))}
    assert found == set(OPENS_BY_ITSELF)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(TOP)))
def test_modules_and_functions_stay_small(path):
    assert len(path.read_text().splitlines()) <= MODULE_LINES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            most = DAEMON_FUNCTION_LINES if path.parent.name == "daemon" else FUNCTION_LINES
            assert node.end_lineno - node.lineno < most, f"{path}:{node.lineno} {node.name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(TOP)))
def test_no_class_has_many_fields(path):
    """Records may have many fields; a class with a state of its own must be small enough to understand."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ClassDef) and "NamedTuple" not in map(ast.unparse, node.bases):
            assert len(fields(node)) <= CLASS_FIELDS, f"{path}:{node.lineno} {node.name}: {sorted(fields(node))}"


def fields(node):
    """The attributes of `self` that the class assigns to."""
    return {
        part.attr
        for part in ast.walk(node)
        if isinstance(part, ast.Attribute) and isinstance(part.ctx, ast.Store) and ast.unparse(part.value) == "self"
    }


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"], ["codespell_lib"]],
    ids=["ruff check", "ruff format", "mypy", "codespell"],
)
def test_linters_find_nothing(command):
    done = subprocess.run([sys.executable, "-m", *command], check=False, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
