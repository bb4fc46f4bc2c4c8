"""Specs that call hooks which the installed program does not know."""

import pytest

from tests.behaviour.check.hosts import SPEC
from tests.machine.hook_programs import CDI_HOOK, CTK, install, script
from tests.machine.tree import SCRIPT, make

pytestmark = pytest.mark.root


@pytest.fixture(autouse=True)
def silent(host):
    """Each test starts with a program that does not answer, and so counts as current."""
    host.path(CTK).unlink(missing_ok=True)
    place = host.path(CDI_HOOK)
    place.unlink(missing_ok=True)
    make(place, SCRIPT)


def exchanged(host, release):
    """The spec was made for a current program, and then the program was replaced."""
    host.publish()
    return install(host.machine, release)


@pytest.mark.parametrize("release", ["1.16.2", "1.17.8"])
def test_a_hook_that_the_program_does_not_know_is_fatal(host, release):
    exchanged(host, release)
    status, lines = host.said()
    severity, place, version, said = lines[0].split(maxsplit=3)
    assert (status, severity, place, version) == (1, "fatal", f"{CDI_HOOK}:", release)
    assert said.startswith("does not know the hook ")
    assert "containers with it do not start" in said


def test_every_unknown_hook_is_named_and_a_new_spec_lacks_it(host):
    exchanged(host, "1.17.8")
    named = {finding["fact"].split()[6].strip(",") for finding in host.findings() if finding["rule"] == "hook-unknown"}
    assert named == {"disable-device-node-modification", "update-application-profile"}
    host.publish()
    host.clean_line()


def test_a_program_that_ignores_unknown_hooks_is_not_a_fault(host):
    exchanged(host, "1.18.2")
    host.clean_line()


def test_flags_that_the_program_refuses_are_fatal_in_any_spec(host):
    install(host.machine, "1.18.2")
    hook = {"hookName": "createContainer", "path": CDI_HOOK}
    hook["args"] = ["nvidia-cdi-hook", "enable-cuda-compat", "--host-cuda-version=12.6"]
    device = {"name": "x", "containerEdits": {"env": ["A=b"], "hooks": [hook]}}
    host.write("/etc/cdi/other.json", {"cdiVersion": "0.5.0", "kind": "example.com/gpu", "devices": [device]})
    [finding] = [one for one in host.findings() if one["rule"] == "hook-unknown"]
    assert (finding["severity"], finding["file"]) == ("fatal", "/etc/cdi/other.json")
    assert "--host-cuda-version of enable-cuda-compat" in finding["fact"]


def test_a_hook_program_that_other_users_can_write_is_not_executed(host):
    place = host.path("/srv/nvidia-cdi-hook")
    place.write_text(script("1.16.2").replace("#!/bin/sh", "#!/bin/sh\ntouch /run/executed"))
    place.chmod(0o777)
    hook = {"hookName": "createContainer", "path": "/srv/nvidia-cdi-hook", "args": ["x", "frobnicate"]}
    device = {"name": "x", "containerEdits": {"env": ["A=b"], "hooks": [hook]}}
    host.write("/srv/s.json", {"cdiVersion": "0.5.0", "kind": "example.com/gpu", "devices": [device]})
    assert host.said("/srv/s.json")[0] == 0
    assert not host.path("/run/executed").exists()
    place.chmod(0o755)
    assert host.said("/srv/s.json")[0] == 1
    assert host.path("/run/executed").exists()


def test_nvidia_ctk_is_asked_for_its_hooks_too(host):
    install(host.machine, "1.14.6")
    host.publish()
    host.clean_line()
    spec = host.spec()
    spec["containerEdits"]["hooks"][-1]["args"][2] = "update-application-profile"
    host.write("/etc/cdi/other.json", spec | {"kind": "example.com/gpu"})
    assert [one["place"] for one in host.findings() if one["rule"] == "hook-unknown"] == [CTK]


def test_a_spec_without_hooks_has_no_findings_before_and_after_the_program_is_installed(host):
    host.path(CDI_HOOK).unlink()
    host.publish()
    assert "hookName" not in host.path(SPEC).read_text()
    host.clean_line()
    install(host.machine, "1.16.2")
    host.clean_line()
