"""Specs without hooks: mounts and device nodes replace what hooks would make."""

import pytest

from cdi_refreshd.core.cdi.validate import validate
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build import hookless, left_out
from cdi_refreshd.core.nvidia.build.edits import mount
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import Driver, Library, Link, Tegra, Wsl
from cdi_refreshd.core.refresh import states
from tests.unit.core.inventories import CONTROL, HOOK, LIB, VERSION, gpu, inventory

FEDORA = "/usr/lib64"


def library(name, soname="", folder=LIB, linked=True, **more):
    path = f"{folder}/{name}"
    return Library(path, soname or name, linked and soname != "", **more)


def driver(folder=LIB):
    return Driver(
        version=VERSION,
        library_dirs=(folder,),
        libraries=(
            library(f"libcuda.so.{VERSION}", "libcuda.so.1", folder),
            library(f"libnvidia-glcore.so.{VERSION}", folder=folder),
            library(f"libnvidia-allocator.so.{VERSION}", "libnvidia-allocator.so.1", folder, linked=False),
            library(f"libvdpau_nvidia.so.{VERSION}", "libvdpau_nvidia.so.1", f"{folder}/vdpau"),
        ),
        graphics_libraries=(library("libnvidia-egl-gbm.so.1.1.2", "libnvidia-egl-gbm.so.1", folder, linked=False),),
        allocator=(f"{folder}/libnvidia-allocator.so.{VERSION}",),
    )


def seen(folder=LIB, runs=False, **more):
    given = {"driver": driver(folder), "hook": HookProgram(HOOK, runs)} | more
    return inventory(gpu(drm=True), gpu(1, drm=True), **given)


def spec(machine=None, **choices):
    made = build(machine or seen(), Choices(**choices))
    assert not validate(made)
    return made


def mounts(made):
    """Host paths by path in the container."""
    found = {item.container_path: item.host_path for item in made.container_edits.mounts}
    assert len(found) == len(made.container_edits.mounts)
    return found


def test_a_spec_has_hooks_or_mounts_of_links_and_never_both():
    for machine, hooks in ((seen(), "auto"), (seen(), "none"), (seen(runs=True), "none")):
        made = spec(machine, hooks=hooks)
        assert not left_out.called(made)
        assert f"{LIB}/libcuda.so.1" in mounts(made)
    for machine, hooks in ((seen(runs=True), "auto"), (seen(), "nvidia")):
        made = spec(machine, hooks=hooks)
        assert "create-symlinks" in left_out.called(made)
        assert f"{LIB}/libcuda.so.1" not in mounts(made)


@pytest.mark.parametrize("folder", [LIB, FEDORA, "/usr/lib", "/opt/nvidia/lib64", f"{LIB}/nvidia/current"])
def test_a_loader_of_either_family_finds_every_library_wherever_the_host_has_it(folder):
    found = mounts(spec(seen(folder)))
    for directory in (LIB, FEDORA):
        for name, file in (
            ("libcuda.so", f"libcuda.so.{VERSION}"),
            ("libcuda.so.1", f"libcuda.so.{VERSION}"),
            (f"libcuda.so.{VERSION}", f"libcuda.so.{VERSION}"),
            (f"libnvidia-glcore.so.{VERSION}", f"libnvidia-glcore.so.{VERSION}"),
            ("libnvidia-allocator.so.1", f"libnvidia-allocator.so.{VERSION}"),
            ("libnvidia-egl-gbm.so.1", "libnvidia-egl-gbm.so.1.1.2"),
            ("gbm/nvidia-drm_gbm.so", f"libnvidia-allocator.so.{VERSION}"),
            ("vdpau/libvdpau_nvidia.so.1", f"vdpau/libvdpau_nvidia.so.{VERSION}"),
        ):
            assert found[f"{directory}/{name}"] == f"{folder}/{file}"


def test_a_library_keeps_the_hosts_path():
    assert f"/opt/nvidia/lib64/libnvidia-glcore.so.{VERSION}" in mounts(spec(seen("/opt/nvidia/lib64")))


