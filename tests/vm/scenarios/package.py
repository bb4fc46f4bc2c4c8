"""The package's life on a host that is at work: upgraded, downgraded, removed, installed again, purged."""

import contextlib
import re
import threading
import time
from pathlib import Path

from . import daemon, keeper, owner, spec
from .daemon import UNIT, systemctl
from .scenario import expect, scenario
from .service import SLOW_S, the_journal_is_fit_to_be_read

NAME = "cdi-refreshd"
JOB = Path("/job")
NEWER = JOB / "newer"
CONF = Path("/etc/cdi-refreshd/cdi-refreshd.conf")
WRITTEN = "[daemon]\nsweep = 1min\n"
FURTHER = "cdi-refreshd@further.service"
ONESHOT = "cdi-refreshd-oneshot.service"
# dpkg, the compilation of the modules, two interpreters: slow without hardware virtualisation.
DPKG_S = 90.0


def package():
    (only,) = (JOB / "product").glob("*.deb")
    return only


def newer():
    """The same package with a higher version, another conffile, and a program that has a higher version, too."""
    deb = NEWER.with_suffix(".deb")
    if not deb.exists():
        owner.do("dpkg-deb", "--raw-extract", str(package()), str(NEWER))
        for name, pattern, text in (
            ("DEBIAN/control", "(?m)^Version: .*", "Version: 99"),
            ("usr/share/cdi-refreshd/cdi_refreshd/__init__.py", "(?m)^__version__ = .*", '__version__ = "99"'),
            ("etc/cdi-refreshd/cdi-refreshd.conf", r"\Z", "# Newer.\n"),
        ):
            file = NEWER / name
            file.write_text(re.sub(pattern, text, file.read_text()))
        owner.do("dpkg-deb", "-Znone", "--build", str(NEWER), str(deb))
    return deb


def dpkg(*words):
    """Seconds that it takes. The administrator's files stay."""
    started = time.monotonic()
    owner.do("dpkg", "--force-confold", *words, limit_s=300)
    return time.monotonic() - started


def version():
    return owner.do("dpkg-query", "--show", "--showformat=${Version} ${db:Status-Status}", NAME).strip()


def shown(name, unit):
    return systemctl("show", "--property", name, "--value", unit)


def enabled():
    return systemctl("is-enabled", UNIT, check=False)


def is_well():
    expect(daemon.is_up(), f"the daemon is {daemon.shown('ActiveState')}")
    expect(daemon.shown("NRestarts") == "0", "systemd has had to restart it")
    expect(daemon.shown("NeedDaemonReload") == "no", "systemd has not read the unit")
    nothing_failed()


def nothing_failed():
    failed = systemctl("list-units", "--failed", "--plain", "--no-legend")
    expect(not failed, failed)


@contextlib.contextmanager
def there_at_every_moment():
    """Meanwhile the spec is always there, with the same bytes."""
    path = spec.path()
    good = path.read_text()
    found, over = [], threading.Event()

    def probe():
        while not over.wait(0.002):
            try:
                found.append(path.read_text() == good)
            except OSError:
                found.append(False)

    probing = threading.Thread(target=probe)
    probing.start()
    try:
        yield
    finally:
        over.set()
        probing.join()
    expect(len(found) > 100, f"only {len(found)} probes")
    expect(all(found), f"{found.count(False)} probes of {len(found)} did not find it")


def replaces_the_running_daemon(deb, wanted):
    """Seconds that dpkg takes to install it."""
    before, inode = daemon.pid(), spec.inode()
    with there_at_every_moment():
        took_s = dpkg("--install", str(deb))
    expect(version() == f"{wanted} installed", version())
    expect(daemon.pid() not in (0, before), "the daemon is the same process")
    expect(spec.inode() == inode, "the spec was written again")
    expect(enabled() == "enabled", f"it is {enabled()}")
    is_well()
    return took_s


@scenario(limit_s=DPKG_S)
def an_upgrade_restarts_the_daemons_and_no_container_loses_its_gpu():
    deb = newer()
    CONF.with_name("further.conf").touch()
    systemctl("enable", "--now", FURTHER)
    before = shown("MainPID", FURTHER)
    with keeper.running("crun") as crun, keeper.running("runc") as runc:
        took_s = replaces_the_running_daemon(deb, "99")
        for container in (crun, runc):
            container.has_kept_its_gpu("through the upgrade")
            keeper.another(container.runtime)
    expect(shown("MainPID", FURTHER) not in ("0", before), f"{FURTHER} was not restarted")
    return took_s


@scenario(limit_s=DPKG_S)
def a_downgrade_restarts_the_daemon_and_leaves_the_configuration_that_was_written():
    CONF.write_text(WRITTEN)
    wanted = owner.do("dpkg-deb", "--field", str(package()), "Version").strip()
    took_s = replaces_the_running_daemon(package(), wanted)
    expect(CONF.read_text() == WRITTEN, "it was written over")
    return took_s


