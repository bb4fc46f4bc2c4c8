"""`install-units` writes what a package would have installed, and refuses what systemd should not start as root."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from cdi_refreshd import cli
from cdi_refreshd.commands import install_units
from cdi_refreshd.core.findings import Fault

TOP = Path(__file__).resolve().parents[2]
SYSTEMD = TOP / "systemd"
SOURCES = [path.relative_to(SYSTEMD) for path in SYSTEMD.rglob("*") if path.is_file()]
CONFIGURATION = "cdi-refreshd.conf"
PROGRAM = "/opt/pipx/venvs/cdi-refreshd/bin/cdi-refreshd"


@pytest.fixture
def top():
    """A system's top. Not pytest's own folder: root is not always its only owner."""
    folder = tempfile.mkdtemp(prefix="units-")
    yield Path(folder)
    shutil.rmtree(folder)


@pytest.fixture
def mine(monkeypatch):
    """The user of the tests counts as root here."""
    real = os.stat

    def owned(path, *rest, **named):
        known = real(path, *rest, **named)
        if known.st_uid != os.getuid():
            return known
        return os.stat_result((*known[:4], 0, *known[5:]))

    monkeypatch.setattr(install_units.os, "stat", owned)


def program_in(top, path=PROGRAM):
    program = top / path.lstrip("/")
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    return program


def installed(top, program, monkeypatch, *options):
    monkeypatch.setattr(sys, "argv", [str(program)])
    return cli.run(["install-units", "--root", str(top), *options])


def files(top):
    return {str(path.relative_to(top)) for path in top.rglob("*") if path.is_file() and "bin" not in path.parts}


def test_every_file_in_systemd_but_the_configuration_is_installed():
    homeless = [str(name) for name in SOURCES if not install_units.destination(str(name))]
    assert homeless == [CONFIGURATION]


def test_the_units_start_the_program_by_its_path_in_the_new_system(top, mine, monkeypatch):
    assert installed(top, program_in(top), monkeypatch) == 0
    assert files(top) == {install_units.destination(str(name)) for name in SOURCES} - {""}
    units = list((top / install_units.UNITS).glob("*.service"))
    started = [line for unit in units for line in unit.read_text().splitlines() if line.startswith("ExecStart=")]
    assert started
    assert all(line.removeprefix("ExecStart=").startswith(f"{PROGRAM} ") for line in started), started
    for name in files(top):
        text = (top / name).read_text()
        assert install_units.PACKAGED not in text.replace(PROGRAM, ""), name
        assert "man:" not in text, f"{name} names a manual page, which no wheel has"
        assert stat.S_IMODE((top / name).stat().st_mode) == 0o644


def test_a_second_time_nothing_is_written(top, mine, monkeypatch, capsys):
    program = program_in(top)
    installed(top, program, monkeypatch)
    assert ": written" in capsys.readouterr().out
    installed(top, program, monkeypatch)
    reported = capsys.readouterr().out
    assert ": unchanged" in reported
    assert ": written" not in reported


def test_a_dry_run_prints_every_file_and_writes_none(top, mine, monkeypatch, capsys):
    installed(top, program_in(top), monkeypatch, "--dry-run")
    assert len(capsys.readouterr().out.splitlines()) == len(SOURCES) - 1
    assert not (top / "etc").exists()


def test_a_link_that_pipx_makes_is_kept_since_it_outlives_upgrades(top, mine, monkeypatch):
    program = program_in(top)
    link = top / "usr/local/bin/cdi-refreshd"
    link.parent.mkdir(parents=True)
    link.symlink_to(program)
    installed(top, link, monkeypatch)
    assert "ExecStart=/usr/local/bin/cdi-refreshd run" in (top / "etc/systemd/system/cdi-refreshd.service").read_text()


@pytest.mark.parametrize("unseen", ["home/kim/.local", "root/.local", "tmp/try", "var/tmp"])
def test_a_program_that_the_units_cannot_see_is_refused_with_a_command_that_helps(
    top, mine, monkeypatch, capsys, unseen
):
    assert installed(top, program_in(top, f"/{unseen}/bin/cdi-refreshd"), monkeypatch) == 1
    reported = capsys.readouterr().err
    assert "home" in reported and "/opt/cdi-refreshd/bin/pip install .\n" in reported
    assert "install cdi-refreshd" not in reported, "a package index has another program by this name, or none"
    assert not (top / "etc").exists()


def test_a_program_that_others_can_replace_is_refused(top, mine, monkeypatch, capsys):
    program = program_in(top)
    program.parent.chmod(0o777)
    assert installed(top, program, monkeypatch) == 1
    assert str(program.parent) in capsys.readouterr().err


def test_a_program_whose_path_a_unit_would_misread_is_refused(top, mine, monkeypatch, capsys):
    assert installed(top, program_in(top, "/opt/my%20tools/cdi-refreshd"), monkeypatch) == 1
    assert "special in units" in capsys.readouterr().err


def test_without_units_it_names_the_package_that_has_them(top):
    with pytest.raises(Fault, match="package has installed them"):
        install_units.source((str(top / "none"),))


def test_a_missing_root_is_a_fault(monkeypatch, top):
    with pytest.raises(Fault, match="is not a directory"):
        install_units.run(["--root", str(top / "none")])


def test_systemd_accepts_the_installed_units(top, mine, monkeypatch):
    if not shutil.which("systemd-analyze"):
        pytest.skip("no systemd-analyze here")
    # systemd searches the program on this host, whatever the root, and does not check what `true` does.
    monkeypatch.setattr(install_units, "startable", lambda program, root: shutil.which("true"))
    installed(top, program_in(top), monkeypatch)
    units = sorted(map(str, (top / install_units.UNITS).glob("*.service")))
    names = [unit.replace("@.service", "@one.service") for unit in units]
    for unit, name in zip(units, names, strict=True):
        if unit != name:
            shutil.copy(unit, name)
    command = ["systemd-analyze", "verify", "--recursive-errors=no", *names]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "cdi-refreshd" not in done.stderr


def test_a_wheel_carries_the_units(top):
    source = top / "source"
    for name in ("cdi_refreshd", "systemd"):
        shutil.copytree(TOP / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(TOP / name, source)
    build = [sys.executable, "setup.py", "--quiet", "build", "--build-lib", str(top / "lib")]
    subprocess.run(build, check=True, cwd=source, capture_output=True)
    carried = {path.relative_to(top / "lib/cdi_refreshd/units") for path in (top / "lib").rglob("units/**/*")}
    assert {path for path in carried if (SYSTEMD / path).is_file()} == set(SOURCES)
