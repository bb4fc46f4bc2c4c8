"""What is watched: everything that a probe depends on, and nothing else."""

import fnmatch

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia import driver_paths
from cdi_refreshd.core.refresh.watch_list import CLOSED, EACH, LIBRARIES, NONE, watches

OUTPUT = "/var/run/cdi/nvidia.yaml"


def covering(path, wanted):
    """The watch by which a change of this path is reported."""
    directory, _, name = path.rpartition("/")
    for watch in wanted:
        if watch.directory == directory and (
            not watch.names or any(fnmatch.fnmatchcase(name, pattern) for pattern in watch.names)
        ):
            return watch
    return None


WATCHED = {
    OUTPUT: EACH,
    "/var/run/cdi/nvidia.coherent.yaml": EACH,
    "/etc/cdi/nvidia.yaml": EACH,
    "/dev/nvidia0": NONE,
    "/dev/nvidiactl": NONE,
    "/dev/nvidia-uvm-tools": NONE,
    "/dev/nvidia-caps": NONE,
    "/dev/dxg": NONE,
    "/dev/gdrdrv": NONE,
    "/dev/nvidia-caps/nvidia-cap12": NONE,
    "/dev/nvidia-caps-imex-channels/channel0": NONE,
    "/dev/dri/card0": NONE,
    "/dev/dri/renderD128": NONE,
    "/dev/dri/by-path/pci-0000:65:00.0-render": NONE,
    "/dev/nvgpu/igpu0/ctrl": NONE,
    "/dev/nvgpu/igpu-0000:01:00.0": NONE,
    "/run/nvidia-persistenced/socket": NONE,
    "/run/nvidia-fabricmanager/socket": NONE,
    "/etc/ld.so.cache": CLOSED,
    "/usr/lib/x86_64-linux-gnu/libcuda.so.580.95.05": CLOSED,
    "/usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1": CLOSED,
    "/usr/lib/x86_64-linux-gnu/libGLX_nvidia.so.0": CLOSED,
    "/usr/lib/x86_64-linux-gnu/libnvoptix.so.1": CLOSED,
    "/usr/lib/x86_64-linux-gnu/libcudadebugger.so.580.95.05": CLOSED,
    "/usr/lib/x86_64-linux-gnu/vdpau/libvdpau_nvidia.so.580.95.05": CLOSED,
    "/usr/lib64/libcuda.so.1": CLOSED,
    "/usr/lib/xorg/modules/drivers/nvidia_drv.so": CLOSED,
    "/usr/lib/x86_64-linux-gnu/nvidia/xorg/libglxserver_nvidia.so.580.95.05": CLOSED,
    "/lib/firmware/nvidia/580.95.05": CLOSED,
    "/usr/share/glvnd/egl_vendor.d/10_nvidia.json": CLOSED,
    "/etc/vulkan/icd.d/nvidia_icd.json": CLOSED,
    "/usr/share/vulkan/icd.d/nvidia_icd.x86_64.json": CLOSED,
    "/etc/OpenCL/vendors/nvidia.icd": CLOSED,
    "/usr/bin/nvidia-smi": CLOSED,
    "/opt/bin/nvidia-smi": CLOSED,
    "/usr/bin/nvidia-cdi-hook": CLOSED,
    "/usr/bin/nvidia-ctk": CLOSED,
    "/etc/cdi-refreshd/cdi-refreshd.conf": CLOSED,
    "/etc/nvidia-container-runtime/host-files-for-container.d/drivers.csv": CLOSED,
    "/usr/lib/wsl/lib/libdxcore.so": CLOSED,
    "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0b1d2c3e4f5a6978": CLOSED,
}


@pytest.mark.parametrize(("path", "writes"), WATCHED.items(), ids=WATCHED)
def test_every_path_that_a_probe_depends_on_is_watched(path, writes):
    found = covering(path, watches(Choices(), OUTPUT, ("/etc/cdi-refreshd",)))
    assert found and found.writes == writes


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/cdi/.nvidia.yaml.0a1b2c.tmp",
        "/var/run/cdi/amd.yaml",
        "/etc/cdi/k8s.gpu.nvidia.com-claim_1.yaml",
        "/usr/lib/x86_64-linux-gnu/libssl.so.3",
        "/usr/lib/x86_64-linux-gnu/libcublas.so.13",
        "/usr/lib/x86_64-linux-gnu/libEGL.so.1",
        "/usr/bin/python3",
        "/dev/null",
        "/dev/sda",
        "/tmp/something",
        "/tmp/nvidia-mps",
        "/etc/passwd",
        "/usr/lib/wsl/drivers/prnms009.inf_amd64_0b1d2c3e4f5a6978",
        "/usr/lib/wsl/lib/libd3d12.so",
    ],
)
def test_a_path_that_no_probe_depends_on_is_not_watched(path):
    assert covering(path, watches(Choices(), OUTPUT)) is None


