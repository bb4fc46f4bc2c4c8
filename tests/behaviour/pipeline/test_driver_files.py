"""Drivers whose files are incomplete, in unusual places, or wrong."""

import os

import pytest

from tests.machine.driver_files import MULTIARCH as LIB
from tests.machine.elf import shared_library

from .hosts import GPU, PUBLISHED, VERSION, case, lines, state_of

pytestmark = pytest.mark.root

NEW = "580.105.08"
CUDA, NVML = f"{LIB}/libcuda.so.{VERSION}", f"{LIB}/libnvidia-ml.so.{VERSION}"
HERE = case(GPU)


@pytest.fixture
def published(host):
    host.become(HERE)
    assert host.oneshot().returncode == 0
    yield host
    host.shell(f"rm -f {LIB}/*.{NEW}")
    host.become(case(files=False))  # so that the driver's files are made again


@pytest.mark.parametrize("stem", ["libcuda", "libnvidia-ptxjitcompiler", "libnvidia-nvvm"])
def test_an_unfinished_upgrade_is_a_mismatch_whichever_file_came_first(published, stem):
    old = published.path(f"{LIB}/{stem}.so.{VERSION}")
    old.rename(old.with_name(f"{stem}.so.{NEW}"))
    done = published.oneshot()
    assert (done.returncode, state_of(done)) == (4, "driver-mismatch")
    assert f"module is {VERSION}, {stem} of the libraries is {NEW}: an unfinished upgrade; reboot" in lines(done)[0]
    assert published.published() is None  # it named a file that is gone


def test_on_mismatch_decides_about_the_spec_during_an_unfinished_upgrade(published):
    published.path("/etc/cdi-refreshd").mkdir(exist_ok=True)
    published.path("/etc/cdi-refreshd/cdi-refreshd.conf").write_text("[output]\non-mismatch = keep\n")
    try:
        published.path(CUDA).unlink()
        assert state_of(published.oneshot()) == "waiting-userspace"
        assert published.published()
    finally:
        published.shell("rm -r /etc/cdi-refreshd")


@pytest.mark.parametrize("path", [CUDA, NVML])
@pytest.mark.parametrize(("size", "fact"), [(0, "is empty"), (300, "is cut short: 300 of ")])
def test_a_damaged_essential_library_is_reported_and_never_ready(published, path, size, fact):
    os.truncate(published.path(path), size)
    done = published.oneshot()
    assert (done.returncode, state_of(done)) == (3, "waiting-userspace")
    (said,) = lines(done)
    assert f"{path}: {fact}" in said and "; install the driver's libraries again; " in said
    assert published.run("generate").returncode == 3


def test_another_damaged_library_degrades(published):
    path = f"{LIB}/libnvidia-encode.so.{VERSION}"
    os.truncate(published.path(path), 0)
    done = published.oneshot("--strict")
    assert done.returncode == 5
    assert f"{path}: is empty; install the driver's libraries again" in lines(done)[0]


def test_management_mode_names_a_libcuda_that_is_missing(published):
    published.path(CUDA).unlink()
    done = published.run("generate", "--mode", "management", "--strict")
    assert done.returncode == 5
    assert f"libcuda.so.{VERSION}: is missing; looked in " in lines(done)[0]


def test_a_missing_loader_cache_is_reported_where_it_may_hide_the_libraries(host):
    host.become(case(GPU, layout="cache"))
    host.path("/etc/ld.so.cache").unlink()
    try:
        done = host.oneshot()
    finally:
        host.machine.ldconfig()
    assert (done.returncode, state_of(done)) == (3, "waiting-userspace")
    assert "/etc/ld.so.cache, which is missing; install the driver's libraries, run ldconfig, or give" in lines(done)[0]


def test_32_bit_libraries_are_mounted_on_request(host):
    host.become(HERE)
    folder = "/usr/lib/i386-linux-gnu"
    host.path(folder).mkdir(parents=True, exist_ok=True)
    host.path(f"{folder}/libcuda.so.{VERSION}").write_bytes(shared_library("libcuda.so.1", "i386"))
    host.path(f"{folder}/libcuda.so.1").symlink_to(f"libcuda.so.{VERSION}")
    try:
        assert not any("i386" in path for path in host.generate().mounts())
        spec = host.generate("--feature-flag", "enable-32bit-libraries")
        assert f"{folder}/libcuda.so.{VERSION}" in spec.mounts()
        assert spec.hook("update-ldcache") == ["--folder", LIB, "--folder", f"{LIB}/vdpau", "--folder", folder]
        words = [word for hook in spec["containerEdits"]["hooks"] for word in hook["args"]]
        assert f"libcuda.so.{VERSION}::{folder}/libcuda.so.1" in words
    finally:
        host.shell(f"rm -r {folder}")


def test_microcode_files_beside_the_firmware_are_mounted_too(host):
    folder = f"/usr/lib/firmware/nvidia/{VERSION}"
    host.become(HERE | {"add": {f"{folder}/ucodes_ga10x.bin": "u", f"{folder}/other.bin": "x"}})
    found = sorted(os.path.basename(path) for path in host.generate().mounts() if "/firmware/" in path)
    assert found == ["gsp_ga10x.bin", "gsp_tu10x.bin", "ucodes_ga10x.bin"]


@pytest.mark.parametrize("reported", ["/run/nvidia/driver/opt/firmware", "/opt/firmware/", "/opt/firmware"])
def test_a_firmware_directory_that_is_already_below_the_driver_root_is_used_unchanged(host, reported):
    root = "/run/nvidia/driver"
    image = f"{root}/opt/firmware/nvidia/{VERSION}/gsp_ga10x.bin"
    parameter = "/sys/module/firmware_class/parameters/path"
    host.become(case(GPU, driver_root=root, add={image: "gsp", parameter: f"{reported}\n"}))
    assert image in host.generate("--driver-root", root, "--dev-root", "/").mounts().values()


OPT = case(GPU, remove=["/usr/bin/nvidia-*"])


def test_programs_in_opt_bin_are_mounted_where_containers_find_them(host):
    host.become(OPT | {"path_bins": [*OPT["path_bins"], "/opt/bin/nvidia-smi"]})
    assert host.generate().mounts()["/usr/bin/nvidia-smi"] == "/opt/bin/nvidia-smi"
    assert state_of(host.oneshot()) == "ready"


def test_programs_are_searched_in_the_given_paths_first(host):
    host.become(HERE | {"path_bins": [*HERE["path_bins"], "/run/current-system/sw/bin/nvidia-smi"]})
    spec = host.generate("--program-search-path", "/run/current-system/sw/bin")
    assert spec.mounts()["/usr/bin/nvidia-smi"] == "/run/current-system/sw/bin/nvidia-smi"
    assert spec.mounts()["/usr/bin/nvidia-debugdump"] == "/usr/bin/nvidia-debugdump"


def test_a_missing_nvidia_smi_is_reported(host):
    host.become(OPT)
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (0, "degraded")
    assert "nvidia-smi: is in none of /usr/local/sbin, " in lines(done)[0]
    assert f"install it, or give --program-search-path; {PUBLISHED}: published" in lines(done)[0]
