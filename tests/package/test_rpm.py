"""The rpm: no complaint of rpmlint, and the Debian package's files in Fedora's directories: `make rpm-test`."""

import re
import subprocess
from pathlib import Path

import pytest

TOP = Path(__file__).resolve().parents[2]
# Where Debian has what Fedora has elsewhere.
PLACES = (
    (r"^/lib/", "/usr/lib/"),
    (r"^/usr/share/zsh/vendor-completions/", "/usr/share/zsh/site-functions/"),
    (r"^/usr/share/doc/cdi-refreshd/(.*)\.gz$", r"/usr/share/doc/cdi-refreshd/\1"),
)
ONLY_DEBIAN = {
    "/usr/share/doc/cdi-refreshd/changelog",
    "/usr/share/doc/cdi-refreshd/copyright",
    "/usr/share/lintian/overrides/cdi-refreshd",
    "/usr/share/python3/runtime.d/cdi-refreshd.rtupdate",
}
ONLY_RPM = {"/usr/share/licenses/cdi-refreshd/LICENSE"}


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    out = tmp_path_factory.mktemp("packages")
    for build in ("packaging/rpm/build", "tests/package/build"):
        done = subprocess.run([TOP / build, out], check=False, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return out


def printed(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def of_rpm(package):
    """Each file with its mode; without directories and byte code."""
    lines = printed("rpm", "-qp", "--qf", "[%{FILENAMES} %{FILEMODES:perms}\n]", package).splitlines()
    found = dict(line.rsplit(" ", 1) for line in lines)
    version = re.compile(r"^(/usr/share/(?:doc|licenses)/cdi-refreshd)-[\d.]+/")
    return {
        version.sub(r"\1/", path): mode
        for path, mode in found.items()
        if not mode.startswith("d") and "__pycache__" not in path
    }


def of_deb(package):
    found = {}
    for line in printed("dpkg-deb", "-c", package).splitlines():
        mode, *_, path = line.split()
        if not mode.startswith("d"):
            path = path.removeprefix(".")
            for debian, fedora in PLACES:
                path = re.sub(debian, fedora, path)
            found[path] = mode
    return found


def test_the_rpm_has_the_debian_packages_files_with_their_modes_in_fedoras_places(packages):
    (rpm,), (deb,) = packages.glob("*.noarch.rpm"), packages.glob("*.deb")
    ours, debians = of_rpm(rpm), of_deb(deb)
    assert set(debians) - set(ours) == ONLY_DEBIAN
    assert set(ours) - set(debians) == ONLY_RPM
    assert {path: ours[path] for path in ours if path in debians and ours[path] != debians[path]} == {}


def test_rules_dashboard_and_plugin_are_in_both_packages_unchanged(packages):
    (rpm,), (deb,) = packages.glob("*.noarch.rpm"), packages.glob("*.deb")
    wanted = {str(path.relative_to(TOP)) for path in (TOP / "contrib").rglob("*") if path.is_file()}
    in_deb = {line.split()[-1] for line in printed("dpkg-deb", "-c", deb).splitlines()}
    assert {f"./usr/share/doc/cdi-refreshd/{name}" for name in wanted} <= in_deb
    assert {f"/usr/share/doc/cdi-refreshd/{name}" for name in wanted} <= set(of_rpm(rpm))


def test_each_unit_is_handled_by_the_scriptlets(packages):
    (rpm,) = packages.glob("*.noarch.rpm")
    scripts = printed("rpm", "-qp", "--scripts", rpm)
    units = {Path(path).name for path in of_rpm(rpm) if path.endswith(".service")}
    assert units
    assert [unit for unit in units if unit not in scripts] == []


def test_rpmlint_finds_nothing(packages):
    config = TOP / "packaging/rpm/rpmlint.toml"
    spec = TOP / "packaging/rpm/cdi-refreshd.spec"
    command = ["rpmlint", "--strict", "-c", config, *packages.glob("*.rpm"), spec]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, " 0 errors, 0 warnings" in done.stdout) == (0, True), done.stdout


def test_the_spec_file_has_the_programs_version_and_the_locked_wheel():
    from cdi_refreshd import __version__

    spec = (TOP / "packaging/rpm/cdi-refreshd.spec").read_text()
    assert f"!?release_version:{__version__}" in spec
    assert re.search(r"^\* .* - (\S+)-1$", spec, re.MULTILINE)[1] == __version__
    (locked,) = re.findall(r"^nvidia-ml-py==(\S+)", (TOP / "debian/nvidia-ml-py.txt").read_text(), re.MULTILINE)
    assert f"nvidia_ml_py-{locked}-py3" in spec
    assert f"bundled(python3dist(nvidia-ml-py)) = {locked}" in spec
