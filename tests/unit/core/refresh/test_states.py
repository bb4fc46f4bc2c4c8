"""What is seen, and what that means: the table of states, each with the action on the spec and an exit status."""

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.findings import Fault, Finding, UsageFault
from cdi_refreshd.core.nvidia.inventory import Driver, Inventory, Library, Nvml, PciFunction, Presence, Search, Tegra
from cdi_refreshd.core.refresh.recalled import Recalled
from cdi_refreshd.core.refresh.states import (
    KEEP,
    PUBLISH,
    WITHDRAW,
    Facts,
    complete,
    draft,
    exit_status,
    failed,
    is_settled,
)
from tests.unit.core.inventories import DRIVER, PRESENT, VERSION, gpu, inventory, mig

CHOICES = Choices()
DEGRADED_GPU = Finding("degraded", "GPU 1", "does not answer NVML", "see dmesg", left_out=("1",))
FATAL = Finding("fatal", "/run/cdi/other.yaml", "has the same devices")
MINOR = Finding("info", "/dev/nvidia-modeset", "is missing; Vulkan and EGL need it")
FILES = Driver(files_version="580.95.05")
VFIO = Presence(functions=(PciFunction("0000:01:00.0", "vfio-pci"),), module_loaded=True)


CUDA = f"libcuda.so.{VERSION}"


def damaged(stem):
    return DRIVER._replace(libraries=(Library(f"/usr/lib64/{stem}.so.{VERSION}", flaw="is empty"),))


def seen(**change):
    return inventory(gpu(), **change)


def judge(inventory, choices, gated=False, facts=Facts(), **more):
    return complete(draft(inventory, choices, gated, **more), facts)


def test_a_finding_made_twice_is_reported_once():
    """For instance about a hook program that every device calls."""
    made = complete(draft(inventory(gpu()), CHOICES), Facts(findings=(FATAL, FATAL)))
    assert made.findings.count(FATAL) == 1


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
        (seen(nvml=Nvml(9, "x"), driver=FILES), "waiting-driver", KEEP, "module 580.95.05; see dmesg"),
        (
            seen(nvml=Nvml(12, "x"), driver=Driver(search=Search(("/usr/lib64",), "/etc/ld.so.cache", "is missing"))),
            "waiting-userspace",
            KEEP,
            "looked in /usr/lib64 and /etc/ld.so.cache, which is missing; install the driver's libraries, run ldconfig",
        ),
        (seen(nvml=Nvml(12, "x"), driver=FILES), "waiting-userspace", KEEP, "run ldconfig"),
        (
            seen(driver=Driver(VERSION)),
            "waiting-userspace",
            KEEP,
            f"no driver library of version {VERSION}",
        ),
        (
            seen(nvml=Nvml(18, "x"), driver=FILES, presence=PRESENT._replace(module_version="570.1")),
            "driver-mismatch",
            KEEP,
            "module is 570.1, the libraries are 580.95.05",
        ),
        (
            seen(driver=Driver("570.1", "580.95.05")),
            "driver-mismatch",
            KEEP,
            "module is 570.1, the libraries are 580.95.05",
        ),
        (
            seen(driver=DRIVER._replace(missing=(CUDA,), files_version="580.105.08")),
            "driver-mismatch",
            KEEP,
            "module is 580.95.05, libcuda of the libraries is 580.105.08: an unfinished upgrade",
        ),
        (seen(driver=DRIVER._replace(missing=(CUDA,))), "waiting-userspace", KEEP, f"there is no {CUDA}"),
        (seen(driver=damaged("libcuda")), "waiting-userspace", KEEP, f"{CUDA}: is empty; install"),
        (
            seen(nvml=Nvml(12, "x"), driver=damaged("libnvidia-ml")),
            "waiting-userspace",
            KEEP,
            "libnvidia-ml.so.580.95.05: is empty; install",
        ),
        (seen(driver=damaged("libnvidia-encode")), "ready", PUBLISH, "1 GPU"),  # the probe has a finding of its own
        (seen(nvml=Nvml(999, "Unknown Error (NVML error 999)"), driver=FILES), "failed", KEEP, "NVML error 999"),
        (inventory(), "failed", KEEP, "NVML lists no GPU"),
        (inventory(findings=(DEGRADED_GPU,)), "failed", KEEP, "no GPU can be used: GPU 1: does not answer"),
        (inventory(gpu(mig_enabled=True)), "ready", WITHDRAW, "MIG mode is on"),
        (inventory(gpu(mig_enabled=True), findings=(DEGRADED_GPU,)), "failed", KEEP, "no GPU can be used"),
        (seen(), "ready", PUBLISH, f"1 GPU, driver {VERSION}"),
        (inventory(gpu(), gpu(1, mig_enabled=True), migs=(mig(1),)), "ready", PUBLISH, "1 GPU, 1 MIG device"),
        (seen(findings=(DEGRADED_GPU,)), "degraded", PUBLISH, "1 GPU, driver 580.95.05; GPU 1: does not answer"),
        (seen(findings=(DEGRADED_GPU, DEGRADED_GPU, MINOR)), "degraded", PUBLISH, "(and 1 more)"),
    ],
    ids=lambda x: x if isinstance(x, str) else "",
)
def test_each_inventory_gives_its_state_action_and_reason(inventory, state, action, said):
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
    assert exit_status(state, (), True) == (5 if state == "degraded" else status)


