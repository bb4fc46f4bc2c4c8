"""The project's own rules: linters, types, who may import whom, how large things may grow."""

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
MODULE_LINES = 450
FUNCTION_LINES = 45


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
def test_rooms_import_only_what_they_may(path):
    room = path.relative_to(PACKAGE).parts[0]
    for name in imports(path):
        if room == "core":
            assert name.split(".")[0] not in IMPURE, f"{path}: core/ is pure, but imports {name}"
            assert not name.startswith("cdi_refreshd.host"), f"{path}: core/ imports {name}"
        if room in ("host", "events"):  # one facility each, and none knows its neighbours
            assert not name.startswith("cdi_refreshd.") or name.startswith("cdi_refreshd.core"), f"{path}: {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(TOP)))
def test_modules_and_functions_stay_small(path):
    assert len(path.read_text().splitlines()) <= MODULE_LINES
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            assert node.end_lineno - node.lineno < FUNCTION_LINES, f"{path}:{node.lineno} {node.name}"


@pytest.mark.parametrize(
    "command",
    [["ruff", "check", "."], ["ruff", "format", "--check", "."], ["mypy"]],
    ids=["ruff check", "ruff format", "mypy"],
)
def test_linters_have_nothing_to_say(command):
    done = subprocess.run([sys.executable, "-m", *command], check=False, cwd=TOP, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
