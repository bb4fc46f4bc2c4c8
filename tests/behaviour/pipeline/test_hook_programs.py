"""The hook program that a machine has, and the spec that containers there can start with."""

import pytest

from tests.machine.hook_programs import CDI_HOOK, CTK, RELEASES, install

from .hosts import GPU, case, lines, state_of

pytestmark = pytest.mark.root

LOG = "/run/hooks"
CSV = "/etc/nvidia-container-runtime/host-files-for-container.d"
ORIN = {
    "gpus": [{"name": "Orin (nvgpu)", "minor": 0}],
    "extra_nodes": {"nvmap": [10, 124]},
    "add": {
        "/etc/nv_tegra_release": "# R36",
        "/opt/tegra/libnvrm.so": "x",
        f"{CSV}/devices.csv": "dev, /dev/nvmap\n",
        f"{CSV}/drivers.csv": "lib, /opt/tegra/libnvrm.so\n",
    },
}
MACHINES = {"nvml": case(GPU, path_bins=[]), "csv": ORIN}


def run_hooks(host, spec):
    """Executes every hook of a spec, as a container runtime would; returns what the program reports."""
    host.path(LOG).unlink(missing_ok=True)
    edits = [spec["containerEdits"], *(device["containerEdits"] for device in spec["devices"])]
    hooks = [hook for each in edits for hook in each.get("hooks", [])]
    for hook in hooks:
        host.machine.run([hook["path"], *hook["args"][1:]], input="{}")
    return hooks, host.path(LOG).read_text().splitlines()


@pytest.mark.parametrize("mode", MACHINES)
@pytest.mark.parametrize("release", RELEASES)
def test_no_hook_of_the_spec_fails_with_the_program_that_is_there(host, release, mode):
    host.become(MACHINES[mode])
    path = install(host.machine, release)
    done = host.oneshot()
    assert done.returncode == 0, done.stderr
    hooks, said = run_hooks(host, host.published())
    assert {hook["path"] for hook in hooks} == {path}
    assert len(said) == len(hooks) > 0
    assert not [line for line in said if line.startswith("failed")]
    assert {line.split()[0] for line in said} <= set(RELEASES[release])
    host.path(path).unlink()


def test_lost_hooks_are_reported_once_with_the_state(host):
    host.become(MACHINES["nvml"])
    install(host.machine, "1.16.2")
    done = host.oneshot("--strict")
    assert (done.returncode, state_of(done)) == (5, "degraded")
    assert len(lines(done)) == 1
    assert f"{CDI_HOOK}: version 1.16.2 does not know enable-cuda-compat" in lines(done)[0]
    host.path(CDI_HOOK).unlink()


def test_the_hook_program_is_asked_again_only_after_it_was_replaced(host):
    host.become(MACHINES["nvml"])
    install(host.machine, "1.17.8")
    host.oneshot()
    assert host.published().hook("update-application-profile") is None
    install(host.machine, "1.20.0")
    host.oneshot()
    assert host.published().hook("update-application-profile") == []
    # A known program is not executed again: the same file is not asked twice.
    assert host.path("/run/cdi-refreshd/hook-program.json").exists()
    host.path(CDI_HOOK).unlink()


def test_nvidia_ctk_is_the_hook_program_where_there_is_no_other(host):
    host.become(case(GPU, path_bins=[CTK]))
    hooks = host.generate()["containerEdits"]["hooks"]
    assert {(hook["path"], *hook["args"][:2]) for hook in hooks} == {(CTK, "nvidia-ctk", "hook")}
    host.become(case(GPU, path_bins=[CTK, CDI_HOOK]))
    assert {hook["path"] for hook in host.generate()["containerEdits"]["hooks"]} == {CDI_HOOK}
