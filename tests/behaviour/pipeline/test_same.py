"""The same machine gives the same bytes, for any user, directory and command."""

from pathlib import Path

import pytest

from tests.machine.driver_files import MULTIARCH as LIB

from .hosts import GPU, PROGRAM, UUID, VERSION, case

pytestmark = pytest.mark.root

ICD = {"/etc/vulkan/icd.d/nvidia_icd.json", "/usr/share/vulkan/icd.d/nvidia_icd.json"}
DRIVER_ROOT = "/run/nvidia/driver"


def printed(host, *words, **options):
    return host.run("generate", *words, check=True, **options).stdout


def test_path_data_directories_and_working_directory_do_not_matter(host):
    host.become(
        case(
            GPU,
            remove=[f"/{path}" for path in ICD],
            add={
                "/run/here/vulkan/icd.d/nvidia_icd.json": "{}",
                "/run/data/glvnd/egl_vendor.d/10_nvidia.json": "{}",
                "/run/data/nvidia/nvoptix.bin": "",
            },
            path_bins=["/usr/bin/nvidia-cdi-hook", "/run/bin/nvidia-smi", "/run/bin/nvidia-cdi-hook"],
        )
    )
    plain = printed(host)
    elsewhere = {
        "PATH": "/run/bin:/usr/bin:/bin",
        "XDG_DATA_DIRS": "/run/data",
        "XDG_DATA_HOME": "/run/data",
        "XDG_CONFIG_HOME": "/run/data",
        "HOME": "/run/data",
        "LD_LIBRARY_PATH": "/run/data",
        "LANG": "tr_TR.UTF-8",
        "TZ": "Asia/Kolkata",
    }
    top = {"PYTHONPATH": str(Path(__file__).parents[3])}
    assert printed(host, env=elsewhere) == plain
    assert printed(host, cwd="/run/here", env=elsewhere | top) == plain
    assert "/run/" not in plain


def test_a_second_probe_gives_the_same_bytes(host):
    host.become(case(GPU, {"mig": [[1, 0], [2, 0]]}, {"drm": [3, 130]}))
    assert printed(host) == printed(host)


def test_a_slash_at_the_end_of_a_root_changes_nothing(host):
    host.become(case(GPU, driver_root=DRIVER_ROOT, dev_root=DRIVER_ROOT))
    plain = printed(host, "--driver-root", DRIVER_ROOT)
    assert printed(host, "--driver-root", f"{DRIVER_ROOT}/", "--dev-root", f"/{DRIVER_ROOT}//") == plain
    assert f"NVIDIA_CTK_LIBCUDA_DIR={LIB}\n" in plain


def test_a_device_requested_twice_is_printed_once(host):
    host.become(case(GPU, {}))
    once = printed(host, "--device-name-strategy", "index,uuid", "--device-id", "0,1")
    twice = printed(
        host, "--device-name-strategy", "index,uuid,index", "--device-id", "0,1,0", "--devices", UUID.format(1)
    )
    assert once == twice


def test_the_word_cdi_before_the_command_changes_nothing(host):
    host.become(case(GPU))
    assert host.machine.run([*PROGRAM, "cdi", "generate"], check=True).stdout == printed(host)


def test_every_alias_of_an_option_has_the_effect_of_the_option(host):
    host.become(case(GPU, {}))
    for alias in ("--device-ids", "--device", "--devices"):
        assert printed(host, alias, "0") == printed(host, "--device-id", "0")
    assert printed(host, "--cdi-vendor=a.b", "--cdi-class=cc") == printed(host, "--vendor=a.b", "--class=cc")
    assert printed(host, "--disable-hooks=all") == printed(host, "--disable-hook=all")
    assert printed(host, "--discovery-mode=management") == printed(host, "--mode=management")
    assert printed(host, "--nvidia-ctk-path=/x") == printed(host, "--nvidia-cdi-hook-path=/x")


@pytest.mark.parametrize("flag", ["disable-nvsandboxutils", "disable-nvsandbox-utils"])
def test_flags_that_disable_unused_features_change_nothing(host, flag):
    host.become(case(GPU))
    assert printed(host, "--feature-flag", flag) == printed(host)


@pytest.mark.parametrize("layout", ["debian", "debian-alternatives", "rhel", "arch", "cache"])
def test_each_distributions_layout_is_understood(host, layout):
    host.become(case(GPU, layout=layout))
    spec = host.generate()
    mounts = spec.mounts()
    assert len([path for path in mounts if path.endswith(f"/libcuda.so.{VERSION}")]) == 1
    assert {path.rpartition("/")[2] for path in mounts} >= {
        "nvidia-smi",
        f"libGLX_nvidia.so.{VERSION}",
        "gsp_ga10x.bin",
    }
    assert all(host.path(path).exists() or host.path(path).is_symlink() for path in mounts.values())


@pytest.mark.parametrize("layout", ["debian", "debian-alternatives", "rhel"])
def test_a_driver_root_with_absolute_links_gives_paths_that_the_host_can_follow(host, layout):
    host.become(case(GPU, driver_root=DRIVER_ROOT, dev_root=DRIVER_ROOT, layout=layout))
    done = host.oneshot("--driver-root", DRIVER_ROOT)
    assert done.returncode == 0, done.stderr
    mounts = host.published().mounts()
    host.shell(f"for path in {' '.join(mounts.values())}; do test -e $path; done")
    assert all(path.startswith(f"{DRIVER_ROOT}/") for path in mounts.values())
    assert not any(path.startswith(DRIVER_ROOT) for path in mounts)
    assert mounts["/usr/bin/nvidia-smi"].endswith("/nvidia-smi")
    host.shell("rm -rf /run/cdi")


def test_a_driver_root_may_be_a_symbolic_link(host):
    host.become(case(GPU, driver_root=DRIVER_ROOT, dev_root=DRIVER_ROOT, links={"/run/linked": DRIVER_ROOT}))
    assert printed(host, "--driver-root=/run/linked") == printed(host, f"--driver-root={DRIVER_ROOT}").replace(
        DRIVER_ROOT, "/run/linked"
    )


def test_by_path_links_in_a_container_do_not_contain_the_driver_root(host):
    host.become(case(GPU, dev_root=DRIVER_ROOT))
    spec = host.generate("--dev-root", DRIVER_ROOT)
    assert spec.hook("create-symlinks", "0") == [
        "--link",
        "../card1::/dev/dri/by-path/pci-0000:01:00.0-card",
        "--link",
        "../renderD128::/dev/dri/by-path/pci-0000:01:00.0-render",
    ]


@pytest.mark.parametrize(
    ("other", "module", "chosen"),
    [
        ("550.1.2", None, VERSION),
        ("99.1", None, VERSION),
        ("600.1", None, "600.1"),
        ("600.1", VERSION, VERSION),
        ("550.1.2", "550.1.2", "550.1.2"),
        (f"{VERSION}.bak", None, VERSION),
    ],
)
def test_the_loaded_modules_version_is_used_or_else_the_highest_installed(host, other, module, chosen):
    add = {f"{LIB}/{name}.so.{other}": "" for name in ("libcuda", "libnvidia-ml")}
    loaded = {"module_version": module, "version_file": True} if module else {}
    host.become(case(add=add, extra_nodes={"nvidia0": [195, 0]}, nvml=["fail nvmlInit_v2 999"], **loaded))
    mounts = host.generate("--mode", "management").mounts()
    assert {path.rpartition(".so.")[2] for path in mounts if "/libcuda.so." in path} == {chosen}
