"""Programs that read while a publisher writes, and programs that wait for the kernel's events."""

import os

from cdi_refreshd.host.atomic_file import publish, withdraw
from tests.unit.host.atomic_file.beside import (
    IN_CREATE,
    IN_DELETE,
    IN_MOVED_FROM,
    IN_MOVED_TO,
    Readers,
    Watch,
    document,
    generation_of,
    read,
)

PUBLISHES = 300


def test_unprivileged_readers_always_find_a_document_and_watchers_see_each_rename(shelf, spec):
    publish(spec, document(0))
    watch, readers = Watch(shelf), Readers(spec)
    for generation in range(1, PUBLISHES + 1):
        publish(spec, document(generation))
        events = watch.drain()
        (left,) = [name for mask, name in events if mask & IN_MOVED_FROM]
        assert [name for mask, name in events if mask & IN_MOVED_TO] == ["nvidia.yaml"]
        assert {name for _, name in events} == {left, "nvidia.yaml"}
        assert not left.endswith((".yaml", ".json"))
    for reads, seen in readers.stop():
        assert reads >= seen > 1
    watch.close()
    assert generation_of(read(spec)) == PUBLISHES


def test_the_same_bytes_wake_no_watcher(shelf, spec):
    publish(spec, document(1))
    watch = Watch(shelf)
    publish(spec, document(1))
    assert watch.drain() == []
    watch.close()


def test_a_withdrawal_wakes_watchers_by_the_deletion_alone(shelf, spec):
    publish(spec, document(1))
    watch = Watch(shelf)
    withdraw(spec)
    assert watch.drain() == [(IN_DELETE, "nvidia.yaml")]
    watch.close()


def test_a_sweep_deletes_a_stale_temporary_and_creates_no_file(shelf, spec):
    publish(spec, document(1))
    open(os.path.join(shelf, ".nvidia.yaml.0a1b2c.tmp"), "w").close()
    watch = Watch(shelf)
    publish(spec, document(1))
    events = watch.drain()
    assert (IN_DELETE, ".nvidia.yaml.0a1b2c.tmp") in events
    assert not any(mask & IN_CREATE for mask, _ in events)
    watch.close()
