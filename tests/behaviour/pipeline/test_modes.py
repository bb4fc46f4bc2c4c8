"""Modes other than nvml, and which one `auto` means."""

import pytest

from tests.machine.driver_files import MULTIARCH as LIB
from tests.machine.elf import shared_library
from tests.unit.host.dxcore import build

from .hosts import GPU, UUID, VERSION, case, lines, state_of

pytestmark = pytest.mark.root

VOID = ["NVIDIA_VISIBLE_DEVICES=void"]
CHANNELS = "nvidia-caps-imex-channels"
STORE = "/usr/lib/wsl/drivers/nv_dispi.inf_amd64_0"
DXCORE = "/usr/lib/wsl/lib/libdxcore.so"
NODES = {
    "gds": ["nvidia-fs0", "nvidia-fs1"],
    "gdrcopy": ["gdrdrv"],
    "mofed": ["infiniband/rdma_cm", "infiniband/uverbs0", "infiniband/uverbs1"],
    "nvswitch": ["nvidia-nvswitch0", "nvidia-nvswitchctl"],
}
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d"
TEGRA_LIB = "/usr/lib/aarch64-linux-gnu/tegra"
LISTS = {
    f"{CSV}/devices.csv": "dev, /dev/nvhost-*\ndev, /dev/nvmap\ndev, /dev/nvidia0\ndev, /dev/nvidia1\n# no\n",
    f"{CSV}/drivers.csv": f"lib, {TEGRA_LIB}/libcuda.so.1.1\nlib, {TEGRA_LIB}/gone.so\n"
    "sym, /opt/lib/libnvdla.so\ndir, /lib/firmware/tegra\n",
    "/etc/nv_tegra_release": "# R36\n",
    f"{TEGRA_LIB}/libcuda.so.1.1": "",
    f"{TEGRA_LIB}/libnvdla.so.2": "",
    "/usr/lib/firmware/tegra/x.bin": "",
}
LINKS = {"/opt/lib/libnvdla.so": "libnvdla.so.2", "/opt/lib/libnvdla.so.2": f"{TEGRA_LIB}/libnvdla.so.2"}
TEGRA_NODES = {"nvhost-gpu": [500, 0], "nvhost-ctrl": [500, 1], "nvmap": [10, 60], "nvidia0": [195, 0]}
TEGRA = case(files=False, add=LISTS, links=LINKS, extra_nodes=TEGRA_NODES)


def with_nodes(*names, **more):
    return case(extra_nodes={name: [240, number] for number, name in enumerate(names)}, **more)


@pytest.mark.parametrize(("mode", "nodes"), NODES.items())
def test_a_mode_of_one_device_has_its_nodes_and_nothing_else(host, mode, nodes):
    host.become(with_nodes(*nodes, "nvidia-other", "infiniband/issm0"))
    spec = host.generate("--mode", mode, "--class", mode)
    assert (spec["kind"], spec.names()) == (f"nvidia.com/{mode}", ["all"])
    assert sorted(spec.nodes("all")) == [f"/dev/{name}" for name in nodes]
    assert spec["containerEdits"] == {"env": VOID}
    assert host.machine.nvml_opens() == 0


@pytest.mark.parametrize(
    ("mode", "place"),
    [
        ("gds", "/dev/nvidia-fs*"),
        ("gdrcopy", "/dev/gdrdrv"),
        ("mofed", "/dev/infiniband"),
        ("nvswitch", "/dev/nvidia-nvswitch*"),
        ("imex", "/dev/nvidia-caps-imex-channels"),
        ("management", "/dev/nvidia*"),
    ],
)
def test_a_mode_without_its_nodes_names_them(host, mode, place):
    host.become(case(nodes=[]))
    (said,) = host.refused("--mode", mode)
    assert said.startswith(f"{place}: ")