def test_libraries_of_arm_are_mounted_in_the_directory_of_its_triplet():
    found = mounts(spec(seen(machine="aarch64")))
    assert "/usr/lib/aarch64-linux-gnu/libcuda.so.1" in found
    assert f"{FEDORA}/libcuda.so.1" in found


def test_a_32_bit_library_is_mounted_in_the_directories_for_32_bits():
    narrow = library(f"libcuda.so.{VERSION}", "libcuda.so.1", "/usr/lib/i386-linux-gnu", bits=32)
    made = seen(driver=driver()._replace(libraries=(*driver().libraries, narrow)))
    found = mounts(spec(made))
    assert found["/usr/lib/i386-linux-gnu/libcuda.so.1"] == found["/usr/lib/libcuda.so.1"] == narrow.path
    assert found[f"{FEDORA}/libcuda.so.1"] == f"{LIB}/libcuda.so.{VERSION}"


def test_below_a_driver_root_the_hosts_path_has_the_root_and_the_containers_has_not():
    root = "/run/nvidia/driver"
    found = mounts(spec(seen(f"{root}/usr/lib64"), driver_root=root))
    assert found[f"{LIB}/libcuda.so.1"] == f"{root}/usr/lib64/libcuda.so.{VERSION}"
    assert not [path for path in found if path.startswith(root)]


def test_64_bit_libraries_of_arch_leave_the_directory_of_fedoras_32_bit_loader_free():
    narrow = library(f"libcuda.so.{VERSION}", "libcuda.so.1", "/usr/lib32", bits=32)
    wide = driver("/usr/lib")
    found = mounts(spec(seen(driver=wide._replace(libraries=(*wide.libraries, narrow)))))
    assert found["/usr/lib/libcuda.so.1"] == found["/usr/lib/i386-linux-gnu/libcuda.so.1"] == narrow.path
    assert found[f"{FEDORA}/libcuda.so.1"] == found[f"{LIB}/libcuda.so.1"] == f"/usr/lib/libcuda.so.{VERSION}"


def test_versioned_names_stay_only_for_libraries_that_need_them():
    names = {path.removeprefix(f"{FEDORA}/") for path in mounts(spec()) if path.startswith(FEDORA)}
    assert {f"libcuda.so.{VERSION}", f"libnvidia-glcore.so.{VERSION}"} <= names
    assert not {f"libnvidia-allocator.so.{VERSION}", "libnvidia-egl-gbm.so.1.1.2"} & names


def test_triton_gets_a_directory_that_has_both_names_in_containers_of_both_families():
    assert f"TRITON_LIBCUDA_PATH={FEDORA}" in spec().container_edits.env
    assert {f"{FEDORA}/libcuda.so", f"{FEDORA}/libcuda.so.1"} <= set(mounts(spec()))
    assert not [word for word in spec(seen(runs=True)).container_edits.env if "TRITON" in word]


def test_no_library_path_is_set_and_nothing_more_is_put_into_etc_or_proc():
    assert not [word for word in spec().container_edits.env if word.startswith("LD_")]
    assert not [path for path in mounts(spec()) if path.startswith(("/etc", "/proc"))]


def test_by_path_links_are_nodes_of_those_paths_with_the_nodes_numbers():
    device = next(device for device in spec().devices if device.name == "1")
    path = "/dev/dri/by-path/pci-0000:02:00.0-card"
    [node] = [node for node in device.container_edits.device_nodes if node.path == path]
    assert (node.host_path, node.major, node.minor) == ("/dev/dri/card1", 226, 1)
    assert not device.container_edits.hooks


def test_by_path_nodes_of_another_dev_root_have_no_root_in_the_container():
    root = "/run/nvidia/driver"
    made = build(seen()._replace(gpus=(gpu(drm=True, root=root),)), Choices(dev_root=root))
    nodes = {node.path: node.host_path for node in made.devices[0].container_edits.device_nodes}
    # The link in this inventory is the host's own: it leads to no node of the root, and does not count.
    assert not [path for path in nodes if path.startswith(root)]


def files(*paths):
    return {path: mount("/", path) for path in paths}


