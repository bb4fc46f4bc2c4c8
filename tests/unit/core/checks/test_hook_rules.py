"""Calls of NVIDIA's hook program, compared with the rest of the spec."""

import pytest

from cdi_refreshd.core.cdi.model import ContainerEdits, Device, Hook, Mount, Spec
from cdi_refreshd.core.checks.hook_rules import links_on_mounts
from cdi_refreshd.core.checks.host_facts import Host
from cdi_refreshd.core.checks.subject import subject
from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from tests.unit.core.inventories import HOOK, LIB, VERSION, gpu, inventory

LINK = f"{LIB}/libcuda.so.1"
MOUNTED = ContainerEdits(mounts=(Mount(f"{LIB}/libcuda.so.{VERSION}", LINK),))


def linking(path=HOOK, what="create-symlinks"):
    words = (path.rpartition("/")[2], what, "--link", "a::/b", "--link", f"libcuda.so.{VERSION}::{LINK}")
    return ContainerEdits(hooks=(Hook("createContainer", path, words),))


def found(common, *edits):
    devices = tuple(Device(str(number), each) for number, each in enumerate(edits))
    return list(links_on_mounts(subject("/etc/cdi/x.json", Spec("nvidia.com/gpu", devices, common)), Host({})))


@pytest.mark.parametrize(("one", "other"), [(linking(), MOUNTED), (MOUNTED, linking())])
def test_a_link_at_the_path_of_a_mount_is_a_finding_about_the_devices_that_have_both(one, other):
    [finding] = found(one, other, ContainerEdits(env=("A=B",)))
    assert (finding.rule, finding.finding.place, finding.devices) == ("link-on-mount", LINK, ("0",))


def test_links_and_mounts_of_different_devices_do_not_conflict():
    assert found(ContainerEdits(), linking(), MOUNTED) == []


@pytest.mark.parametrize("edits", [linking("/opt/vendor/hook"), linking(what="update-ldcache")])
def test_only_links_made_by_nvidias_hook_program_are_examined(edits):
    assert found(MOUNTED, edits) == []


@pytest.mark.parametrize("hooks", ["nvidia", "none"])
@pytest.mark.parametrize("flags", [(), ("both-loader-directories",)])
def test_our_own_specs_never_have_a_link_at_the_path_of_a_mount(hooks, flags):
    seen = inventory(gpu(drm=True))._replace(hook=HookProgram(HOOK, True))
    made = build(seen, Choices(hooks=hooks, feature_flags=flags))
    assert list(links_on_mounts(subject("/etc/cdi/x.json", made), Host({}))) == []