def test_gds_mounts_udevs_directory_and_its_configuration_where_they_are(host):
    host.become(with_nodes("nvidia-fs0", add={"/etc/cufile.json": "{}"}))
    host.shell("rm -rf /run/udev")
    assert [m["hostPath"] for m in host.generate("--mode=gds").edits("all")["mounts"]] == ["/etc/cufile.json"]
    host.shell("mkdir /run/udev")
    mounts = host.generate("--mode=gds").edits("all")["mounts"]
    assert [mount["containerPath"] for mount in mounts] == ["/etc/cufile.json", "/run/udev"]


def test_management_has_every_node_of_the_driver_but_not_other_modules(host):
    names = [f"{CHANNELS}/channel0", "nvidia-fs0", "nvidia-nvswitch0", "nvidia-nvlink", "dri/card0"]
    host.become(case(GPU, {"mig": [[1, 0]]}, extra_nodes={name: [240, 0] for name in names}))
    spec = host.generate("--mode", "management")
    assert spec.names() == ["all"]
    assert set(spec.nodes("all")) == {
        *(f"/dev/{name}" for name in ("nvidia0", "nvidia1", "nvidiactl", "nvidia-uvm", "nvidia-uvm-tools")),
        *(f"/dev/nvidia-caps/nvidia-cap{number}" for number in (1, 2, 147, 148)),
        "/dev/nvidia-modeset",
        f"/dev/{CHANNELS}/channel0",
    }
    assert [hook["args"][1] for hook in spec["containerEdits"]["hooks"]] == [
        "create-symlinks",
        "enable-cuda-compat",
        "update-ldcache",
    ]
    assert not any(path.endswith(".json") for path in spec.mounts())


@pytest.mark.parametrize(
    ("ids", "names"),
    [
        ("all", ["007", "1", "10", "all"]),
        ("channelall", ["007", "1", "10", "all"]),
        ("1,channel10", ["1", "10", "all"]),
        ("007", ["007", "all"]),
        ("1,channel1,1", ["1", "all"]),
    ],
)
def test_channels_are_requested_by_number_and_keep_their_text(host, ids, names):
    host.become(
        with_nodes(*(f"{CHANNELS}/{name}" for name in ("channel1", "channel10", "channel007", "channel", "channelx")))
    )
    spec = host.generate("--mode", "imex", "--device-id", ids)
    assert spec.names() == names
    path = f"/dev/{CHANNELS}/channel{names[0]}"
    assert spec.edits(names[0]) == {"deviceNodes": [{"path": path, "hostPath": path}]}


@pytest.mark.parametrize("word", ["x", "-1", "1048576", "channel", "channel 1", "9" * 5000, "0x1", "²"])
def test_a_value_that_is_not_a_channel_is_a_usage_error(host, word):
    (said,) = host.refused("--mode", "imex", f"--device-id={word}", status=2)
    assert "is not an IMEX channel; channels are 0 to 1048575, or all" in said


def test_a_channel_that_is_not_there_is_reported(host):
    host.become(with_nodes(f"{CHANNELS}/channel1"))
    (said,) = host.refused("--mode", "imex", "--device-id", "2")
    assert said == f"/dev/{CHANNELS}/channel2: there is no such channel; nvidia-modprobe -i makes it"


def test_csv_mode_describes_the_listed_files_that_the_machine_has(host):
    host.become(TEGRA)
    done = host.run("generate")
    assert done.returncode == 0, done.stderr
    assert lines(done) == []
    spec = host.generate()
    assert spec.names() == ["0", "all"]
    assert spec.nodes("0") == ["/dev/nvhost-ctrl", "/dev/nvhost-gpu", "/dev/nvidia0", "/dev/nvmap"]
    assert set(spec.mounts().values()) == {
        "/etc/nv_tegra_release",
        "/lib/firmware/tegra",
        f"{TEGRA_LIB}/libcuda.so.1.1",
        f"{TEGRA_LIB}/libnvdla.so.2",
    }
    hooks = [hook["args"][1:] for hook in spec["containerEdits"]["hooks"]]
    assert ["create-symlinks", "--link", f"libcuda.so.1::{TEGRA_LIB}/libcuda.so"] in hooks
    for link in ("libnvdla.so.2::/opt/lib/libnvdla.so", f"{TEGRA_LIB}/libnvdla.so.2::/opt/lib/libnvdla.so.2"):
        assert ["create-symlinks", "--link", link] in hooks
    assert hooks[-1] == ["update-ldcache", "--folder", TEGRA_LIB]


