"""A made-up machine shows no path of the host that cdi-refreshd inspects, whatever is installed there."""

import fnmatch
import json
import os
import sys

import pytest

from cdi_refreshd.core.checks.container_runtimes import INSTALLATIONS
from cdi_refreshd.core.nvidia import driver_paths
from tests.machine import booted, hidden
from tests.machine.namespace import Namespace

root = pytest.mark.root
HOOK = "/usr/bin/nvidia-cdi-hook"
CASE = {"gpus": [{"drm": [1, 128]}, {"drm": [2, 129]}], "path_bins": [HOOK]}
RUNTIME = "#!/bin/sh\necho '{} version 1.0.2'\n"
RUNTIMES = ("podman", "dockerd", "containerd", "crio", "runc")
OTHER_SPEC = """\
cdiVersion: 0.5.0
kind: nvidia.com/gpu
devices: [{name: old, containerEdits: {env: [OLD=1]}}]
"""
# A host with everything: container runtimes with wrong configurations, a forgotten spec, NVIDIA's units, a driver.
CROWDED = {
    **{f"/usr/bin/{name}": RUNTIME.format(name) for name in RUNTIMES},
    "/usr/local/bin/nvidia-cdi-hook": "#!/bin/sh\n",
    "/etc/cdi/nvidia.yaml": OTHER_SPEC,
    "/etc/containers/containers.conf": '[engine]\ncdi_spec_dirs = ["/nowhere"]\n',
    "/usr/share/containers/containers.conf": '[engine]\ncdi_spec_dirs = ["/nowhere"]\n',
    "/etc/containerd/config.toml": 'version = 2\n[plugins."io.containerd.grpc.v1.cri"]\nenable_cdi = false\n',
    "/etc/crio/crio.conf.d/10-cdi.conf": "[crio.runtime]\ncdi_spec_dirs = []\n",
    "/etc/docker/daemon.json": "{{{",
    "/var/lib/kubelet/config.yaml": "",
    "/etc/nvidia-container-runtime/config.toml": "",
    "/etc/cdi-refreshd/cdi-refreshd.conf": "",
    "/etc/systemd/system/nvidia-cdi-refresh.service.d/override.conf": "[Service]\n",
    "/etc/systemd/system/multi-user.target.wants/nvidia-cdi-refresh.path": "",
    "/usr/lib/systemd/system/nvidia-persistenced.service": "",
    "/etc/ld.so.conf.d/other.conf": "/opt/other\n",
    "/opt/other/libcuda.so.470.1": "",
    "/usr/lib64/libcuda.so.470.1": "",
    "/usr/share/X11/xorg.conf.d/nvidia-drm-outputclass.conf": "",
    "/etc/nv_tegra_release": "# R36\n",
}
PROBED = (
    *(one.program for one in INSTALLATIONS.values() if one.program.startswith("/")),
    *(path for one in INSTALLATIONS.values() for path in one.files),
    *(
        f"{folder}/{name}"
        for folder in driver_paths.PROGRAM_DIRS
        for name in (*driver_paths.PROGRAMS, *RUNTIMES, driver_paths.HOOK)
    ),
    *(f"{base}/{name}" for base, name in driver_paths.CONFIGS),
    *(f"{base}/vulkan/{name}" for base in driver_paths.CONFIG_DIRS for name in driver_paths.VULKAN),
    *(
        f"{folder}/libcuda.so.1"
        for folder in driver_paths.LIBRARY_DIRS
        if "/lib/" in folder and hidden.TRIPLET in folder
    ),
    driver_paths.TEGRA_RELEASE,
    driver_paths.MPS,
    "/etc/kubernetes/kubelet.conf",
    "/usr/lib/wsl/lib/libdxcore.so",
    "/usr/lib/firmware/nvidia/580.95.05/gsp_ga10x.bin",
)


def root_is_an_overlay():
    """The kernel does not stack the overlays of a machine within a machine."""
    with open("/proc/self/mountinfo") as mounts:
        return any(line.split()[4] == "/" and " - overlay " in line for line in mounts)


@root
@pytest.mark.skipif(root_is_an_overlay(), reason="NOT CHECKED: this host's root is an overlay itself")
def test_a_machine_sees_nothing_of_a_crowded_host():
    inside = " ".join(path for path in CROWDED if not path.startswith("/opt/"))  # there without the loader's knowledge
    script = "cdi-refreshd oneshot; cdi-refreshd check; cdi-refreshd list; ldconfig -p | grep other; "
    script += f"ls -d {inside} 2>/dev/null"
    command = [sys.executable, "-m", "tests.machine", "/srv/case.json", "--", "sh", "-c", script]
    env = {"PATH": f"{os.path.dirname(sys.executable)}:/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "tlh_KX"}
    with booted(CASE | {"add": CROWDED | {"/srv/case.json": json.dumps(CASE)}}) as host:
        for name in RUNTIMES:
            host.path(f"/usr/bin/{name}").chmod(0o755)
        seen = host.run(["cdi-refreshd", "check"], env=env).stdout
        assert "/etc/docker/daemon.json" in seen, "this host is not as crowded as it should be"
        assert "/etc/cdi/nvidia.yaml" in seen
        done = host.run(command, env=env)
    oneshot, *errors = done.stderr.splitlines()
    assert oneshot.startswith("cdi-refreshd: ready: 2 GPUs"), done.stderr
    assert errors == []
    check, *listed = done.stdout.splitlines()
    assert check.startswith("ok: "), done.stdout
    assert {line.split("\t")[-1] for line in listed} == {"/var/run/cdi/nvidia.yaml"}


@pytest.mark.parametrize("path", sorted(PROBED))
def test_every_path_of_the_host_that_is_probed_is_hidden(path):
    short = path.removeprefix("/usr")
    ends = [m for m in range(1, len(short) + 1) if short[m : m + 1] in ("", "/")]
    # /lib and /bin are links on most hosts.
    spellings = {prefix + short[:m] for m in ends for prefix in ("", "/usr")}
    assert any(fnmatch.fnmatchcase(one, pattern) for one in spellings for pattern in hidden.patterns())


@root
def test_files_and_directories_can_be_hidden_and_others_beside_them_stay():
    machine = Namespace(["/etc/passwd", "/usr/share/doc"])
    try:
        assert not (machine.root / "etc/passwd").exists()
        assert not (machine.root / "usr/share/doc").exists()
        assert (machine.root / "etc/group").read_text()
        assert (machine.root / "usr/share").stat().st_mode == os.stat("/usr/share").st_mode
    finally:
        machine.close()
    assert os.path.exists("/etc/passwd")


@root
def test_a_case_asks_for_the_hosts_runtimes_by_name():
    with booted(CASE | {"host_runtimes": ["podman"]}) as machine:
        assert machine.run(["podman", "--version"]).returncode == 0
        assert not machine.path("/etc/containers").exists()
        assert not machine.path("/usr/bin/crun").exists()
