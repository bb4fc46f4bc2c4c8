"""Texts of NVIDIA's drivers, as they are and damaged."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.nvidia import driver_texts


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.14  Thu Feb 22\nGCC version: 12.2.0\n", "550.54.14"),
        ("NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  580.95.05  Release Build\n", "580.95.05"),
        ("GCC version: 12.2.0\n", ""),
        ("", ""),
    ],
)
def test_the_modules_version_is_in_the_line_of_nvrm(text, version):
    assert driver_texts.module_version(text) == version


def test_bad_lines_of_mig_minors_are_reported_and_hide_no_good_ones():
    text = f"config 1\ngpu0/gi1/access 12\n\nnonsense\ngpu0/gi1/ci0/access x\ngpu0/gi2/access {'9' * 5000}\n"
    minors, odd = driver_texts.mig_minors(text)
    assert minors == {"config": 1, "gpu0/gi1/access": 12}
    assert len(odd) == 4


@given(st.text())
def test_arbitrary_mig_minors_and_access_files_raise_nothing(text):
    driver_texts.mig_minors(text)
    driver_texts.device_file_minor(text)
    driver_texts.module_version(text)


def test_an_access_file_has_its_minor_read():
    assert driver_texts.device_file_minor("DeviceFileMinor: 30\nDeviceFileMode: 292\n") == 30
    assert driver_texts.device_file_minor(f"DeviceFileMinor: {'9' * 5000}\n") is None


@pytest.mark.parametrize(
    ("versions", "highest"),
    [
        (["550.1.2", "580.95.05"], "580.95.05"),
        (["99.1", "580.1"], "580.1"),
        (["550.90.07", "550.1.2"], "550.90.07"),
        (["580.95.05", "580.95.05.bak", "580.²"], "580.95.05"),
        (["so"], ""),
        ([], ""),
    ],
)
def test_versions_are_compared_by_their_numbers(versions, highest):
    assert driver_texts.highest_version(versions) == highest


@pytest.mark.parametrize(
    ("name", "integrated"),
    [("Orin (nvgpu)", True), ("NVIDIA Thor", True), ("NVIDIA H100 80GB HBM3", False), ("", False)],
)
def test_integrated_gpus_are_known_by_name(name, integrated):
    assert driver_texts.integrated_name(name) is integrated
