"""The Debian package, installed, upgraded, removed and purged in a fresh system that has no network: `make deb-test`.

DEB_SUITES="bookworm jammy noble" has Ubuntu's releases too, whose keys are in Debian's ubuntu-keyring.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from cdi_refreshd.core.report.lines import Pass
from cdi_refreshd.core.report.state_document import Life
from cdi_refreshd.core.report.state_document import document as state_of
from cdi_refreshd.daemon import state_file
from tests.vm.image import default_cache, digest

TOP = Path(__file__).resolve().parents[2]
SOURCES = ("cdi_refreshd", "completion", "contrib", "debian", "docs", "man", "systemd")
SUITES = os.environ.get("DEB_SUITES", "bookworm").split()
DEPENDENCIES = (
    "init-system-helpers,python3,python3-pyudev,python3-sdnotify,python3-tenacity,python3-tomli,python3-yaml,"
    "systemd-sysv,udev"
)
OLD, NEW = "0.0.9", "99"
UNIT = "etc/systemd/system/multi-user.target.wants/cdi-refreshd.service"
CONF = "etc/cdi-refreshd/cdi-refreshd.conf"
SPEC = "cdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices: []\n"
# Files of dpkg and apt, and of everything that uses them.
BOOKKEEPING = ("var/lib/dpkg", "var/lib/apt", "var/cache", "var/log", "root", "tmp", "proc", "etc/ld.so.cache")
STUB = """#!/bin/sh
echo "$@" >>/systemctl.log
case "$*" in *is-enabled*) echo enabled ;; *is-active*) echo STATE; [ STATE = active ] ;; esac
"""


class System:
    """A folder with a system, and commands in it: with a /proc of its own and without a network."""

    def __init__(self, top):
        self.top = top

    def sh(self, line, check=True):
        command = ["unshare", "--net", "--mount", "--pid", "--fork", f"--mount-proc={self.top}/proc"]
        done = subprocess.run(
            [*command, "chroot", self.top, "sh", "-c", line],
            check=False,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert not check or done.returncode == 0, f"{line}: {done.returncode}\n{done.stdout}"
        return done

    def install(self, deb, options=""):
        shutil.copy(deb, self.top / "tmp")
        return self.sh(f"apt-get install -qy --no-install-recommends {options} /tmp/{deb.name}")

    def enabled(self):
        return self.sh("systemctl is-enabled cdi-refreshd.service", check=False).stdout.strip()

    def files(self):
        found = {str(path.relative_to(self.top)) for path in self.top.rglob("*")}
        return {name for name in found if not name.startswith(BOOKKEEPING) and "__pycache__" not in name}

    def write(self, name, text):
        path = self.top / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def publish(self, monkeypatch, text=SPEC, spec="run/cdi/nvidia.yaml"):
        """As a daemon does, with the daemon's own state.json."""
        sha256 = hashlib.sha256(text.encode()).hexdigest()
        done = Pass(state="ready", reason="", path=f"/{spec}", stands=True, sha256=sha256)
        monkeypatch.setattr(state_file, "PATH", str(self.top / "run/cdi-refreshd/state.json"))
        state_file.write(state_of(done, Life(1, "")))
        return self.write(spec, text)


@pytest.fixture(scope="session")
def tree(tmp_path_factory):
    """A copy, so that all builds see the same files, whatever is edited meanwhile."""
    copy = tmp_path_factory.mktemp("tree")
    for name in SOURCES:
        shutil.copytree(TOP / name, copy / name, symlinks=True)
    for name in ("LICENSE", *(path.name for path in TOP.glob("*.md"))):
        shutil.copy(TOP / name, copy)
    (copy / "tests/package").mkdir(parents=True)
    shutil.copy(TOP / "tests/package/build", copy / "tests/package")
    return copy


def build(tree, out, version):
    command = [tree / "tests/package/build", out, version]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return out / f"cdi-refreshd_{version}_all.deb"


@pytest.fixture(scope="session")
def debs(tree, tmp_path_factory):
    out = tmp_path_factory.mktemp("debs")
    return {version: build(tree, out, version) for version in (OLD, NEW)}


@pytest.fixture(scope="session", params=SUITES)
def bare(request):
    """A system with the dependencies and without the package: a tar, made once."""
    folder = Path(os.environ.get("VM_DIR") or default_cache())
    folder.mkdir(parents=True, exist_ok=True)
    tar = folder / f"deb-{request.param}-{digest(DEPENDENCIES)}.tar"
    with open(folder / "deb.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not tar.exists():
            part = tar.with_suffix(".part")
            components = [] if request.param == "bookworm" else ["--components=main,universe"]
            command = ["mmdebstrap", "--quiet", "--variant=apt", "--format=tar", f"--include={DEPENDENCIES}"]
            subprocess.run([*command, *components, request.param, part], check=True)
            part.rename(tar)
    return tar


@pytest.fixture
def system(bare, tmp_path):
    top = tmp_path / "top"
    top.mkdir()
    subprocess.run(["tar", "-C", top, "-xf", bare], check=True)
    yield System(top)
    shutil.rmtree(top)


def test_lintian_finds_nothing(debs):
    levels = ["--fail-on=error,warning,info,pedantic", "--display-info", "--pedantic"]
    command = ["lintian", "--allow-root", *levels, debs[NEW]]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "")


def test_every_build_makes_the_same_bytes_of_the_package(tree, debs, tmp_path):
    assert build(tree, tmp_path, NEW).read_bytes() == debs[NEW].read_bytes()