@pytest.mark.parametrize(
    ("pattern", "there"),
    [("**/libnvdla*", False), ("/opt/lib/libnvdla.so", False), ("/opt/*", True), ("libnvdla*", True)],
)
def test_sym_entries_can_be_ignored(host, pattern, there):
    host.become(TEGRA)
    assert (f"{TEGRA_LIB}/libnvdla.so.2" in host.generate("--csv.ignore-pattern", pattern).mounts()) is there


def test_a_list_that_is_missing_is_reported_and_the_others_count(host):
    host.become(TEGRA)
    named = ["--csv.file", f"{CSV}/devices.csv,/run/missing.csv"]
    done = host.run("generate", "--mode", "csv", *named)
    assert done.returncode == 0
    assert lines(done) == ["/run/missing.csv: cannot be read, so it is ignored"]
    # l4t.csv, which few have
    assert host.run("generate", "--debug").stderr.count("cannot be read, so it is ignored") == 1


@pytest.mark.parametrize(
    "make", [":", "mkdir /run/list.csv", "mkfifo /run/list.csv"], ids=["missing", "directory", "fifo"]
)
def test_no_list_at_all_is_a_failure(host, make):
    host.become(TEGRA)
    host.shell(f"rm -rf /run/list.csv; {make}")
    said = host.refused("--mode", "csv", "--csv.file", "/run/list.csv")
    assert said[0] == "/run/list.csv: no CSV file can be read; give others with --csv.file"


def test_a_relative_list_is_the_one_in_the_working_directory(host):
    host.become(TEGRA | {"add": LISTS | {"/run/here/my.csv": "dev,/dev/nvhost-gpu\n", "/my.csv": "dev,/dev/nvidia0\n"}})
    spec = host.generate("--mode", "csv", "--csv.file", "my.csv", cwd="/run/here", env={"PYTHONPATH": str(host.top)})
    assert spec.nodes("0") == ["/dev/nvhost-gpu"]


def listed(lists, **more):
    """A Tegra whose only list names these."""
    return TEGRA | {"add": {"/etc/nv_tegra_release": "# R38\n", f"{CSV}/devices.csv": lists}} | more


def test_every_part_of_an_entry_may_have_wildcards(host):
    nodes = {"nvgpu/igpu-0000:01:00.0/ctrl": [235, 1], "nvgpu/igpu-0000:01:00.0/as": [235, 2], "nvgpu/other/x": [9, 9]}
    made = listed("dev, /dev/nvgpu/igpu*/*\nlib, /opt/*/lib/lib[ab].so\nsym, /opt/?/s*/l\ndir, /opt/*/etc\n")
    made["extra_nodes"] = nodes
    made["add"] |= {f"/opt/{name}": "" for name in ("x/lib/liba.so", "y/lib/libb.so", "y/lib/libc.so", "y/etc/z")}
    made["links"] = {"/opt/y/sym/l": "../lib/libc.so"}
    host.become(made)
    spec = host.generate()
    assert spec.nodes("0") == ["/dev/nvgpu/igpu-0000:01:00.0/as", "/dev/nvgpu/igpu-0000:01:00.0/ctrl"]
    mounts = {path for path in spec.mounts() if path.startswith("/opt")}
    assert mounts == {"/opt/x/lib/liba.so", "/opt/y/lib/libb.so", "/opt/y/lib/libc.so", "/opt/y/etc"}
    words = [word for hook in spec["containerEdits"]["hooks"] for word in hook["args"]]
    assert "../lib/libc.so::/opt/y/sym/l" in words


def test_a_csv_entry_that_matches_nothing_is_reported_at_debug_level(host):
    host.become(TEGRA)
    said = host.run("generate", "--debug").stderr
    for entry in ("/dev/nvidia1", f"{TEGRA_LIB}/gone.so"):
        assert f"{entry}: is in a CSV file and matches nothing on this host" in said


