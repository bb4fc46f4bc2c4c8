"""How much of NVML's answer is believed, and which GPUs it lacks."""

import pytest

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.core.nvidia.inventory import KernelGpu, Nvml, PciFunction
from cdi_refreshd.core.nvidia.nvml_answer import Answer, RawGpu, RawMig, believed, contradicted, forgotten, nonsense

UUID = "GPU-00000000-0000-4000-8000-{:012d}"
MIG_UUID = "MIG-00000000-0000-4000-8000-{:012d}"


def address(number):
    return f"0000:{number + 1:02x}:00.0"


def gpu(number, **more):
    return RawGpu(number, UUID.format(number), number, address(number), "H100", True, False, False)._replace(**more)


def mig(parent, number, **more):
    return RawMig(parent, number, MIG_UUID.format(10 * parent + number), number + 1, 0, False)._replace(**more)


def kernel(*numbers):
    return tuple(KernelGpu(address(number), UUID.format(number), number) for number in numbers)


def answer(*gpus, migs=(), **more):
    return Answer(Nvml(0, listed=len(gpus)), "580.95.05", 13000, gpus, tuple(migs), **more)


def kept(heard, *numbers):
    """Indices of GPUs and MIG devices that are believed, and the places of what is reported."""
    found = believed(heard, kernel(*numbers))
    names = [str(one.number) for one in found.gpus] + [f"{one.parent}:{one.number}" for one in found.migs]
    return names, [finding.place for finding in found.findings]


def test_an_answer_that_agrees_with_the_kernel_is_used_completely():
    heard = answer(gpu(0), gpu(1), migs=[mig(1, 0), mig(1, 1)])
    assert believed(heard, kernel(0, 1)) == heard
    assert believed(heard, ()) == heard


def test_a_kernel_that_reports_less_contradicts_nothing():
    assert not contradicted(gpu(0), (KernelGpu(address(0)), KernelGpu(address(1), "", 1)))


@pytest.mark.parametrize(
    "lie", [{"uuid": UUID.format(0)}, {"minor": 0}, {"pci": address(0)}, {"uuid": UUID.format(0), "minor": 0}], ids=str
)
def test_a_gpu_with_the_identity_of_another_to_the_kernel_is_left_out_in_any_order(lie):
    assert kept(answer(gpu(0), gpu(1, **lie), gpu(2)), 0, 1, 2) == (["0", "2"], ["GPU 1"])
    assert kept(answer(gpu(1, **lie), gpu(0), gpu(2)), 0, 1, 2) == (["0", "2"], ["GPU 1"])


@pytest.mark.parametrize("lie", [{"uuid": UUID.format(0)}, {"minor": 0}, {"pci": address(0)}], ids=str)
def test_gpus_that_share_an_identity_are_left_out_where_the_kernel_is_silent(lie):
    others = [gpu(2), gpu(3)]
    assert kept(answer(gpu(0), gpu(1, **lie), *others)) == (["2", "3"], ["GPU 0", "GPU 1"])


def test_a_gpu_that_is_listed_twice_is_used_once():
    assert kept(answer(gpu(0), gpu(1), gpu(0)._replace(number=2)), 0, 1) == (["0", "1"], ["GPU 2"])


def test_mig_devices_of_a_gpu_that_is_left_out_are_left_out_with_it():
    heard = answer(gpu(0), gpu(1, uuid="all"), gpu(2), migs=[mig(1, 0), mig(2, 0)])
    assert kept(heard, 0, 1, 2) == (["0", "2", "2:0"], ["GPU 1"])


def test_mig_handles_that_are_all_one_device_are_one_device():
    same = [mig(1, 0)._replace(number=number) for number in range(3)]
    places = ["MIG device 1:1", "MIG device 1:2"]
    assert kept(answer(gpu(0), gpu(1), gpu(2), migs=same)) == (["0", "1", "2", "1:0"], places)


@pytest.mark.parametrize("part", [{"uuid": MIG_UUID.format(10)}, {"gi": 1}], ids=str)
def test_mig_devices_that_share_a_part_are_all_left_out(part):
    heard = answer(gpu(0), gpu(1), migs=[mig(1, 0), mig(1, 1, **part), mig(1, 2)])
    assert kept(heard) == (["0", "1", "1:2"], ["MIG device 1:0", "MIG device 1:1"])


@pytest.mark.parametrize("uuid", ["", "all", "0", "MIG-1\nfoo", "\ufffd\ufffd", "A" * 95])
def test_a_mig_device_without_a_valid_uuid_is_known_by_its_index(uuid):
    found = believed(answer(gpu(0), migs=[mig(0, 0, uuid=uuid), mig(0, 1, uuid=uuid)]), ())
    assert [(one.number, one.uuid) for one in found.migs] == [(0, ""), (1, "")]
    assert [finding.place for finding in found.findings] == ["MIG device 0:0", "MIG device 0:1"]
    assert all(str(finding).isprintable() for finding in found.findings)


@pytest.mark.parametrize("uuid", [MIG_UUID.format(1), f"MIG-{UUID.format(0)}/13/0"])
def test_both_forms_of_a_mig_uuid_are_known(uuid):
    assert believed(answer(gpu(0), migs=[mig(0, 0, uuid=uuid)]), ()).findings == ()


@pytest.mark.parametrize("instance", [{"gi": 15}, {"ci": 8}, {"gi": 0xFFFFFFFF}], ids=str)
def test_an_instance_that_has_no_access_nodes_is_left_out(instance):
    assert kept(answer(gpu(0), migs=[mig(0, 0, **instance)])) == (["0"], ["MIG device 0:0"])


