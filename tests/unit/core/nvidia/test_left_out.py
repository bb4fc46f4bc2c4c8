"""Hooks that are left out of a spec, because the installed program does not know them."""

import pytest

from cdi_refreshd.core.config.choices import Choices
from cdi_refreshd.core.nvidia.build import left_out
from cdi_refreshd.core.nvidia.build.spec import build
from cdi_refreshd.core.nvidia.hook_program import HookProgram
from cdi_refreshd.core.nvidia.inventory import Tegra
from cdi_refreshd.core.refresh import states
from tests.machine.hook_programs import ALL, RELEASES, place
from tests.unit.core.inventories import CONTROL, gpu, inventory


def seen(release, **more):
    program = HookProgram(place(release), True, release, RELEASES[release])
    return inventory(gpu(drm=True), **more)._replace(hook=program)


def tegra(release):
    csv = Tegra(nodes=CONTROL[:1], nvml_works=True, orin=True)
    return seen(release, mode="csv", tegra=csv)


def found(machine, **choices):
    return left_out.findings(machine, Choices(**choices), build(machine, Choices(**choices)))


@pytest.mark.parametrize("release", RELEASES)
def test_a_spec_names_no_hook_that_the_program_does_not_know(release):
    assert set(left_out.called(build(seen(release), Choices()))) <= set(RELEASES[release])


@pytest.mark.parametrize("release", RELEASES)
def test_a_requested_hook_that_the_program_does_not_know_is_left_out_too(release):
    spec = build(seen(release), Choices(enabled_hooks=ALL))
    assert set(left_out.called(spec)) == set(RELEASES[release])


@pytest.mark.parametrize(
    ("release", "severity", "named"),
    [
        ("1.14.6", "degraded", ["enable-cuda-compat", "disable-device-node-modification"]),
        ("1.16.2", "degraded", ["enable-cuda-compat", "disable-device-node-modification"]),
        ("1.17.8", "info", ["disable-device-node-modification", "update-application-profile"]),
        ("1.18.2", "info", ["update-application-profile"]),
    ],
)
def test_one_finding_names_the_missing_hooks_and_has_the_worst_severity(release, severity, named):
    [finding] = found(seen(release))
    assert (finding.severity, finding.place) == (severity, place(release))
    assert finding.fact.startswith(f"version {release} does not know ")
    assert all(hook in finding.fact for hook in named)


def test_nothing_is_reported_about_a_current_program_or_one_without_output():
    assert found(seen("1.20.0")) == ()
    assert found(seen("1.20.0")._replace(hook=HookProgram("/usr/bin/nvidia-cdi-hook", True))) == ()


def test_a_disabled_hook_is_not_reported():
    assert found(seen("1.18.2"), disabled_hooks=("update-application-profile",)) == ()


@pytest.mark.parametrize(("release", "expected"), [("1.17.8", False), ("1.18.2", False), ("1.19.0", True)])
def test_csv_mode_gives_no_flag_that_the_program_would_refuse(release, expected):
    assert ("enable-cuda-compat" in left_out.called(build(tegra(release), Choices()))) == expected
    assert bool(found(tegra(release))) != expected


def test_the_state_is_degraded_only_where_something_is_lost():
    drafts = {release: states.draft(seen(release), Choices()) for release in RELEASES}
    states_seen = {release: states.complete(made, states.Facts()).state for release, made in drafts.items()}
    assert [release for release, state in states_seen.items() if state == "degraded"] == ["1.14.6", "1.16.2"]