def test_links_are_followed_to_the_file_that_is_mounted():
    made = hookless.link_mounts(files("/x/a.so.1.2"), hookless.targets([Link("/x/a.so.1", "a.so.1.2")]))
    assert made == {"/x/a.so.1": mount("/", "/x/a.so.1.2")._replace(container_path="/x/a.so.1")}
    chain = [Link("/y/gbm/b.so", "../../x/a.so"), Link("/x/a.so", "a.so.1"), Link("/x/a.so.1", "/x/a.so.1.2")]
    made = hookless.link_mounts(files("/x/a.so.1.2"), hookless.targets(chain))
    assert set(made) == {link.path for link in chain}
    assert {item.host_path for item in made.values()} == {"/x/a.so.1.2"}


@pytest.mark.parametrize("links", [[("a", "b")], [("a", "a")], [("a", "b"), ("b", "a")]])
def test_a_dangling_link_is_not_mounted(links):
    assert not hookless.link_mounts(files("/x/c"), hookless.targets(Link(f"/x/{a}", b) for a, b in links))


def state(machine, **choices):
    return states.complete(states.draft(machine, Choices(**choices)), states.Facts()).state


def findings(machine, **choices):
    return left_out.findings(machine, Choices(**choices), spec(machine, **choices))


def test_missing_features_are_reported_once_and_the_state_is_ready():
    [finding] = findings(seen())
    assert (finding.severity, finding.place) == ("info", HOOK)
    assert "cannot be executed, so the spec has no hooks: " in finding.fact
    for word in ("compat libraries", "EGL", "device nodes"):
        assert word in finding.fact
    assert state(seen()) == "ready"


def test_a_link_that_leads_to_no_mounted_file_is_an_info_finding():
    lone = library("libnvidia-opticalflow.so.580.95.05", "", linked=False)
    machine = seen(driver=driver()._replace(libraries=(*driver().libraries, lone)))
    _, finding = findings(machine)
    assert finding.severity == "info"
    assert f"{LIB}/libnvidia-opticalflow.so" in finding.place
    assert "leads to no file that the spec mounts" in finding.fact


def test_a_program_that_was_named_and_cannot_be_executed_degrades():
    machine = seen(hook=HookProgram("/opt/hook"))
    assert state(machine, hook_path="/opt/hook") == state(machine, hook_path="my-hook") == "degraded"
    assert state(machine, hook_path="/opt/hook", hooks="none") == "ready"
    assert state(machine, hook_path="nvidia-cdi-hook") == "ready"


def test_a_requested_hook_that_nothing_replaces_degrades():
    for hooks in ("auto", "none"):
        assert state(seen(), hooks=hooks, enabled_hooks=("enable-cuda-compat",)) == "degraded"
        assert state(seen(), hooks=hooks, enabled_hooks=("create-symlinks", "update-ldcache")) == "ready"


def test_both_directories_are_available_with_hooks_too():
    made = spec(seen("/opt/nvidia/lib64", runs=True), feature_flags=("both-loader-directories",))
    folders = ("/usr/lib/x86_64-linux-gnu", FEDORA, "/opt/nvidia/lib64")
    assert {f"{folder}/libcuda.so.{VERSION}" for folder in folders} <= set(mounts(made))
    hooks = {hook.args[1]: hook.args for hook in made.container_edits.hooks}
    assert set(folders) <= set(hooks["update-ldcache"])
    words = [word for hook in made.container_edits.hooks for word in hook.args]
    assert {f"libcuda.so.1::{folder}/libcuda.so" for folder in folders} <= set(words)


