"""No code parses a message: with every event and every finding worded otherwise, the daemon does the same.

The tests are those of the other modules, which speak of what happens and not of words; here `start` rewords.
"""

import pytest

from tests.behaviour.daemon.running import Running, patched
from tests.behaviour.daemon.test_following import (  # noqa: F401 - collected again
    test_a_control_node_that_comes_late_enters_the_spec,
    test_a_damaged_spec_is_restored,
    test_a_node_whose_major_changes_is_updated_in_the_spec,
    test_a_socket_that_comes_late_enters_the_spec_and_leaves_with_its_daemon,
    test_libraries_installed_after_the_module_make_a_spec_without_a_request,
    test_mig_devices_that_are_added_changed_or_removed_change_the_spec,
    test_our_own_publishing_is_not_a_reason_to_probe_again,
    test_the_spec_is_withdrawn_with_the_last_gpu,
    test_the_spec_stays_when_the_daemon_stops_and_when_it_starts_again,
    test_without_a_change_nothing_is_probed,
)
from tests.behaviour.daemon.test_manners import (  # noqa: F401
    test_a_changed_configuration_file_is_taken_up_without_being_asked,
    test_a_configuration_file_named_by_the_environment_is_watched_whatever_its_name,
    test_no_probe_begins_while_the_daemon_is_held,
    test_the_old_spec_is_removed_when_the_configuration_moves_the_output,
)
from tests.behaviour.daemon.test_restoring import (  # noqa: F401
    published,
    test_a_newer_spec_from_oneshot_is_not_overwritten_before_a_probe_has_decided,
    test_a_spec_deleted_right_after_it_was_restored_is_restored_again_while_a_probe_hangs,
    test_a_spec_that_is_lost_while_a_probe_hangs_is_restored,
    test_each_restore_is_counted_and_followed_by_a_probe,
)

pytestmark = pytest.mark.root

REWORDED = """
from cdi_refreshd.core import findings
from cdi_refreshd.core.report import wording
made, words = findings.Finding.__new__, wording.words
def reworded(cls, severity, place, fact, hint="", *more, **named):
    return made(cls, severity, place, "it is said that it " + fact, hint, *more, **named)
findings.Finding.__new__ = reworded
wording.words = lambda event: "it is said: " + words(event)
wording.restored = lambda event: "it is said: somebody did something"
"""


@pytest.fixture
def start(machine):
    running = []

    def begin(**options):
        environment = options.pop("env", None) or {}
        if "PYTHONPATH" in environment:  # the test's own patch, and the other wording
            place = machine.path("/opt/python/sitecustomize.py")
            place.write_text(place.read_text() + REWORDED)
        elif not machine.path("/opt/python").exists():
            environment |= patched(machine, REWORDED)
        else:
            environment |= {"PYTHONPATH": "/opt/python"}
        running.append(Running(machine, env=environment, **options))
        return running[-1]

    yield begin
    for daemon in running:
        daemon.close()


def test_events_and_findings_are_worded_otherwise_in_this_module(machine, start):
    machine.become({**machine.case, "nodes": ["ctl", "caps"]})
    daemon = start(config="[host]\ndevice-nodes = no\n")
    daemon.until_devices("0", "1")
    daemon.until_quiet()
    assert daemon.state()["last_pass"]["triggers"] == ["start: it is said: first probe"]
    assert "it is said that it " in daemon.state()["reason"]