def test_a_degraded_state_with_a_fatal_finding_is_not_a_success():
    assert exit_status("degraded", (DEGRADED_GPU, FATAL)) == 5
    assert exit_status("degraded", (DEGRADED_GPU,)) == 0
    assert exit_status("failed", (FATAL,)) == 1


@pytest.mark.parametrize("action", [KEEP, WITHDRAW])
def test_the_spec_is_kept_or_withdrawn_on_a_mismatch_as_configured(action):
    mismatch = seen(nvml=Nvml(18, "mismatch"), driver=FILES)
    assert judge(mismatch, CHOICES, True, Facts(stands=True), on_mismatch=action).action == action


def test_a_spec_with_missing_paths_is_withdrawn_on_a_mismatch_for_the_same_reason():
    mismatch = seen(nvml=Nvml(18, "mismatch"), driver=FILES)
    kept = judge(mismatch, CHOICES, True, Facts(stands=True))
    gone = judge(mismatch, CHOICES, True, Facts(stands=True, useless=MINOR))
    assert (kept.action, gone.action) == (KEEP, WITHDRAW)
    assert kept.reason == gone.reason
    assert MINOR in gone.findings


def test_findings_of_host_and_other_specs_degrade_the_state_and_the_worst_is_the_reason():
    verdict = judge(seen(findings=(DEGRADED_GPU,)), CHOICES, True, Facts(findings=(MINOR,), conflicts=(FATAL,)))
    assert (verdict.state, verdict.action) == ("degraded", PUBLISH)
    assert verdict.reason == f"1 GPU, driver {VERSION}; {FATAL} (and 1 more)"
    assert verdict.findings == (DEGRADED_GPU, MINOR, FATAL)
    assert verdict.in_reason == (FATAL,)


def test_a_pass_is_remembered_without_the_conflicts_with_other_specs():
    verdict = judge(seen(), CHOICES, True, Facts(conflicts=(FATAL,)))
    assert (verdict.state, verdict.recalled.state) == ("degraded", "ready")


def test_conflicts_do_not_change_the_state_without_a_spec():
    assert judge(seen(presence=VFIO), CHOICES, True, Facts(conflicts=(FATAL,))).findings == ()


def test_a_refused_spec_leaves_the_published_one():
    verdict = judge(seen(), CHOICES, True, Facts(refusal=Fault("/dev/nvidia0", "vanished")))
    assert (verdict.state, verdict.action, verdict.reason) == ("failed", KEEP, "/dev/nvidia0: vanished")


def test_an_obstacle_in_the_specs_place_is_reported_whatever_else_is_wrong():
    verdict = judge(seen(nvml=Nvml(999, "Unknown Error")), CHOICES, True, Facts(obstacle=DEGRADED_GPU))
    assert (verdict.state, verdict.findings) == ("failed", (DEGRADED_GPU,))


