"""File systems that are full or read-only: real ones, in a mount namespace of their own."""

import os

import pytest

from cdi_refreshd.core.findings import Fault
from cdi_refreshd.host.atomic_file import publish, withdraw
from tests.unit.host.atomic_file.beside import document, in_private_mounts, mode_of, mount, read

OLD, NEW = document(1, 9_000), document(2, 30_000)

pytestmark = pytest.mark.root


def refused(function, *arguments):
    with pytest.raises(Fault) as caught:
        function(*arguments)
    assert "\n" not in str(caught.value)
    return caught.value.finding


@pytest.mark.parametrize("options", ["size=32k", "nr_inodes=2"], ids=["blocks", "inodes"])
def test_a_full_filesystem_keeps_the_old_document_and_takes_the_new_one_when_there_is_room(shelf, spec, options):
    def inside():
        mount("-t", "tmpfs", "-o", options, "tmpfs", shelf)
        publish(spec, OLD)
        found = refused(publish, spec, NEW)
        assert found.fact == "cannot be written: no space left on device"
        assert found.hint == "free some space, or inodes, in that filesystem"
        assert (os.listdir(shelf), read(spec), mode_of(spec)) == (["nvidia.yaml"], OLD, 0o644)
        mount("-o", "remount,size=1m,nr_inodes=100", shelf)
        assert publish(spec, NEW) is True
        assert (os.listdir(shelf), read(spec)) == (["nvidia.yaml"], NEW)

    in_private_mounts(inside)


def test_a_full_filesystem_still_lets_a_document_be_withdrawn(shelf, spec):
    def inside():
        mount("-t", "tmpfs", "-o", "size=12k", "tmpfs", shelf)
        publish(spec, OLD)
        refused(publish, spec, NEW)
        assert withdraw(spec) is True

    in_private_mounts(inside)


def test_a_read_only_filesystem_is_a_fault_that_says_so_unless_there_is_nothing_to_do(shelf, spec):
    publish(spec, OLD)

    def inside():
        mount("--bind", shelf, shelf)
        mount("-o", "remount,bind,ro", shelf)
        assert publish(spec, OLD) is False
        found = refused(publish, spec, NEW)
        assert (found.place, found.fact) == (spec, "cannot be written: read-only file system")
        assert found.hint == "make that filesystem writable, or write elsewhere"
        assert refused(withdraw, spec).fact == "cannot be removed: read-only file system"
        deeper = os.path.join(shelf, "deeper")
        found = refused(publish, os.path.join(deeper, "nvidia.yaml"), NEW)
        assert (found.place, found.fact) == (deeper, "cannot be opened or made: read-only file system")
        assert os.listdir(shelf) == ["nvidia.yaml"]

    in_private_mounts(inside)
    assert read(spec) == OLD


def test_a_spec_that_is_itself_a_mount_is_a_fault_and_not_a_torn_file(shelf, spec):
    publish(spec, OLD)

    def inside():
        mount("--bind", spec, spec)
        assert refused(publish, spec, NEW).fact == "cannot be written: device or resource busy"
        assert (os.listdir(shelf), read(spec)) == (["nvidia.yaml"], OLD)

    in_private_mounts(inside)