def test_nodes_and_sockets_are_never_watched_for_writes():
    """Every CUDA program that ends would be an event, and /dev/null many a second."""
    for watch in watches(Choices(), OUTPUT):
        if watch.directory.startswith(("/dev", "/run", "/tmp")):
            assert watch.writes == NONE, watch


def test_the_output_comes_first_so_that_its_own_path_is_reported():
    assert watches(Choices(), "/run/cdi/nvidia.yaml")[0].directory == "/run/cdi"


def test_an_output_elsewhere_is_watched_beside_the_spec_directories():
    wanted = watches(Choices(), "/srv/cdi/gpu[1].json")
    assert covering("/srv/cdi/gpu[1].json", wanted)
    assert not covering("/srv/cdi/gpu1.json", wanted)
    assert not covering("/srv/cdi/nvidia.yaml", wanted)
    assert covering(OUTPUT, wanted) and covering("/etc/cdi/nvidia.yaml", wanted)


def test_watched_paths_are_below_the_given_driver_and_dev_root():
    root = "/run/nvidia/driver"
    wanted = watches(Choices(driver_root=root, dev_root=root), OUTPUT)
    for path in ("/dev/nvidia0", "/etc/ld.so.cache", "/usr/lib64/libcuda.so.1", "/run/nvidia-persistenced/socket"):
        assert covering(root + path, wanted) and not covering(path, wanted)
    assert covering("/usr/bin/nvidia-cdi-hook", wanted)


def test_search_paths_and_found_directories_are_watched():
    wanted = watches(
        Choices(library_search_paths=("/opt/lib",), config_search_paths=("/opt/etc",)), OUTPUT, (), ("/usr/lib/nvidia",)
    )
    assert covering("/opt/lib/libcuda.so.1", wanted) and not covering("/usr/lib64/libcuda.so.1", wanted)
    assert covering("/opt/etc/OpenCL/vendors/nvidia.icd", wanted)
    assert covering("/usr/lib/nvidia/libcuda.so.1", wanted)


def test_options_add_watches_for_the_files_that_they_depend_on():
    assert covering("/opt/hook", watches(Choices(hook_path="/opt/hook"), OUTPUT))
    assert covering("/usr/sbin/my-hook", watches(Choices(hook_path="my-hook"), OUTPUT))
    assert covering("/dev/infiniband/uverbs0", watches(Choices(mode="mofed"), OUTPUT))
    explicit = Choices(feature_flags=("enable-explicit-driver-libraries",))
    assert covering("/usr/lib64/libEGL.so", watches(explicit, OUTPUT))
    narrow = Choices(feature_flags=("enable-32bit-libraries",))
    for path in ("/usr/lib/i386-linux-gnu/libcuda.so.1", "/usr/lib32/vdpau/libvdpau_nvidia.so.1"):
        assert covering(path, watches(narrow, OUTPUT)) and not covering(path, watches(Choices(), OUTPUT))
    assert covering("/sw/bin/nvidia-smi", watches(Choices(program_search_paths=("/sw/bin",)), OUTPUT))
    assert covering("/opt/l4t.csv", watches(Choices(mode="csv", csv_files=("/opt/l4t.csv",)), OUTPUT))
    assert covering("/usr/lib/wsl/lib/libdxcore.so", watches(Choices(mode="wsl"), OUTPUT))
    assert not covering("/usr/lib/wsl/lib/libdxcore.so", watches(Choices(mode="nvml"), OUTPUT))


def test_there_is_one_watch_for_each_directory_and_kind():
    wanted = watches(Choices(), OUTPUT)
    kinds = [(watch.directory, watch.kind, watch.writes) for watch in wanted]
    assert len(set(kinds)) == len(kinds)


def test_every_library_that_the_probe_knows_by_name_is_watched():
    essential = (f"{stem}.so" for stem in driver_paths.ESSENTIAL_LIBRARIES)
    names = {*driver_paths.OWN_VERSION, *driver_paths.OTHER_NAMES, *essential}
    assert [name for name in names if not any(fnmatch.fnmatchcase(f"{name}.1", pattern) for pattern in LIBRARIES)] == []
