"""Counts of GPUs and devices, and when the specs of two hosts count as different."""

from cdi_refreshd.core.nvidia.inventory import Gpu, Inventory, MigDevice, PciFunction, Presence
from cdi_refreshd.core.report import nfd_features
from cdi_refreshd.core.report.census import Census, census, without_uuids
from cdi_refreshd.core.report.metrics import Measured

FUNCTIONS = tuple(
    PciFunction(f"0000:0{n}:00.0", driver) for n, driver in enumerate(("nvidia", "nvidia", "vfio-pci", ""))
)
SEEN = Inventory(
    presence=Presence(functions=FUNCTIONS),
    gpus=(Gpu(0, "GPU-a", 0, ""), Gpu(1, "GPU-b", 1, "", mig_enabled=True)),
    migs=(MigDevice(1, "GPU-b", 0, "MIG-c", 1, 0),),
)
FULL = census(SEEN, True, True, Census())


def test_gpus_are_counted_by_kernel_driver_and_devices_of_the_spec_by_type():
    assert Census((("", 1), ("nvidia", 2), ("vfio-pci", 1)), (("gpu", 2), ("mig", 1))) == FULL


def test_a_failed_probe_keeps_the_known_counts_while_the_spec_stands():
    assert census(None, False, True, FULL) == FULL
    assert dict(census(None, False, False, FULL).spec_devices) == {"gpu": 0, "mig": 0}


def test_a_spec_that_is_kept_has_the_devices_that_it_had():
    gone = SEEN._replace(gpus=(), migs=(), presence=Presence(functions=FUNCTIONS[:1]))
    assert census(gone, False, True, FULL) == Census((("nvidia", 1),), FULL.spec_devices)
    assert dict(census(gone, False, False, FULL).spec_devices) == {"gpu": 0, "mig": 0}


def test_without_pci_functions_the_gpus_that_nvml_lists_are_counted():
    wsl = SEEN._replace(presence=Presence(wsl=True))
    assert census(wsl, True, True, Census()).host_gpus == (("nvidia", 2),)


def test_specs_of_equal_hosts_are_equal_without_uuids():
    one, other = b"name: GPU-a\npath: /dev/nvidia0\n", b"name: GPU-z\npath: /dev/nvidia0\n"
    assert without_uuids(one, ["GPU-a"]) == without_uuids(other, ["GPU-z"])


def test_labels_are_valid_in_kubernetes():
    measured = Measured("1", "ready", 0.0, module="580.95.05", spec_devices=FULL.spec_devices, is_up_to_date=True)
    assert nfd_features.text(measured).splitlines() == [
        "cdi-refreshd.state=ready",
        "cdi-refreshd.gpus=2",
        "cdi-refreshd.mig-devices=1",
        "cdi-refreshd.driver=580.95.05",
        "cdi-refreshd.spec-up-to-date=true",
    ]
    assert nfd_features.label("-580.95 beta/1_") == "580.95-beta-1"
    assert len(nfd_features.label("x" * 100)) == 63
    assert "driver" not in nfd_features.text(measured._replace(module=""))


def test_a_virtual_function_is_not_a_gpu_of_the_host():
    seen = SEEN._replace(presence=Presence(functions=(*FUNCTIONS, PciFunction("0000:00:00.4", "nvidia", virtual=True))))
    assert census(seen, True, True, Census()).host_gpus == FULL.host_gpus


def test_a_host_without_gpus_counts_none_and_an_unreadable_one_keeps_its_count():
    assert census(Inventory(), False, False, FULL).host_gpus == (("nvidia", 0),)
    for blind in (Presence(sysfs=False), Presence(unreadable="/sys/x: I/O error")):
        assert census(Inventory(presence=blind), False, False, FULL).host_gpus == FULL.host_gpus
