"""The table of what is a reason to probe, with the kernel's real uevents."""

import pytest

from cdi_refreshd.core.refresh.uevent_filter import SUBSYSTEMS, TESTS, Uevent, interesting
from cdi_refreshd.core.report import wording

BDF = "0000:65:00.0"
PCI = f"/devices/pci0000:64/0000:64:00.0/{BDF}"


def pci(action, pci_id="10DE:2330", **more):
    return Uevent(action, "pci", BDF, PCI, pci_id=pci_id, **{"pci_class": "30200", **more})


def drm(action, name, parent="10DE:2330", **more):
    return Uevent(action, "drm", name, f"{PCI}/drm/{name}", parent_pci_id=parent, **more)


def named(action, subsystem, name, **more):
    return Uevent(action, subsystem, name, f"/{subsystem}/{name}", **more)


REASONS = {
    "pci add 0000:65:00.0": pci("add"),
    "pci remove 0000:65:00.0": pci("remove"),
    "pci bind 0000:65:00.0 (nvidia)": pci("bind", driver="nvidia"),
    "pci bind 0000:65:00.0 (vfio-pci)": pci("bind", driver="vfio-pci"),
    "pci unbind 0000:65:00.0": pci("unbind"),
    "pci change 0000:65:00.0": pci("change", "10de:20B0", pci_class=""),
    "drm add card1": drm("add", "card1"),
    "drm remove renderD128": drm("remove", "renderD128", parent=""),
    "drm change card1": drm("change", "card1"),
    "drivers add nvidia": Uevent("add", "drivers", "nvidia", "/bus/pci/drivers/nvidia"),
    "drivers remove nvidia": Uevent("remove", "drivers", "nvidia", "/bus/pci/drivers/nvidia"),
    "drivers add gk20a": Uevent("add", "drivers", "gk20a", "/bus/platform/drivers/gk20a"),
    "misc add dxg": named("add", "misc", "dxg"),
    "vmbus bind 6e38 (dxgkrnl)": named("bind", "vmbus", "6e38", driver="dxgkrnl"),
    "vmbus remove 6e38": named("remove", "vmbus", "6e38", modalias="vmbus:182d386e36334b4facc42b7703d4df4a"),
    "platform bind 17000000.gpu (gk20a)": named("bind", "platform", "17000000.gpu", driver="gk20a"),
    "platform unbind 17000000.gpu": named("unbind", "platform", "17000000.gpu"),
    "host1x add drm": named("add", "host1x", "drm"),
    **{
        f"module {action} {name}": named(action, "module", name)
        for action in ("add", "remove")
        for name in (
            "nvidia", "nvidia_current", "nvidia_uvm", "nvidia_modeset", "nvidia_drm", "nvidia_peermem", "nvidia_fs",
            "gdrdrv", "nvgpu", "dxgkrnl",
        )
    },
}  # fmt: skip

NONE = {
    "another vendor's card": pci("add", "1002:744C"),
    "a vendor that ends alike": pci("add", "110DE:2330"),
    "no vendor": pci("add", ""),
    "the card's sound": pci("bind", pci_class="40300"),
    "the card's USB": pci("bind", pci_class="C0330"),
    "an action that nobody knows": pci("move"),
    "a screen that is plugged in": drm("change", "card1", display=True),
    "a connector": drm("add", "card1-DP-1"),
    "the table's own device": drm("add", "version"),
    "another vendor's node": drm("add", "card0", parent="8086:A780"),
    "another module": named("add", "module", "amdgpu"),
    "a module that begins alike": named("add", "module", "nvidiafb"),
    "a module's change": named("change", "module", "nvidia"),
    "another bus's driver of the name": Uevent("add", "drivers", "nvidia", "/bus/usb/drivers/nvidia"),
    "another misc device": named("add", "misc", "kvm"),
    "another channel of Hyper-V": named("bind", "vmbus", "6e38", driver="hv_netvsc", modalias="vmbus:635161f83edfc546"),
    "another part of the chip": named("bind", "platform", "17000000.ethernet"),
    "another subsystem": named("add", "block", "nvidia"),
    "nothing reported": Uevent("", "", "", ""),
}


@pytest.mark.parametrize(("words", "event"), REASONS.items(), ids=REASONS)
def test_an_event_that_may_change_a_spec_is_a_reason_with_its_wording(words, event):
    assert wording.words(interesting(event)) == words


@pytest.mark.parametrize("event", NONE.values(), ids=NONE)
def test_an_event_that_changes_no_spec_is_not_a_reason(event):
    assert interesting(event) is None


def test_the_filter_has_a_test_for_each_subscribed_subsystem_and_for_no_other():
    assert set(SUBSYSTEMS) == set(TESTS)
