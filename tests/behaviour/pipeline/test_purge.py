"""What a purge of the Debian package deletes, by its script in a made-up machine."""

from pathlib import Path

import pytest

from .hosts import PUBLISHED, case, state_of

pytestmark = pytest.mark.root

SCRIPT = (Path(__file__).resolve().parents[3] / "debian/cdi-refreshd.postrm").read_text()


def purge(host):
    done = host.machine.run(["sh", "-c", SCRIPT, "postrm", "purge"])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.fixture
def published(host):
    """By oneshot alone, without a daemon's report; a GPU that may sleep has the last pass remembered."""
    host.become(case({"drm": [1, 128], "runtime_status": "suspended"}))
    assert state_of(host.oneshot()) == "ready"
    return host


def test_a_purge_deletes_a_spec_that_only_oneshot_published(published):
    purge(published)
    assert not published.path(PUBLISHED).exists()


def test_a_purge_leaves_a_spec_that_something_else_wrote(published):
    published.path(PUBLISHED).write_text("cdiVersion: 0.5.0\n")
    purge(published)
    assert published.path(PUBLISHED).read_text() == "cdiVersion: 0.5.0\n"
