"""cdi-refreshd's own configuration: check reports a mistake in it before the next boot does."""

import pytest

from .hosts import PROGRAM

pytestmark = pytest.mark.root

CONFIGURATION = "/etc/cdi-refreshd/cdi-refreshd.conf"


def configure(host, text, mode=0o644):
    place = host.path(CONFIGURATION)
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_text(text)
    place.chmod(mode)


def test_a_broken_configuration_is_degraded(host):
    configure(host, "[daemon]\nsettle = soon\n")
    severity, place, fact = host.one_fault()
    assert (severity, place) == ("degraded", f"{CONFIGURATION}:2")
    assert fact.startswith("settle: 'soon' is not a span of time: the daemon does not start with it; write ")


def test_a_configuration_that_this_user_may_not_read_is_not_called_broken(host):
    configure(host, "[daemon]\nsettle = soon\n", 0o600)
    assert host.machine.run_as_nobody([*PROGRAM, "check"]).returncode == 0


def test_a_named_file_is_checked_without_the_configuration(host):
    configure(host, "[daemon]\nsettle = soon\n")
    host.clean_line("/var/run/cdi/nvidia.yaml")


def test_a_missing_named_file_has_no_hint_to_correct_it(host):
    assert host.said("/nowhere.yaml")[1][0].split() == ["fatal", "/nowhere.yaml:", "no", "such", "file"]
