"""From inventory and choices to a spec."""

import pytest

from cdi_refreshd.core.cdi.model import DeviceNode
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.config.generate_options import HOOKS
from cdi_refreshd.core.findings import Fault, Finding, UsageFault
from cdi_refreshd.core.nvidia.build.coherent import parts
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import Channel, Driver, Library, Link, Node
from tests.unit.core.inventories import CONTROL, DRIVER, HOOK, LIB, VERSION, gpu, inventory, mig

TWO = inventory(gpu(drm=True), gpu(1))
CUT = inventory(gpu(), gpu(1, mig_enabled=True), migs=(mig(1), mig(1, 1, gi=2, ci=1)))


def spec_of(seen, **choices):
    return build(seen, Choices(**choices))


def names(spec):
    return [device.name for device in spec.devices]


def edits_of(spec, name):
    return next(device.container_edits for device in spec.devices if device.name == name)


def paths(edits):
    return [node.path for node in edits.device_nodes]


def hooks_of(spec):
    """Name of each hook at spec level, in order."""
    return [hook.args[1] for hook in spec.container_edits.hooks]


@pytest.mark.parametrize(
    ("strategies", "expected"),
    [
        (("index",), ["0", "1:0", "1:1", "all"]),
        (("uuid",), ["GPU-0", "MIG-1-0", "MIG-1-1", "all"]),
        (("type-index",), ["all", "gpu0", "mig1:0", "mig1:1"]),
        (("index", "uuid"), ["0", "1:0", "1:1", "GPU-0", "MIG-1-0", "MIG-1-1", "all"]),
    ],
)
def test_each_strategy_has_its_names_for_gpus_and_mig_devices(strategies, expected):
    assert names(spec_of(CUT, name_strategies=strategies)) == expected


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("0", "0"),
        ("GPU-0", "0"),
        ("1:0", "1:0"),
        ("MIG-1-0", "1:0"),
        ("MIG-GPU-1/2/1", "1:1"),
        ("1", "1"),  # the whole GPU, although it is in MIG mode
        ("GPU-1", "1"),
    ],
)
def test_a_device_may_be_requested_by_any_of_its_names(word, expected):
    assert names(spec_of(CUT, device_ids=(word,), name_strategies=("index",))) == [expected, "all"]


def test_a_device_that_is_requested_by_two_names_is_one_device():
    assert names(spec_of(CUT, device_ids=("0", "GPU-0"), name_strategies=("index",))) == ["0", "all"]


@pytest.mark.parametrize("words", [("7",), ("GPU-x",), ("0:0",), ("MIG-GPU-1/1/9",), ("0", "7")])
def test_a_device_that_does_not_exist_is_a_usage_fault(words):
    with pytest.raises(UsageFault, match="--device-id: there is no device"):
        spec_of(CUT, device_ids=words)


@pytest.mark.parametrize("word", ["2", "GPU-2"])
def test_a_request_for_a_left_out_device_gives_the_reason(word):
    lost = Finding("degraded", "GPU 2 (GPU-2)", "/dev/nvidia2 is missing", "nvidia-modprobe", ("2", "GPU-2"))
    with pytest.raises(Fault) as fault:
        spec_of(CUT._replace(findings=(lost,)), device_ids=(word,))
    assert not isinstance(fault.value, UsageFault)
    assert str(fault.value) == f"--device-id {word}: /dev/nvidia2 is missing, so it is left out; nvidia-modprobe"


def test_a_list_of_known_devices_stays_short():
    with pytest.raises(UsageFault) as fault:
        spec_of(inventory(*(gpu(number) for number in range(64))), device_ids=("zzz",))
    assert len(str(fault.value)) < 200


def test_the_first_of_the_device_ids_all_and_none_decides():
    assert names(spec_of(TWO, device_ids=("0", "none", "all"))) == ["none"]
    assert len(names(spec_of(TWO, device_ids=("7", "all", "none")))) == 5


def test_the_device_id_none_makes_one_device_with_only_a_mark_and_no_device_all():
    spec = spec_of(TWO, device_ids=("none",))
    assert edits_of(spec, "none").env == ("NVCT_EMPTY_DEVICE=",)
    assert spec.container_edits.mounts


@pytest.mark.parametrize("name", ["DGX Display", "NVIDIA DGX Display"])
def test_a_display_gpu_is_listed_only_on_request(name):
    seen = inventory(gpu()._replace(name=name), gpu(1), migs=(mig(0),))
    assert names(spec_of(seen, name_strategies=("index",))) == ["1", "all"]
    assert names(spec_of(seen, name_strategies=("index",), device_ids=("0",))) == ["0", "all"]


def test_all_has_every_device_and_can_be_left_out():
    assert paths(edits_of(spec_of(CUT), "all")) == [
        "/dev/nvidia0",
        "/dev/nvidia1",
        *(f"/dev/nvidia-caps/nvidia-cap{number}" for number in (12, 13, 21, 23)),
    ]
    assert "all" not in names(spec_of(CUT, all_device=False))


