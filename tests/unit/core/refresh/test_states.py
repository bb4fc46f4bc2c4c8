"""What is seen, and what that means: the table of states, each with the fate of the spec and an exit status."""

import pytest

from cdi_refreshd.core.config.generate_options import Choices
from cdi_refreshd.core.findings import Finding, UsageFault
from cdi_refreshd.core.nvidia.inventory import Driver, Inventory, Library, Nvml, PciFunction, Presence, Search, Tegra
from cdi_refreshd.core.refresh.states import (
    KEEP,
    KEEP_WHILE_VALID,
    PUBLISH,
    WITHDRAW,
    exit_status,
    failed,
    is_settled,
    judge,
    under_policy,
)
from tests.unit.core.inventories import DRIVER, PRESENT, VERSION, gpu, inventory, mig

CHOICES = Choices()
GRAVE = Finding("degraded", "GPU 1", "does not answer NVML, so it is left out", "see dmesg", left_out=("1",))
MINOR = Finding("info", "/dev/nvidia-modeset", "is missing; Vulkan and EGL want it")
FILES = Driver(files_version="580.95.05")
VFIO = Presence(functions=(PciFunction("0000:01:00.0", "vfio-pci"),), module_loaded=True)


CUDA = f"libcuda.so.{VERSION}"


def damaged(stem):
    return DRIVER._replace(libraries=(Library(f"/usr/lib64/{stem}.so.{VERSION}", flaw="is empty"),))


def seen(**change):
    return inventory(gpu(), **change)


