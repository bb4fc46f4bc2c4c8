"""What follows from the facts, without a machine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cdi_refreshd.core.config.schema import parse
from cdi_refreshd.core.config.settings import BrokenConfiguration
from cdi_refreshd.core.entries import CHARACTER, Entry
from cdi_refreshd.core.nvidia import device_node_plan
from cdi_refreshd.core.nvidia.device_node_plan import Capability, Facts, Memory, Permissions
from cdi_refreshd.core.nvidia.inventory import Node

MAJORS = {"nvidia": 195, "nvidia-uvm": 510, "nvidia-caps": 511}
FACTS = Facts(MAJORS, minors=(0, 3), modeset=True, modules=(1, 2, 3))


def standing(**names):
    return {f"/dev/{name.replace('_', '-')}": Entry(CHARACTER, CHARACTER, *numbers) for name, numbers in names.items()}


def made(facts, memory=device_node_plan.FORGETFUL):
    return [action.path for action in device_node_plan.node_actions(facts, memory) if action.do == "make"]


def test_all_nodes_are_those_of_the_modules_and_the_listed_gpus():
    assert [node[:3] for node in device_node_plan.wanted(FACTS)] == [
        ("/dev/nvidiactl", 195, 255),
        ("/dev/nvidia-modeset", 195, 254),
        ("/dev/nvidia0", 195, 0),
        ("/dev/nvidia3", 195, 3),
        ("/dev/nvidia-uvm", 510, 0),
        ("/dev/nvidia-uvm-tools", 510, 1),
    ]


def test_drivers_before_550_have_another_name_for_the_same_number():
    assert made(Facts({"nvidia-frontend": 195})) == ["/dev/nvidiactl"]


def test_without_a_module_nothing_is_made():
    assert made(FACTS._replace(majors={})) == []


def test_nothing_is_made_on_wsl_and_tegra():
    assert made(FACTS._replace(exempt="Tegra")) == []


def test_no_node_is_planned_where_the_administrator_manages_them():
    assert made(FACTS._replace(permissions=Permissions(allowed=False))) == []


def test_nodes_have_the_mode_and_owner_that_the_driver_gives():
    text = 'ModifyDeviceFiles: 1\nDeviceFileUID: 7\nDeviceFileGID: 44\nDeviceFileMode: 432\nRmMsg: ""\n'
    assert device_node_plan.permissions(text) == Permissions(0o660, 7, 44)
    facts = FACTS._replace(permissions=device_node_plan.permissions(text))
    assert {node[3:] for node in device_node_plan.wanted(facts)} == {(0o660, 7, 44)}


@given(st.text())
def test_arbitrary_driver_parameters_raise_nothing_and_make_no_node_setuid(text):
    for words in (text, f"DeviceFileMode: {text}", f"DeviceFileUID: {text}\nDeviceFileMode: 3072"):
        found = device_node_plan.permissions(words)
        assert 0 <= found.mode <= 0o777
        assert 0 <= found.uid < 1 << 32


def test_capabilities_have_their_own_modes_and_only_listed_gpus_have_any():
    said = "DeviceFileMinor: 148\nDeviceFileMode: 256\nDeviceFileModify: 1\n"
    capabilities = [device_node_plan.capability(path, said) for path in ("mig/config", "gpu3/mig/gi1/access")]
    others = [device_node_plan.capability(path, said) for path in ("gpu1/mig/gi1/access", "fabric-imex-mgmt")]
    facts = FACTS._replace(capabilities=(*capabilities, *others))
    assert device_node_plan.wanted(facts)[6:] == (Node("/dev/nvidia-caps/nvidia-cap148", 511, 148, 0o400),) * 2
    assert device_node_plan.capability("mig/config", "DeviceFileMode: 256\n") is None
    kept = Capability("mig/config", 1, allowed=False)
    assert len(device_node_plan.wanted(FACTS._replace(capabilities=(kept,)))) == 6


def test_a_removed_node_stays_away_until_the_driver_is_loaded_again():
    everything = FACTS._replace(standing=standing(nvidiactl=(195, 255), nvidia_modeset=(195, 254)))
    memory = device_node_plan.remembered(everything, device_node_plan.FORGETFUL, frozenset(["/dev/nvidia0"]))
    assert memory == Memory((1, 2, 3), ("/dev/nvidia-modeset", "/dev/nvidia0", "/dev/nvidiactl"))
    assert made(FACTS, memory) == ["/dev/nvidia3", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools"]
    assert len(made(FACTS._replace(modules=(4, 2, 3)), memory)) == 6


def test_a_removed_node_is_made_again_after_the_driver_did_not_list_it_for_a_while():
    memory = Memory((1, 2, 3), ("/dev/nvidia3",))
    without = FACTS._replace(minors=(0,))
    assert "/dev/nvidia3" in made(FACTS, device_node_plan.remembered(without, memory, frozenset()))


def links(facts):
    return [(action.do, action.path, action.text) for action in device_node_plan.link_actions(facts)]


def test_every_nvidia_node_gets_a_link_and_no_other_node():
    facts = FACTS._replace(standing=standing(nvidia0=(195, 0), nvidia_uvm=(510, 0), nvidia_old=(509, 0)))
    assert links(facts) == [
        ("link", "/dev/char/195:0", "../nvidia0"),
        ("link", "/dev/char/510:0", "../nvidia-uvm"),
    ]


def test_a_link_to_the_right_node_by_another_path_is_left_alone():
    facts = FACTS._replace(standing=standing(nvidia0=(195, 0)), links={"195:0": "/dev/nvidia0"})
    assert links(facts) == []


def test_stale_links_of_ours_are_removed_and_others_stay():
    have = {"195:0": "../nvidia0", "509:0": "../nvidia-uvm", "1:3": "../null", "8:1": "/dev/nvidia0", "195:9": ""}
    facts = FACTS._replace(standing=standing(nvidia_uvm=(510, 0)), links=have | {"510:0": "../nvidia-uvm-tools"})
    assert links(facts) == [
        ("link anew", "/dev/char/510:0", "../nvidia-uvm"),
        ("remove", "/dev/char/195:0", "../nvidia0"),
        ("remove", "/dev/char/509:0", "../nvidia-uvm"),
    ]


def test_a_foreign_link_is_left_and_reported():
    facts = FACTS._replace(standing=standing(nvidia0=(195, 0), nvidia3=(195, 3)))
    reported = links(facts._replace(links={"195:0": "/dev/sda", "195:3": ""}))
    assert [word for word, *_ in reported] == ["leave", "leave"]


def test_where_the_table_of_devices_cannot_be_read_no_link_is_stale():
    assert links(Facts(readable=False, links={"195:0": "../nvidia0"})) == []


def test_nodes_of_another_root_have_links_by_their_absolute_paths():
    dev = "/run/nvidia/driver/dev"
    facts = FACTS._replace(dev=dev, standing={f"{dev}/nvidia0": Entry(CHARACTER, CHARACTER, 195, 0)})
    assert links(facts) == [("link", "/dev/char/195:0", f"{dev}/nvidia0")]
    assert links(facts._replace(links={"195:0": f"{dev}/nvidia0", "195:7": f"{dev}/nvidia7"})) == [
        ("remove", "/dev/char/195:7", f"{dev}/nvidia7")
    ]


def test_links_are_planned_for_the_nodes_of_the_same_plan():
    facts = FACTS._replace(minors=())
    after = device_node_plan.after(facts, device_node_plan.node_actions(facts))
    assert ("link", "/dev/char/195:255", "../nvidiactl") in links(after)
    assert made(after) == []


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", ("auto", True)),
        ("device-nodes = On", ("yes", True)),
        ("device-nodes=0\ndev-char-links=no", ("no", False)),
    ],
)
def test_the_configuration_takes_auto_and_all_words_for_yes_and_no(text, wanted):
    settings, _, findings = parse([("/1.conf", f"[host]\n{text}\n")])
    assert (settings.device_nodes, settings.dev_char_links) == wanted
    assert findings == []


def test_an_unknown_word_is_reported_with_its_place():
    with pytest.raises(BrokenConfiguration, match=r"/1[.]conf:2: device-nodes: 'maybe' is neither true nor false"):
        parse([("/1.conf", "[host]\ndevice-nodes = maybe\n")])