@pytest.mark.parametrize(
    "lie",
    [
        {"minor": 248}, {"minor": -1}, {"pci": ""}, {"pci": "ffffffff:ffffffff:ffffffff.0"}, {"pci": "0000:01:20.0"},
        {"name": ""}, {"name": "x" * 96}, {"uuid": "GPU-"}, {"uuid": "gpu0"}, {"uuid": "none"},
    ],
    ids=str,
)  # fmt: skip
def test_an_impossible_value_of_a_gpu_is_recognised(lie):
    assert nonsense(gpu(0, **lie))


@pytest.mark.parametrize(
    "odd",
    [
        {"minor": 247}, {"pci": "10000:01:1f.0"}, {"name": "x" * 95},
        {"uuid": "0e7b1c1c-0000-4000-8000-000000000000", "name": "Orin (nvgpu)", "pci": "", "minor": -1},
    ],
    ids=str,
)  # fmt: skip
def test_an_unusual_value_of_a_gpu_is_accepted(odd):
    assert not nonsense(gpu(0, **odd))


def test_an_integrated_gpu_is_not_compared_with_the_gpus_of_the_nvidia_module():
    assert not contradicted(gpu(0, name="Orin (nvgpu)", pci="", minor=-1), kernel(0))


@pytest.mark.parametrize("lies", [[gpu(1, minor=0), gpu(2, minor=0)], [gpu(1, uuid=""), gpu(2, name="")]])
def test_contradictions_about_most_devices_are_a_fault_of_nvml(lies):
    with pytest.raises(Fault, match="about 2 of 3 devices, so none of them is used: GPU 1: ") as reported:
        believed(answer(gpu(0), *lies), kernel(0, 1, 2))
    assert str(reported.value).count("see dmesg") == 1


def test_a_gpu_that_does_not_answer_does_not_count_as_lying():
    heard = answer(gpu(0), findings=("1", "2", "3"))
    assert believed(heard, kernel(0)) == heard


@pytest.mark.parametrize(
    ("version", "cuda"), [("*", 0), ("../../etc", -1), ("", 1 << 30), ("580.*", -(1 << 31)), ("580.95.05\n", 0)]
)
def test_invalid_versions_count_as_missing(version, cuda):
    found = believed(answer(gpu(0))._replace(version=version, cuda_version=cuda), ())
    assert (found.version, found.cuda_version) == ("", 0)


def functions(*drivers, **more):
    return [PciFunction(address(number), driver, **more) for number, driver in enumerate(drivers)]


def reported(heard, seen, *numbers):
    return [(finding.place, finding.severity) for finding in forgotten(heard, seen, kernel(*numbers))]


def test_a_bound_gpu_that_nvml_does_not_list_is_named_by_its_address():
    assert reported(answer(gpu(0)), functions("nvidia", "nvidia"), 0, 1) == [(f"GPU {address(1)}", "degraded")]
    assert reported(answer(), functions("nvidia"), 0) == [(f"GPU {address(0)}", "degraded")]


def test_a_gpu_without_any_driver_is_named_beside_others_that_have_one():
    assert reported(answer(gpu(0)), functions("nvidia", ""), 0) == [(f"GPU {address(1)}", "degraded")]
    assert reported(answer(), functions(""), 0) == []


@pytest.mark.parametrize("driver", ["vfio-pci", "nouveau", "pci-stub", "nvgrace_gpu_vfio_pci"])
def test_gpus_with_another_driver_are_not_reported(driver):
    assert reported(answer(gpu(0)), functions("nvidia", driver), 0, 1) == []


@pytest.mark.parametrize("driver", ["nvidia", ""])
def test_virtual_functions_are_not_gpus_of_this_host(driver):
    seen = functions("nvidia") + functions("", driver, virtual=True)[1:]
    assert reported(answer(gpu(0)), seen, 0, 1) == []


def test_a_gpu_that_the_module_does_not_list_is_not_reported():
    assert reported(answer(gpu(0)), functions("nvidia", "nvidia"), 0) == []
    assert reported(answer(gpu(0)), functions("nvidia", "nvidia")) == []


def test_a_gpu_that_the_administrator_excluded_is_not_reported():
    excluded = kernel(1)[0]._replace(excluded=True)
    assert forgotten(answer(gpu(0)), functions("nvidia", "nvidia"), (*kernel(0), excluded)) == []


def test_a_gpu_that_a_finding_names_is_not_reported_again():
    silent = answer(gpu(0), known=(address(1),))._replace(nvml=Nvml(0, listed=2))
    assert reported(silent, functions("nvidia", "nvidia"), 0, 1) == []
    nameless = answer(gpu(0))._replace(nvml=Nvml(0, listed=2))
    assert reported(nameless, functions("nvidia", "nvidia"), 0, 1) == []
    (finding,) = forgotten(nameless, functions("nvidia", "nvidia", "nvidia"), kernel(0, 1, 2))
    assert finding.place == f"GPUs {address(1)}, {address(2)}"
    assert finding.fact.startswith("1 of them is bound to the nvidia driver")


def test_a_gpu_with_a_contradiction_is_not_also_reported_as_forgotten():
    heard = believed(answer(gpu(0), gpu(1, minor=0), gpu(2)), kernel(0, 1, 2))
    assert reported(heard, functions("nvidia", "nvidia", "nvidia"), 0, 1, 2) == []