@pytest.mark.parametrize(
    ("inventory", "state", "action", "said"),
    [
        (Inventory(mode="nvml"), "no-gpu", WITHDRAW, "no NVIDIA GPU"),
        (Inventory(mode="nvml", presence=Presence(sysfs=False)), "failed", KEEP, "/sys is not readable"),
        (
            Inventory(mode="nvml", presence=Presence(unreadable="/sys/x: cannot be read: Input/output error")),
            "failed",
            KEEP,
            "/sys/x: cannot be read: Input/output error, so nothing can be said about GPUs",
        ),
        (seen(presence=PRESENT._replace(module_loaded=False)), "waiting-driver", WITHDRAW, "module is not loaded"),
        (seen(presence=VFIO), "waiting-driver", WITHDRAW, "0000:01:00.0 (vfio-pci)"),
        (seen(nvml=Nvml(9, "x"), driver=FILES), "waiting-driver", KEEP, "NVML says that the driver is not loaded"),
        (
            seen(nvml=Nvml(12, "x"), driver=Driver(search=Search(("/usr/lib64",), "/etc/ld.so.cache", "is missing"))),
            "waiting-userspace",
            KEEP_WHILE_VALID,
            "looked in /usr/lib64 and /etc/ld.so.cache, which is missing; install the driver's libraries, run ldconfig",
        ),
        (seen(nvml=Nvml(12, "x"), driver=FILES), "waiting-userspace", KEEP_WHILE_VALID, "run ldconfig"),
        (
            seen(driver=Driver(VERSION)),
            "waiting-userspace",
            KEEP_WHILE_VALID,
            f"no driver library of version {VERSION}",
        ),
        (
            seen(nvml=Nvml(18, "x"), driver=FILES, presence=PRESENT._replace(module_version="570.1")),
            "driver-mismatch",
            KEEP_WHILE_VALID,
            "module is 570.1, the libraries are 580.95.05",
        ),
        (
            seen(driver=Driver("570.1", "580.95.05")),
            "driver-mismatch",
            KEEP_WHILE_VALID,
            "module is 570.1, the libraries are 580.95.05",
        ),
        (
            seen(driver=DRIVER._replace(missing=(CUDA,), files_version="580.105.08")),
            "driver-mismatch",
            KEEP_WHILE_VALID,
            "module is 580.95.05, libcuda of the libraries is 580.105.08, an upgrade half done",
        ),
        (seen(driver=DRIVER._replace(missing=(CUDA,))), "waiting-userspace", KEEP_WHILE_VALID, f"there is no {CUDA}"),
        (seen(driver=damaged("libcuda")), "waiting-userspace", KEEP_WHILE_VALID, f"{CUDA}: is empty; install"),
        (
            seen(nvml=Nvml(12, "x"), driver=damaged("libnvidia-ml")),
            "waiting-userspace",
            KEEP_WHILE_VALID,
            "libnvidia-ml.so.580.95.05: is empty; install",
        ),
        (seen(driver=damaged("libnvidia-encode")), "ready", PUBLISH, "1 GPU"),  # the probe has a finding of its own
        (seen(nvml=Nvml(999, "Unknown Error (NVML error 999)"), driver=FILES), "failed", KEEP, "NVML error 999"),
        (inventory(), "failed", KEEP, "NVML lists no GPU"),
        (inventory(findings=(GRAVE,)), "failed", KEEP, "no GPU can be used: GPU 1: does not answer"),
        (inventory(gpu(mig_enabled=True)), "ready", WITHDRAW, "MIG mode is on"),
        (inventory(gpu(mig_enabled=True), findings=(GRAVE,)), "failed", KEEP, "no GPU can be used"),
        (seen(), "ready", PUBLISH, f"1 GPU, driver {VERSION}"),
        (inventory(gpu(), gpu(1, mig_enabled=True), migs=(mig(1),)), "ready", PUBLISH, "1 GPU, 1 MIG device"),
        (seen(findings=(GRAVE,)), "degraded", PUBLISH, "1 GPU, driver 580.95.05; GPU 1: does not answer"),
        (seen(findings=(GRAVE, GRAVE, MINOR)), "degraded", PUBLISH, "(and 1 more)"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_a_machine_is_in_the_state_that_it_shows(inventory, state, action, said):
    verdict = judge(inventory, CHOICES, gated=True)
    assert (verdict.state, verdict.action) == (state, action), verdict.reason
    assert said in verdict.reason
    assert (verdict.spec is not None) == (action == PUBLISH)


@pytest.mark.parametrize(
    ("state", "status"),
    [
        ("no-gpu", 0),
        ("waiting-driver", 3),
        ("waiting-userspace", 3),
        ("driver-mismatch", 4),
        ("ready", 0),
        ("degraded", 0),
        ("failed", 1),
    ],
)
def test_each_state_has_its_exit_status(state, status):
    assert exit_status(state) == status
    assert exit_status(state, strict=True) == (5 if state == "degraded" else status)


def test_findings_that_are_only_worth_knowing_make_nothing_degraded():
    verdict = judge(seen(findings=(MINOR,)), CHOICES, gated=True)
    assert (verdict.state, verdict.reason) == ("ready", f"1 GPU, driver {VERSION}")
    assert verdict.findings == (MINOR,)


def test_mig_mode_without_devices_is_no_error_beside_a_missing_control_node():
    uvm = Finding("degraded", "/dev/nvidia-uvm", "is missing; CUDA does not start without it")
    assert judge(inventory(gpu(mig_enabled=True), findings=(uvm,)), CHOICES, gated=True).state == "ready"


@pytest.mark.parametrize(
    ("functions", "settled"),
    [(("vfio-pci", "nouveau"), True), (("vfio-pci", ""), False), (("vfio-pci", "nvidia"), False), (("",), False)],
)
def test_a_boot_waits_for_no_driver_where_every_gpu_has_another(functions, settled):
    found = tuple(PciFunction(f"0000:0{number}:00.0", driver) for number, driver in enumerate(functions))
    verdict = judge(seen(presence=Presence(functions=found)), CHOICES, gated=True)
    assert (verdict.state, is_settled(verdict)) == ("waiting-driver", settled)


@pytest.mark.parametrize("presence", [PRESENT._replace(functions=()), VFIO, Presence(sysfs=False)])
def test_who_asks_for_a_spec_gets_it_whatever_sysfs_says(presence):
    assert judge(seen(presence=presence), CHOICES).state == "ready"


@pytest.mark.parametrize("presence", [Presence(wsl=True), Presence(tegra=True)])
def test_a_machine_without_pci_functions_is_not_without_gpu_where_it_is_a_wsl_or_a_tegra(presence):
    assert judge(seen(presence=presence), CHOICES, gated=True).state == "ready"


def test_a_host_with_many_gpus_is_told_of_in_one_short_line():
    functions = tuple(PciFunction(f"0000:{bus:02x}:00.0") for bus in range(64))
    verdict = judge(seen(presence=Presence(functions=functions)), CHOICES, gated=True)
    assert verdict.reason.endswith("0000:03:00.0 (no driver) and 60 more")


def test_what_was_asked_for_and_is_not_there_is_a_usage_fault():
    verdict = judge(seen(), CHOICES._replace(device_ids=("7",)))
    assert (verdict.state, verdict.action, verdict.usage) == ("failed", KEEP, True)
    assert failed(UsageFault("x", "y")).usage


def test_a_spec_that_would_not_be_valid_is_not_published():
    verdict = judge(inventory(gpu()._replace(uuid="GPU x")), CHOICES)
    assert (verdict.state, verdict.action) == ("failed", KEEP)
    assert "would not be valid: devices[" in verdict.reason


def test_nothing_changed_keeps_the_spec_and_names_who_sleeps():
    asleep = PciFunction("0000:01:00.0", "nvidia", True, True)
    verdict = judge(Inventory(mode="nvml", presence=Presence(functions=(asleep,)), unchanged=True), CHOICES, gated=True)
    assert (verdict.state, verdict.action) == ("ready", KEEP)
    assert "0000:01:00.0 sleeps" in verdict.reason


def test_both_gpus_of_a_tegra_are_counted():
    both = inventory(gpu(), gpu(1), mode="csv", tegra=Tegra(integrated=0), driver=DRIVER)
    assert judge(both, CHOICES).reason.startswith("2 GPUs")


@pytest.mark.parametrize("driver", [Driver("570.1", VERSION), damaged("libcuda")], ids=["mismatch", "damaged"])
def test_what_becomes_of_the_spec_while_libraries_do_not_fit_is_the_owners_choice(driver):
    assert under_policy(judge(seen(driver=driver), CHOICES), WITHDRAW).action == WITHDRAW