def test_a_list_whose_libcuda_is_not_there_is_never_ready(host):
    libcuda = f"{TEGRA_LIB}/libcuda.so.1.1"
    lists = f"dev, /dev/nvgpu/igpu0/*\nlib, {libcuda}\nlib, /opt/libcuda.so.1.1\n"
    nodes = {"nvgpu/igpu0/ctrl": [235, 1]}
    host.become(listed(lists, extra_nodes=nodes))
    assert (
        f"{libcuda}: is in a CSV file and matches nothing on this host: containers have no CUDA"
        in host.run("oneshot").stderr
    )
    assert host.run("oneshot", "--strict").returncode == 5
    one_is_enough = listed(lists, extra_nodes=nodes)
    one_is_enough["add"] |= {"/opt/libcuda.so.1.1": ""}
    host.become(one_is_enough)
    assert "no CUDA" not in host.run("oneshot").stderr


@pytest.mark.parametrize("words", [[], ["--mode", "csv"]], ids=["auto", "csv"])
def test_a_tegra_whose_gpu_has_no_node_yet_is_never_ready(host, words):
    host.become(listed("dev, /dev/nvgpu/igpu*/*\ndev, /dev/nvmap\n"))
    done = host.oneshot(*words)
    assert (done.returncode, state_of(done)) == (3, "waiting-driver")
    assert f"none of the GPU's device nodes that {CSV}/devices.csv, " in lines(done)[0]
    assert host.published() is None


def test_lists_that_name_no_node_of_the_gpu_make_a_spec_that_is_degraded(host):
    host.become(listed("dev, /dev/nvmap\n"))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (0, "degraded")
    assert "name no device node of the GPU" in lines(done)[0]


def test_an_orin_whose_nvml_works_gets_its_compat_libraries(host):
    orin = {"name": "Orin (nvgpu)", "uuid": "0e7b1c1c-0000-4000-8000-000000000000"}
    host.become(TEGRA | {"files": True, "gpus": [orin], "nvml": ["fail nvmlDeviceGetPciInfo_v3 3"]})
    spec = host.generate()
    assert spec.names() == ["0", "all"]
    assert spec.hook("enable-cuda-compat") == [
        "--host-cuda-version=13.0",
        "--cuda-compat-container-root=/usr/local/cuda/compat_orin",
    ]


THOR = {"name": "NVIDIA Thor", "bdf": "0000:01:00.0", "minor": 2}
BESIDE = TEGRA | {"files": True, "gpus": [THOR, {"minor": 0, "drm": [1, 128]}]}


def test_an_integrated_gpu_and_a_discrete_one_are_two_devices(host):
    host.become(BESIDE)
    spec = host.generate()
    assert spec.names() == ["0", "1", UUID.format(0), UUID.format(1), "all"]
    assert "/dev/nvidia2" in spec.nodes("0")
    assert "/dev/dri/card1" not in spec.nodes("0")
    assert {"/dev/nvidia0", "/dev/dri/card1", "/dev/nvidia-uvm", "/dev/nvmap"} <= set(spec.nodes("1"))
    assert "/dev/nvidia2" not in spec.nodes("1")


def test_an_integrated_gpu_and_a_discrete_one_are_one_device_on_request(host):
    host.become(BESIDE)
    assert host.generate("--feature-flag", "disable-multiple-csv-devices").names() == ["0", "all"]


def test_a_third_gpu_beside_an_integrated_one_makes_one_device_and_is_reported(host):
    host.become(BESIDE | {"gpus": [*BESIDE["gpus"], {"minor": 1}]})
    done = host.run("generate")
    assert done.returncode == 0
    assert lines(done) == ["NVML: has integrated GPUs [0] of 3, where 0 of 2 is known: all is one device"]


