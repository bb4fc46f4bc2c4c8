"""Libraries that a published spec names and no program can load."""

import os

import pytest

from tests.machine.driver_files import MULTIARCH
from tests.machine.elf import shared_library

pytestmark = pytest.mark.root

CUDA, ENCODE = (f"{MULTIARCH}/{stem}.so.580.95.05" for stem in ("libcuda", "libnvidia-encode"))


@pytest.fixture(autouse=True)
def _whole_again(host):
    before = {path: host.path(path).read_bytes() for path in (CUDA, ENCODE)}
    yield
    for path, content in before.items():
        host.path(path).write_bytes(content)


@pytest.mark.parametrize(("path", "severity"), [(CUDA, "fatal"), (ENCODE, "degraded")])
@pytest.mark.parametrize(("size", "fact"), [(0, "is empty"), (300, "is cut short: 300 of ")])
def test_a_damaged_library_is_reported_with_its_severity(host, path, severity, size, fact):
    os.truncate(host.path(path), size)
    weight, place, said = host.one_fault()
    assert (weight, place) == (severity, path)
    assert said.startswith(fact) and said.endswith("; install the driver's libraries again")


def test_a_library_for_another_architecture_is_reported(host):
    other = "aarch64" if os.uname().machine != "aarch64" else "x86_64"
    host.path(CUDA).write_bytes(shared_library("libcuda.so.1", other))
    assert host.one_fault() == (
        "fatal",
        CUDA,
        f"is a 64-bit library for another processor than {os.uname().machine}; install the driver's libraries again",
    )


def test_32_bit_libraries_beside_the_others_are_not_a_finding(host):
    folder = "/usr/lib/i386-linux-gnu"
    host.path(folder).mkdir(parents=True, exist_ok=True)
    host.path(f"{folder}/libcuda.so.580.95.05").write_bytes(shared_library("libcuda.so.1", "i386"))
    try:
        assert host.run("oneshot", "--feature-flag", "enable-32bit-libraries").returncode == 0
        assert f"{folder}/libcuda.so.580.95.05" in [
            mount["hostPath"] for mount in host.spec()["containerEdits"]["mounts"]
        ]
        host.clean_line()
    finally:
        host.shell(f"rm -r {folder}")
