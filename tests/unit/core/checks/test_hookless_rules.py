"""Specs without hooks: whether loaders in a container find what is mounted."""

import pytest

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, DeviceNode, Hook, Mount, Spec
from cdi_refreshd.core.checks.hookless_rules import RULES
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.subject import subject
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from tests.unit.core.inventories import gpu, inventory

DEBIAN, FEDORA = "/usr/lib/x86_64-linux-gnu", "/usr/lib64"
VERSION, OTHER = "580.95.05", "590.48.01"
NVML = f"{DEBIAN}/libnvidia-ml.so.{OTHER}"
LIBRARY = f"{DEBIAN}/libcuda.so.{VERSION}"


def spec(*mounts, hooks=()):
    edits = ContainerEdits(mounts=tuple(Mount(host, inside) for host, inside in mounts), hooks=hooks)
    device = Device("0", ContainerEdits(device_nodes=(DeviceNode("/dev/nvidia0"),)))
    return Spec("nvidia.com/gpu", (device,), edits)


def rules_of(made, module="", ours=False):
    host = Host({}, module_version=module)
    return [one.rule for rule in RULES for one in rule(subject("/etc/cdi/x.yaml", made, ours), host)]


BOTH = [(LIBRARY, f"{directory}/libcuda.so.1") for directory in (DEBIAN, FEDORA)]


@pytest.mark.parametrize(
    ("mounts", "expected"),
    [
        (BOTH, []),
        ([(LIBRARY, LIBRARY)], ["library-unfound"]),
        ([(LIBRARY, "/opt/nvidia/libcuda.so.1")], ["library-unfound"]),
        ([(LIBRARY, LIBRARY), (LIBRARY, f"{FEDORA}/libcuda.so.1")], []),  # by hand, for one family
        ([*BOTH, (LIBRARY, f"{FEDORA}/libcuda.so")], ["families-differ"]),
        ([*BOTH, (NVML, f"{DEBIAN}/libnvidia-ml.so.1")], ["families-differ", "library-versions"]),
        ([("/usr/bin/nvidia-smi", "/usr/bin/nvidia-smi")], []),  # the image brings the libraries
        ([], []),
    ],
)  # fmt: skip
def test_loaders_of_both_families_find_the_same_libraries_of_one_driver(mounts, expected):
    assert rules_of(spec(*mounts)) == expected


@pytest.mark.parametrize(
    "other",
    [f"libcuda.so.{OTHER}", f"libnvidia-ml.so.{VERSION}"],
    ids=["another driver's", "another library"],
)
def test_a_library_name_that_is_another_file_in_each_loader_family_is_a_finding(other):
    mounts = [(LIBRARY, f"{DEBIAN}/libcuda.so.1"), (f"{DEBIAN}/{other}", f"{FEDORA}/libcuda.so.1")]
    assert rules_of(spec(*mounts)) == ["families-differ"]


@pytest.mark.parametrize("directory", [DEBIAN, FEDORA])
def test_our_own_spec_works_for_both_loader_families(directory):
    mounts = [(LIBRARY, f"{directory}/libcuda.so.1")]
    assert rules_of(spec(*mounts)) == []
    assert rules_of(spec(*mounts), ours=True) == ["families-differ"]
    assert rules_of(spec(*BOTH), ours=True) == []


def test_a_spec_with_the_ldcache_hook_has_no_finding_about_loaders():
    hook = Hook("createContainer", "/usr/bin/nvidia-cdi-hook", ("nvidia-cdi-hook", "update-ldcache"))
    assert rules_of(spec((LIBRARY, LIBRARY), hooks=(hook,))) == []


def test_files_of_another_driver_version_are_left_to_another_rule():
    mounts = [*BOTH, *((NVML, f"{d}/libnvidia-ml.so.1") for d in (DEBIAN, FEDORA))]
    assert rules_of(spec(*mounts), module=VERSION) == []


def test_our_own_specs_without_hooks_have_no_findings():
    seen = inventory(gpu(drm=True))._replace(hook=HookProgram("/usr/bin/nvidia-cdi-hook"))
    assert rules_of(build(seen, Choices())) == []
    assert rules_of(build(seen, Choices(hooks="nvidia", disabled_hooks=("all",)))) == ["library-unfound"]