def test_a_discrete_gpu_without_its_node_is_left_out_beside_an_integrated_one(host):
    host.become(BESIDE | {"gpus": [THOR, {"minor": 5, "node": False}]})
    done = host.run("generate", "--device-name-strategy", "index")
    assert done.returncode == 0
    assert f"GPU 1 ({UUID.format(1)}): /dev/nvidia5 is missing" in lines(done)[0]
    assert '"1"' not in done.stdout


@pytest.fixture
def wsl(host, tmp_path):
    """Whatever stands in /usr/lib/wsl of the machine is taken away again."""
    names = (
        "libcuda.so.1.1",
        "libnvidia-ml.so.1",
        "libnvidia-ptxjitcompiler.so.1",
        "nvcubins.bin",
        "nvidia-smi",
        "libnvwgf2umx.so",
        "nvapi.dll",
        "x.txt",
    )
    host.become(with_nodes("dxg", files=False, add={f"{STORE}/{name}": "" for name in names}))
    library = build(tmp_path / "libdxcore.so", store=STORE, adapters=2)
    host.path("/usr/lib/wsl/lib").mkdir(parents=True, exist_ok=True)
    place = host.path(DXCORE)
    with open(library, "rb") as file:
        place.write_bytes(file.read())
    yield host
    host.shell("rm -rf /usr/lib/wsl")
    host.become(case())


LOADER = {"LD_LIBRARY_PATH": "/usr/lib/wsl/lib"}


@pytest.mark.parametrize("words", [[], ["--mode", "wsl"]], ids=["auto", "wsl"])
def test_wsl_mounts_the_driver_store_that_has_cuda(wsl, words):
    spec = wsl.generate(*words, env=LOADER)
    assert spec.names() == ["all"]
    assert spec.nodes("all") == ["/dev/dxg"]
    assert spec.mounts() == {
        path: path
        for path in (
            DXCORE,
            *(f"{STORE}/{n}" for n in ("libcuda.so.1.1", "libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1")),
            *(f"{STORE}/{n}" for n in ("nvcubins.bin", "nvidia-smi", "libnvwgf2umx.so", "nvapi.dll")),
        )
    }
    assert spec.hook("create-symlinks") == ["--link", f"{STORE}/nvidia-smi::/usr/bin/nvidia-smi"]
    assert spec.hook("update-ldcache") == ["--folder", "/usr/lib/wsl/lib", "--folder", STORE]
    assert spec["containerEdits"]["env"] == VOID


def test_oneshot_is_ready_on_wsl_without_any_pci_function(wsl):
    assert state_of(wsl.oneshot(env=LOADER)) == "ready"
    assert wsl.published().nodes("all") == ["/dev/dxg"]


@pytest.mark.parametrize("words", [[], ["--mode", "wsl"]], ids=["auto", "wsl"])
def test_wsls_library_is_found_in_its_directory_though_the_loader_does_not_know_it(wsl, words):
    assert wsl.generate(*words) == wsl.generate(*words, env=LOADER)


def test_a_linux_driver_inside_wsl_does_not_change_the_spec(wsl):
    there = wsl.generate()
    wsl.become(wsl.machine.case | {"files": True})
    assert wsl.generate() == there


@pytest.mark.parametrize("driver", [False, True], ids=["clean", "with a Linux driver"])
def test_wsl_without_its_library_is_recognised_and_the_library_reported(host, driver):
    host.become(with_nodes("dxg", files=driver))
    done = host.oneshot()
    assert (done.returncode, state_of(done)) == (1, "failed")
    assert f"{DXCORE}: is missing, and this is WSL (/dev/dxg is there); update WSL: wsl --update" in lines(done)[0]


@pytest.mark.parametrize("name", ["libnvidia-ml.so.1", "libnvidia-ptxjitcompiler.so.1", "nvidia-smi"])
def test_missing_files_of_the_windows_driver_are_named(wsl, name):
    wsl.shell(f"rm {STORE}/{name}")
    done = wsl.oneshot()
    assert (done.returncode, state_of(done)) == (0, "degraded")
    assert f"{STORE}/{name}: is missing, and this is WSL" in lines(done)[0]