def test_a_gpu_is_named_by_index_and_its_node_by_minor():
    assert paths(edits_of(spec_of(inventory(gpu(0, minor=5))), "0")) == ["/dev/nvidia5"]


@pytest.mark.parametrize(
    ("choices", "seen", "version"),
    [
        ({"name_strategies": ("uuid",)}, TWO, "0.3.0"),
        ({"name_strategies": ("type-index",)}, TWO, "0.3.0"),
        ({}, TWO, "0.5.0"),
        ({"name_strategies": ("uuid",), "dev_root": "/d"}, inventory(gpu(root="/d")), "0.5.0"),
        ({"class_name": "gpu.x"}, TWO, "0.6.0"),
        ({}, inventory(gpu()._replace(nodes=(Node("/dev/nvidia0", 195, 0, 0o660, 0, 44),))), "0.7.0"),
    ],
)
def test_a_spec_has_the_lowest_version_that_its_features_allow(choices, seen, version):
    assert spec_of(seen, **choices).cdi_version == version


def test_a_nodes_group_is_added_only_where_access_needs_it_and_unless_disabled():
    def gids(mode, gid, *flags):
        seen = inventory(gpu()._replace(nodes=(Node("/dev/nvidia0", 195, 0, mode, 0, gid),)))
        return edits_of(spec_of(seen, feature_flags=flags), "0").additional_gids

    assert gids(0o660, 44) == gids(0o664, 44) == (44,)
    assert gids(0o666, 44) == gids(0o660, 0) == gids(0, 44) == ()
    assert gids(0o660, 44, "no-additional-gids-for-device-nodes") == ()


def test_a_nodes_numbers_can_be_left_to_the_runtime_but_not_its_permissions():
    seen = inventory(gpu()._replace(nodes=(Node("/dev/nvidia0", 195, 0, 0o660, 0, 44),)))
    spec = spec_of(seen, feature_flags=("no-device-numbers",))
    assert edits_of(spec, "0").device_nodes == (DeviceNode("/dev/nvidia0", file_mode=0o660, gid=44),)
    nodes = [node for device in spec_of(TWO, feature_flags=("no-device-numbers",)).devices
             for node in device.container_edits.device_nodes]  # fmt: skip
    assert nodes and all((node.major, node.minor, node.type) == (0, 0, "") for node in nodes)


def test_hooks_are_in_the_order_in_which_they_must_run():
    assert hooks_of(spec_of(TWO)) == [
        "create-symlinks",
        "enable-cuda-compat",
        "update-ldcache",
        "disable-device-node-modification",
        "update-application-profile",
    ]


@pytest.mark.parametrize(
    ("enabled", "disabled", "left"),
    [
        ((), ("all",), set()),
        (("update-ldcache",), ("all",), {"update-ldcache"}),
        (("update-ldcache",), ("update-ldcache", "all"), {"update-ldcache"}),
        ((), ("update-ldcache", "create-symlinks"), set(HOOKS) - {"update-ldcache", "create-symlinks", "chmod"}),
        (("chmod",), (), set(HOOKS)),
    ],
)
def test_an_enabled_hook_beats_a_disabled_one_and_that_beats_the_default(enabled, disabled, left):
    spec = spec_of(TWO, enabled_hooks=enabled, disabled_hooks=disabled)
    found = {hook.args[1] for edits in (spec.container_edits, edits_of(spec, "0")) for hook in edits.hooks}
    assert found == left


def test_chmod_names_dri_where_there_is_a_node_in_it():
    spec = spec_of(TWO, enabled_hooks=("chmod",))
    assert [hook.args[1:] for hook in edits_of(spec, "0").hooks][-1] == ("chmod", "--mode", "755", "--path", "/dev/dri")
    assert [hook.args[1:] for hook in edits_of(spec, "1").hooks] == [("chmod", "--mode", "755")]


@pytest.mark.parametrize(
    ("path", "start"), [(HOOK, ("nvidia-cdi-hook",)), ("/usr/bin/nvidia-ctk", ("nvidia-ctk", "hook"))]
)
def test_a_hooks_arguments_start_with_its_programs_name(path, start):
    for hook in spec_of(TWO._replace(hook=HookProgram(path, True))).container_edits.hooks:
        assert hook.path == path
        assert hook.args[: len(start)] == start
        assert hook.hook_name == "createContainer"
        assert hook.env == ("NVIDIA_CTK_DEBUG=false",)


def test_ldconfig_is_named_only_where_it_is_given():
    def ldcache(**choices):
        return next(h.args[2:] for h in spec_of(TWO, **choices).container_edits.hooks if h.args[1] == "update-ldcache")

    assert ldcache() == ("--folder", LIB)
    assert ldcache(ldconfig_path="/x") == ("--ldconfig-path", "/x", "--folder", LIB)