def test_info_findings_do_not_degrade_the_state():
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
def test_generate_gives_a_spec_whatever_sysfs_says(presence):
    assert judge(seen(presence=presence), CHOICES).state == "ready"


@pytest.mark.parametrize("presence", [Presence(wsl=True), Presence(tegra=True)])
def test_a_wsl_or_a_tegra_without_pci_functions_is_not_in_state_no_gpu(presence):
    assert judge(seen(presence=presence), CHOICES, gated=True).state == "ready"


def test_the_hint_is_lspci_where_nothing_lists_a_gpu():
    verdict = judge(inventory()._replace(presence=Presence()), CHOICES)
    assert (verdict.state, verdict.reason) == ("failed", "NVML lists no GPU; lspci -d 10de: lists those on the bus")


def test_a_host_with_many_gpus_is_reported_in_one_short_line():
    functions = tuple(PciFunction(f"0000:{bus:02x}:00.0") for bus in range(64))
    verdict = judge(seen(presence=Presence(functions=functions)), CHOICES, gated=True)
    assert "0000:03:00.0 (no driver) and 60 more; modprobe" in verdict.reason


def test_a_requested_device_that_does_not_exist_is_a_usage_fault():
    verdict = judge(seen(), CHOICES._replace(device_ids=("7",)))
    assert (verdict.state, verdict.action, verdict.usage) == ("failed", KEEP, True)
    assert failed(UsageFault("x", "y")).usage


def test_a_spec_that_would_not_be_valid_is_not_published():
    verdict = judge(inventory(gpu()._replace(uuid="GPU x")), CHOICES)
    assert (verdict.state, verdict.action) == ("failed", KEEP)
    assert "would not be valid: devices[" in verdict.reason


def test_an_unchanged_host_keeps_the_spec_and_names_the_sleeping_gpus():
    asleep = PciFunction("0000:01:00.0", "nvidia", True, True)
    verdict = judge(Inventory(mode="nvml", presence=Presence(functions=(asleep,)), unchanged=True), CHOICES, gated=True)
    assert (verdict.state, verdict.action) == ("ready", KEEP)
    assert "0000:01:00.0 sleeps" in verdict.reason


def test_an_unchanged_host_has_the_result_of_the_remembered_pass():
    asleep = PciFunction("0000:01:00.0", "nvidia", True, True)
    same = Inventory(mode="nvml", presence=Presence(functions=(asleep,)), unchanged=True)
    recalled = Recalled("degraded", f"1 GPU; {DEGRADED_GPU}", (DEGRADED_GPU, MINOR), (DEGRADED_GPU,))
    verdict = judge(same, CHOICES, True, Facts(stands=True), recalled=recalled)
    assert (verdict.state, verdict.findings, verdict.in_reason) == ("degraded", (DEGRADED_GPU, MINOR), (DEGRADED_GPU,))
    assert verdict.reason.startswith(recalled.reason)


def test_both_gpus_of_a_tegra_are_counted():
    both = inventory(gpu(), gpu(1), mode="csv", tegra=Tegra(integrated=0), driver=DRIVER)
    assert judge(both, CHOICES).reason.startswith("2 GPUs")


@pytest.mark.parametrize("driver", [Driver("570.1", VERSION), damaged("libcuda")], ids=["mismatch", "damaged"])
def test_damaged_or_mismatched_libraries_withdraw_the_spec_where_so_configured(driver):
    assert judge(seen(driver=driver), CHOICES, on_mismatch=WITHDRAW).action == WITHDRAW


def test_generate_on_a_host_without_a_gpu_reports_that_there_is_none():
    nothing = Inventory(mode="nvml", nvml=Nvml(12, "x"), presence=Presence())
    reason = judge(nothing, CHOICES).reason
    absent = "the nvidia module is not loaded, there is no NVIDIA GPU"
    assert reason.startswith(f"libnvidia-ml.so.1 cannot be opened, {absent}; ")
    hidden = nothing._replace(presence=Presence(sysfs=False))
    assert "GPU" not in judge(hidden, CHOICES).reason, "without /sys nothing is known of GPUs"