def test_a_driver_store_that_the_library_does_not_name_is_found_in_the_directory_of_stores(wsl, tmp_path):
    there = wsl.generate()
    with open(build(tmp_path / "libdxcore.so", store=STORE), "rb") as file:  # the first adapter has none
        wsl.path(DXCORE).write_bytes(file.read())
    assert wsl.generate() == there
    old = STORE.replace("_0", "_1")
    wsl.shell(f"cp -r {STORE} {old}; touch -d 2001-01-01 {old}/libcuda.so.1.1")
    done = wsl.oneshot()
    assert f"{STORE}: is taken, since what libdxcore.so names (/0sr" in lines(done)[0]
    assert state_of(done) == "degraded"


def test_a_store_without_cuda_is_reported(wsl):
    wsl.shell(f"rm {STORE}/libcuda.so.1.1")
    said = wsl.refused("--mode", "wsl", env=LOADER)[0]
    assert said.startswith("driver store: this is WSL (/dev/dxg is there), and none of Windows' (/0sr/lib/wsl")
    assert "has libcuda.so.1.1; install NVIDIA's driver in Windows, not inside WSL" in said


def test_wsl_mode_without_its_library_is_reported(host):
    (said,) = host.refused("--mode", "wsl")
    assert said == f"{DXCORE}: is missing; update WSL: wsl --update"


@pytest.mark.parametrize(
    ("made", "devices"),
    [
        (case(GPU), ["0", UUID.format(0), "all"]),
        (case(GPU, add={"/etc/nv_tegra_release": "", f"{CSV}/devices.csv": ""}), ["0", UUID.format(0), "all"]),
        (TEGRA, ["0", "all"]),
        (TEGRA | {"add": LISTS | {"/etc/nv_tegra_release": "x"}, "files": False}, ["0", "all"]),
        (TEGRA | {"files": True, "gpus": [{"name": "Orin (nvgpu)"}]}, ["0", "all"]),
    ],
    ids=["nvml", "tegra file beside nvml", "tegra without nvml", "release file", "integrated name"],
)
def test_auto_is_csv_for_integrated_gpus_and_for_a_tegra_without_nvml(host, made, devices):
    host.become(made)
    assert host.generate().names() == devices


def test_auto_without_a_driver_is_nvml_mode_and_reports_the_missing_library(host):
    host.become(case(files=False))
    (said,) = host.refused(status=3)
    assert said.startswith("libnvidia-ml.so.1 cannot be opened")


@pytest.mark.parametrize("wanted", [True, False])
def test_graphics_libraries_of_glvnd_are_mounted_only_on_request(host, wanted):
    library = f"{LIB}/libGLdispatch.so"
    host.become(case(GPU))
    place = host.path(library)
    there = place.exists()
    if not there:
        place.write_bytes(shared_library("libGLdispatch.so.0"))
    try:
        flags = ["--feature-flag", "enable-explicit-driver-libraries"] if wanted else []
        assert any("libGLdispatch.so" in path for path in host.generate(*flags).mounts()) is wanted
    finally:
        if not there:
            place.unlink()


SOCKETS = ["/run/nvidia-persistenced/socket", "/run/nvidia-fabricmanager/socket", "/tmp/nvidia-mps"]


def test_sockets_are_mounted_as_such_and_can_be_left_out(host):
    host.become(case(GPU, sockets=SOCKETS))
    mounts = host.generate()["containerEdits"]["mounts"]
    found = {mount["hostPath"]: mount["options"] for mount in mounts if mount["hostPath"] in SOCKETS}
    assert set(found) == set(SOCKETS)
    assert all(options == ["nosuid", "nodev", "rbind", "rprivate", "noexec"] for options in found.values())
    assert not set(SOCKETS) & set(host.generate("--feature-flag", "disable-ipc-discoverer").mounts())


def test_the_version_of_the_driver_is_in_the_compat_hook(host):
    host.become(case(GPU))
    assert host.generate().hook("enable-cuda-compat") == [f"--host-driver-version={VERSION}"]
