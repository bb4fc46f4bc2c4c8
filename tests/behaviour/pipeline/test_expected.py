"""Whole specs of machines, byte for byte. To renew them: `python -m tests.behaviour.pipeline.test_expected`."""

import platform
from pathlib import Path

import pytest

from tests.machine import booted

from .hosts import HOOK, PROGRAM, case

FOLDER = Path(__file__).with_name("expected")
DRIVER_ROOT = "/run/nvidia/driver"
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d"
# Only the workstation has all the libraries of a driver: with the others that would be repetition.
# Without NVVM and the PTX compiler, CUDA does not start.
NAMES = ("libnvidia-[abd-loq-z]*", "libnvidia-ng*", "libnvidia-p[kr]*", "libnv[a-hj-z]*", "libGLES*", "libEGL*")
FEW = [f"/usr/{folder}/{name}" for folder in ("lib/*", "lib64", "lib/*/nvidia/current") for name in NAMES]
SOCKETS = ["/run/nvidia-persistenced/socket", "/run/nvidia-fabricmanager/socket"]
MACHINES = {
    "workstation": (case({"drm": [1, 128]}, drm_mode="0660", drm_gid=44, sockets=SOCKETS[:1]), []),
    "server": (case(*({"minor": number} for number in (3, 2, 1, 0)), sockets=SOCKETS, remove=FEW), []),
    "mig": (
        case({"mig": [[1, 0], [2, 0], [2, 1]]}, {"mig": [[1, 0, 0x0A]], "drm": [1, 128]}, {}, remove=FEW),
        ["--device-name-strategy", "type-index"],
    ),
    "driver-container": (
        case({"drm": [1, 128]}, driver_root=DRIVER_ROOT, dev_root=DRIVER_ROOT, layout="rhel", remove=FEW),
        ["--driver-root", DRIVER_ROOT, "--device-name-strategy", "index"],
    ),
    "alternatives": (
        case({}, layout="debian-alternatives", remove=FEW),
        ["--device-name-strategy", "uuid", "--no-all-device"],
    ),
    "management": (case({}, {"mig": [[1, 0]]}, remove=FEW), ["--mode", "management"]),
    "tegra": (
        case(
            files=False,
            add={
                f"{CSV}/devices.csv": "dev, /dev/nvhost-gpu\ndev, /dev/nvmap\n",
                f"{CSV}/drivers.csv": "lib, /opt/tegra/libcuda.so.1.1\nsym, /opt/lib/libnvdla.so\ndir, /opt/firmware\n",
                "/etc/nv_tegra_release": "# R36\n",
                "/opt/tegra/libcuda.so.1.1": "",
                "/opt/tegra/libnvdla.so.2": "",
                "/opt/firmware/x.bin": "",
            },
            links={"/opt/lib/libnvdla.so": "../tegra/libnvdla.so.2"},
            extra_nodes={"nvhost-gpu": [504, 0], "nvmap": [10, 61]},
        ),
        [],
    ),
    "channels": (
        case(extra_nodes={f"nvidia-caps-imex-channels/channel{number}": [508, number] for number in (0, 1)}),
        ["--mode", "imex", "--class", "imex-channel"],
    ),
}


def generated(machine, words):
    done = machine.run([*PROGRAM, "generate", *words])
    assert done.returncode == 0, done.stderr  # stderr also reports this host's container runtimes
    return done.stdout


@pytest.fixture(scope="module")
def machine():
    with booted(case()) as machine:
        yield machine


@pytest.mark.root
@pytest.mark.skipif(platform.machine() != "x86_64", reason="the expected specs name its library directories")
@pytest.mark.parametrize("name", MACHINES)
def test_each_machine_gets_its_reviewed_spec(machine, name):
    made, words = MACHINES[name]
    machine.become(made)
    assert generated(machine, words) == (FOLDER / f"{name}.yaml").read_text()


def test_every_expected_spec_belongs_to_a_machine():
    assert {path.stem for path in FOLDER.iterdir()} == set(MACHINES)


def write():
    with booted({"path_bins": [HOOK]}) as machine:
        for name, (made, words) in MACHINES.items():
            machine.become(made)
            (FOLDER / f"{name}.yaml").write_text(generated(machine, words))


if __name__ == "__main__":
    write()