def test_an_installation_without_network_and_without_systemd_is_enabled_and_works(system, debs):
    system.install(debs[NEW])
    assert system.enabled() == "enabled"
    assert (system.top / UNIT).is_symlink()
    for unit in ("cdi-refreshd-oneshot.service", "cdi-refreshd@.service"):
        assert system.sh(f"systemctl is-enabled {unit}", check=False).stdout.strip() == "disabled"
    assert list((system.top / "usr/share/cdi-refreshd/cdi_refreshd/__pycache__").glob("cli.*.pyc"))
    assert (system.top / "run/cdi").is_dir()
    assert "cdi-refreshd 0." in system.sh("cdi-refreshd --version").stdout
    (system.top / "sys/bus/pci/devices").mkdir(parents=True)
    assert "no-gpu" in system.sh("cdi-refreshd oneshot").stdout
    assert "/etc/cdi-refreshd" not in system.sh("cdi-refreshd config").stdout, "the conffile says no more than defaults"
    reported = system.sh("cdi-refreshd install-units", check=False)
    assert (reported.returncode, "package has installed" in reported.stdout) == (1, True)
    system.sh("/usr/bin/python3 -I -c 'import sys; sys.path[:0] = [\"/usr/share/cdi-refreshd\"]; import pynvml'")
    system.sh("for unit in /lib/systemd/system/cdi-refreshd*.service; do systemd-analyze verify --man=no $unit; done")


def test_presets_leave_the_daemon_enabled_and_the_others_not(system, debs):
    system.install(debs[NEW])
    system.sh("systemctl disable cdi-refreshd.service; systemctl preset-all")
    assert system.enabled() == "enabled"
    assert not list((system.top / "etc/systemd/system").glob("*/cdi-refreshd-oneshot.service"))


@pytest.mark.parametrize("other", [OLD, NEW])
def test_an_upgrade_and_a_downgrade_keep_the_administrators_choices_and_the_spec(system, debs, monkeypatch, other):
    first, second = (OLD, NEW) if other == NEW else (NEW, OLD)
    system.install(debs[first])
    spec = system.publish(monkeypatch)
    system.sh("systemctl disable cdi-refreshd.service")
    system.write(CONF, "[daemon]\nsweep = 1min\n")
    system.install(debs[second], "--allow-downgrades")
    assert system.sh("dpkg-query -W -f '${Version}' cdi-refreshd").stdout == second
    assert system.enabled() == "disabled"
    assert f"{CONF}:2" in system.sh("cdi-refreshd config").stdout
    assert spec.read_text() == SPEC


def stubbed(system, state):
    """Replaces systemctl; returns the file that its calls are written to."""
    (system.top / "run/systemd/system").mkdir(parents=True)
    (system.top / "bin/systemctl").unlink()
    system.write("bin/systemctl", STUB.replace("STATE", state)).chmod(0o755)
    return system.write("systemctl.log", "")


def changing(log):
    return [line for line in log.read_text().splitlines() if re.search(r"\b(start|stop|restart)\b", line)]


def test_a_running_daemon_is_restarted_once_by_an_upgrade_and_stopped_by_a_removal(system, debs):
    system.install(debs[OLD])
    log = stubbed(system, "active")
    system.install(debs[NEW])
    assert changing(log) == ["try-restart cdi-refreshd.service", "try-restart cdi-refreshd@*.service"]
    # By debhelper, once for each dh_installsystemd, and none by us: daemon-reload costs old containers their GPUs.
    assert log.read_text().count("daemon-reload") <= 2
    log.write_text("")
    system.sh("apt-get remove -qy cdi-refreshd")
    assert changing(log) == ["stop cdi-refreshd.service cdi-refreshd-oneshot.service cdi-refreshd@*.service"]


@pytest.mark.parametrize("state", ["inactive", "failed"])
def test_an_upgrade_starts_a_failed_daemon_and_no_stopped_one_and_an_installation_both(system, debs, state):
    start = "--quiet --system start cdi-refreshd.service"
    system.install(debs[OLD])
    log = stubbed(system, state)
    system.install(debs[NEW])
    assert (start in changing(log)) == (state == "failed")
    system.sh("apt-get remove -qy cdi-refreshd")
    log.write_text("")
    system.install(debs[NEW])
    assert start in changing(log)


def test_a_removal_leaves_spec_and_configuration_and_a_purge_nothing(system, debs, monkeypatch):
    before = system.files()
    system.install(debs[NEW])
    spec = system.publish(monkeypatch)
    system.write("run/cdi/nvidia.coherent.yaml", SPEC)
    system.write("run/cdi-refreshd-blue/state.json", "{}")
    system.write("etc/cdi-refreshd/cdi-refreshd.conf.d/own.conf", "")
    system.sh("mkdir /etc/systemd/system/x.wants; ln -s /x /etc/systemd/system/x.wants/cdi-refreshd@blue.service")
    system.sh("apt-get remove -qy cdi-refreshd")
    assert spec.exists()
    assert (system.top / CONF).exists()
    assert not (system.top / "usr/share/cdi-refreshd").exists()
    system.sh("apt-get purge -qy cdi-refreshd; rmdir /etc/systemd/system/x.wants || :")
    assert system.files() - before == set()


def test_a_purge_leaves_specs_of_others(system, debs, monkeypatch):
    system.install(debs[NEW])
    other = system.write("run/cdi/other.yaml", SPEC)
    spec = system.publish(monkeypatch)
    spec.write_text(f"{SPEC}# from somebody else since\n")
    system.sh("apt-get purge -qy cdi-refreshd")
    assert other.exists()
    assert spec.exists()
    assert not (system.top / "run/cdi-refreshd").exists()