def test_with_hooks_two_libraries_of_one_name_make_no_link_where_a_mount_is():
    """NVIDIA's program fails there, and no container starts."""
    listed = (Library("/opt/a/libx.so.1", "libx.so.1"), Library("/opt/b/libx.so.1.0", "libx.so.1", True))
    found = Tegra(nodes=CONTROL, libraries=listed)
    made = spec(seen(mode="csv", tegra=found, runs=True), feature_flags=("both-loader-directories",))
    links = [word.partition("::")[2] for hook in made.container_edits.hooks for word in hook.args if "::" in word]
    assert links == ["/opt/b/libx.so.1"]
    assert f"{FEDORA}/libx.so.1" in mounts(made)
    lone = Tegra(nodes=CONTROL, libraries=(listed[0], listed[1]._replace(path="/usr/lib64/libx.so.1.0")))
    made = spec(seen(mode="csv", tegra=lone, runs=True), feature_flags=("both-loader-directories",))
    assert left_out.called(made) == ["update-ldcache"]


def test_csv_modes_libraries_and_links_are_mounts():
    folder = "/usr/lib/aarch64-linux-gnu/tegra"
    found = Tegra(
        nodes=CONTROL,
        libraries=(Library(f"{folder}/libcuda.so.1.1", "libcuda.so.1", True),),
        symlinks=(Library("/opt/tegra/libnvdla.so.2", "libnvdla.so.2"),),
        chains=(Link("/opt/lib/libnvdla.so", "../tegra/libnvdla.so.2"),),
    )
    paths = mounts(spec(seen(mode="csv", tegra=found, machine="aarch64")))
    for directory in (folder, "/usr/lib/aarch64-linux-gnu", FEDORA):
        assert paths[f"{directory}/libcuda.so.1"] == f"{folder}/libcuda.so.1.1"
    assert paths["/opt/lib/libnvdla.so"] == "/opt/tegra/libnvdla.so.2"


def test_nothing_is_put_into_a_directory_that_is_mounted_from_the_host():
    """A container runtime would make the mount point on the host."""
    folder = "/opt/nvidia"
    listed = (Library(f"{folder}/lib/libnvx.so.1.0", "libnvx.so.1"), library("libcuda.so.1.1", "libcuda.so.1"))
    found = Tegra(nodes=CONTROL, directories=(folder,), libraries=listed)
    machine = seen(mode="csv", tegra=found)
    paths = mounts(spec(machine))
    assert paths[f"{folder}/lib/libnvx.so.1.0"] == f"{folder}/lib/libnvx.so.1.0"
    assert f"{folder}/lib/libnvx.so.1" not in paths
    assert paths[f"{FEDORA}/libnvx.so.1"] == f"{folder}/lib/libnvx.so.1.0"
    assert len(findings(machine)) == 1


def test_wsls_libraries_and_its_nvidia_smi_are_mounts():
    store = "/usr/lib/wsl/drivers/nv_dispi"
    libraries = (Library(f"{store}/libcuda.so.1.1", "libcuda.so.1"),)
    files = (f"{store}/libcuda.so.1.1", f"{store}/nvidia-smi")
    found = Wsl(libraries, files, f"{store}/nvidia-smi")
    made = spec(seen(mode="wsl", wsl=found, nodes=CONTROL[:1]))
    paths = mounts(made)
    assert paths["/usr/bin/nvidia-smi"] == f"{store}/nvidia-smi"
    assert paths[f"{LIB}/libcuda.so.1"] == paths[f"{FEDORA}/libcuda.so"] == f"{store}/libcuda.so.1.1"
    assert f"{store}/libcuda.so.1.1" in paths


def test_management_mode_has_no_hooks_on_request_as_well():
    made = spec(seen(mode="management"))
    assert f"{FEDORA}/libcuda.so.1" in mounts(made)
    assert f"{FEDORA}/libnvidia-egl-gbm.so.1" not in mounts(made)


def test_by_path_nodes_are_made_without_numbers_too():
    device = spec(feature_flags=("no-device-numbers",)).devices[0].container_edits
    [node] = [node for node in device.device_nodes if "by-path" in node.path]
    assert (node.host_path, node.major) == ("/dev/dri/card0", 0)


@pytest.mark.parametrize("mode", ["gds", "gdrcopy", "mofed", "nvswitch"])
def test_modes_whose_specs_never_have_hooks_have_no_finding_about_them(mode):
    machine = seen(mode=mode, nodes=CONTROL[:1])
    assert findings(machine) == ()
    assert spec(machine) == spec(machine, hooks="nvidia")