def test_by_path_links_in_a_container_do_not_contain_the_dev_root():
    spec = spec_of(inventory(gpu(drm=True, root="/d")), dev_root="/d")
    edits = edits_of(spec, "0")
    assert edits.hooks[0].args[2:] == ("--link", "../card0::/dev/dri/by-path/pci-0000:01:00.0-card")
    assert [(node.path, node.host_path) for node in edits.device_nodes] == [
        ("/dev/nvidia0", "/d/dev/nvidia0"),
        ("/dev/dri/card0", "/d/dev/dri/card0"),
    ]


def test_paths_below_the_driver_root_start_at_the_containers_root():
    library = Library(f"/r{LIB}/libcuda.so.{VERSION}", "libcuda.so.1", True)
    driver = Driver(VERSION, library_dirs=(f"/r{LIB}",), libraries=(library,), binaries=("/r/usr/bin/nvidia-smi",))
    edits = spec_of(inventory(gpu(), driver=driver), driver_root="/r").container_edits
    assert edits.env[0] == f"NVIDIA_CTK_LIBCUDA_DIR={LIB}"
    assert {(mount.host_path, mount.container_path) for mount in edits.mounts} == {
        (f"/r{LIB}/libcuda.so.{VERSION}", f"{LIB}/libcuda.so.{VERSION}"),
        ("/r/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi"),
    }
    assert f"libcuda.so.1::{LIB}/libcuda.so" in edits.hooks[0].args


def test_a_link_that_the_host_cannot_follow_is_mounted_by_its_real_path():
    astray = (Link("/r/usr/bin/nvidia-smi", "/r/opt/nvidia-smi"),)
    driver = DRIVER._replace(binaries=("/r/usr/bin/nvidia-smi",), astray=astray)
    mounts = spec_of(inventory(gpu(), driver=driver), driver_root="/r").container_edits.mounts
    assert ("/r/opt/nvidia-smi", "/usr/bin/nvidia-smi") in {(mount.host_path, mount.container_path) for mount in mounts}


def test_devices_and_nodes_are_in_the_order_of_their_names():
    spec = spec_of(inventory(*(gpu(number) for number in (0, 1, 10, 2))), name_strategies=("index",))
    assert names(spec) == ["0", "1", "10", "2", "all"]
    assert paths(edits_of(spec, "all")) == ["/dev/nvidia0", "/dev/nvidia1", "/dev/nvidia10", "/dev/nvidia2"]
    assert paths(spec.container_edits) == sorted(node.path for node in CONTROL)


def test_a_channel_keeps_its_text_and_has_no_numbers():
    channels = (Channel("007", "/d/dev/nvidia-caps-imex-channels/channel007"),)
    spec = spec_of(inventory(mode="imex", channels=channels), dev_root="/d")
    node = DeviceNode("/dev/nvidia-caps-imex-channels/channel007", "/d/dev/nvidia-caps-imex-channels/channel007")
    assert edits_of(spec, "007").device_nodes == (node,)
    assert spec.container_edits.env == ("NVIDIA_VISIBLE_DEVICES=void",)


def test_a_management_container_may_modify_device_nodes_unless_configured_otherwise():
    seen = inventory(mode="management", nodes=CONTROL)
    kept = ["create-symlinks", "enable-cuda-compat", "update-ldcache"]
    assert hooks_of(spec_of(seen)) == kept
    assert hooks_of(spec_of(seen, enabled_hooks=("disable-device-node-modification",)))[3:] == [
        "disable-device-node-modification"
    ]


@pytest.mark.parametrize("mode", ["gds", "gdrcopy", "mofed", "nvswitch", "wsl", "management", "imex"])
def test_a_mode_without_its_nodes_is_a_fault_that_names_them(mode):
    with pytest.raises(Fault, match=r"^/dev/"):
        spec_of(inventory(mode=mode, nodes=()))


def test_coherent_gpus_get_specs_of_their_own():
    seen = inventory(gpu(coherent=True), gpu(1, coherent=False), gpu(2), migs=(mig(3),))
    spec = spec_of(seen, feature_flags=("enable-coherent-annotations",), name_strategies=("index",))
    found = dict(parts(spec))
    assert {name: (part.kind, names(part)) for name, part in found.items()} == {
        "": ("nvidia.com/gpu", ["0", "1", "2", "3:0", "all"]),
        "coherent": ("nvidia.com/gpu.coherent", ["0", "all"]),
        "noncoherent": ("nvidia.com/gpu.noncoherent", ["1", "all"]),
    }
    assert paths(edits_of(found["coherent"], "all")) == ["/dev/nvidia0"]
    assert not any(device.annotations for part in found.values() for device in part.devices)
    assert [part.cdi_version for part in found.values()] == ["0.5.0", "0.6.0", "0.6.0"]


def test_without_the_flag_there_is_one_spec():
    assert [name for name, _ in parts(spec_of(inventory(gpu(coherent=True))))] == [""]