@scenario(limit_s=DPKG_S)
def an_upgrade_leaves_stopped_what_was_stopped():
    systemctl("stop", UNIT)
    with there_at_every_moment():
        took_s = dpkg("--install", str(newer()))
    expect(daemon.shown("ActiveState") == "inactive", f"it is {daemon.shown('ActiveState')}")
    expect(enabled() == "enabled", f"it is {enabled()}")
    systemctl("start", UNIT)
    is_well()
    return took_s


@scenario(limit_s=DPKG_S)
def an_upgrade_leaves_disabled_what_was_disabled():
    """On a host that has the oneshot at boot instead."""
    systemctl("disable", "--now", UNIT)
    systemctl("enable", "--now", ONESHOT)
    took_s = dpkg("--install", str(package()))
    expect((enabled(), daemon.is_up()) == ("disabled", False), f"it is {enabled()}, {daemon.shown('ActiveState')}")
    other = systemctl("is-enabled", ONESHOT, check=False), systemctl("is-active", ONESHOT, check=False)
    expect(other == ("enabled", "active"), f"{ONESHOT} is {other}")
    systemctl("disable", ONESHOT)
    systemctl("enable", UNIT)
    return took_s


@scenario(limit_s=DPKG_S)
def an_upgrade_leaves_masked_what_was_masked():
    systemctl("mask", "--now", UNIT)
    took_s = dpkg("--install", str(newer()))
    expect((enabled(), daemon.is_up()) == ("masked", False), f"it is {enabled()}, {daemon.shown('ActiveState')}")
    nothing_failed()
    systemctl("unmask", UNIT)
    expect(enabled() == "enabled", f"unmasked it is {enabled()}")
    systemctl("start", UNIT)
    is_well()
    return took_s


@scenario(limit_s=DPKG_S)
def a_removal_takes_the_daemon_and_leaves_spec_containers_and_configuration():
    with keeper.running("runc") as container:
        before = daemon.pid()
        with there_at_every_moment():
            took_s = dpkg("--remove", NAME)
        expect(not (Path("/proc") / str(before)).exists(), "the daemon is still there")
        expect(not Path("/usr/bin/cdi-refreshd").exists(), "the program is still there")
        for unit in (UNIT, FURTHER, ONESHOT):
            known = shown("LoadState", unit), shown("ActiveState", unit)
            expect(known == ("not-found", "inactive"), f"{unit} is {known}")
        nothing_failed()
        expect(CONF.read_text() == WRITTEN, "the configuration is another one")
        container.has_kept_its_gpu("through the removal")
        keeper.another("runc")
    return took_s


@scenario(limit_s=DPKG_S)
def installed_again_it_is_up_with_the_configuration_that_was_there():
    with there_at_every_moment():
        took_s = dpkg("--install", str(package()))
    expect(enabled() == "enabled", f"it is {enabled()}")
    is_well()
    said = owner.do("cdi-refreshd", "config")
    expect(f"{CONF}:2" in said, f"the configuration is not in force: {said}")
    return took_s


@scenario(limit_s=DPKG_S)
def a_purge_leaves_nothing_but_the_containers():
    with keeper.running("runc") as container:
        took_s = dpkg("--purge", NAME)
        container.has_kept_its_gpu("through the purge")
    expect(not left(), f"there is still {', '.join(left())}")
    nothing_failed()
    return took_s


def left():
    """All paths with our name, and the spec; without the job itself."""
    words = ["find", "/", "-path", "/proc", "-prune", "-o", "-path", str(JOB), "-prune", "-o", "-path", "/sys/module"]
    found = owner.do(*words, "-prune", "-o", "-name", "*cdi[-_]refresh*", "-print").split()
    return [*found, *map(str, spec.DIRECTORY.glob("*"))]


@scenario(limit_s=DPKG_S)
def installed_for_the_first_time_it_is_up_and_enabled_and_has_published():
    """By apt-get, which has no network here, and without any further command."""
    started = time.monotonic()
    owner.do("apt-get", "install", "--yes", str(package()), limit_s=300)
    took_s = time.monotonic() - started
    expect(enabled() == "enabled", f"it is {enabled()}")
    is_well()
    expect(spec.lists("0", "1")(), spec.now())
    keeper.another("runc")
    return took_s


@scenario(limit_s=DPKG_S)
def the_tests_of_the_package_pass():
    return tests_of_the_package()


@scenario(limit_s=DPKG_S)
def the_tests_of_the_package_pass_without_a_gpu():
    owner.unload()
    owner.remove(0)
    owner.remove(1)
    took_s = tests_of_the_package()
    owner.rescan()
    owner.load()
    spec.recovers("0", "1")
    return took_s


def tests_of_the_package():
    """Seconds. As autopkgtest runs them: as root, in the package's source, after its installation."""
    started = time.monotonic()
    owner.do("sh", str(JOB / "debian-tests/installed"), limit_s=300)
    return time.monotonic() - started


@scenario(limit_s=SLOW_S)
def the_journal_is_still_fit_to_be_read():
    return the_journal_is_fit_to_be_read()
