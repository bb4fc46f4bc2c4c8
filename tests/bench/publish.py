"""How long publishing takes, and whether readers see 10,000 publishes whole: python -m tests.bench.publish [COUNT]"""

import os
import shutil
import statistics
import sys
import tempfile
import time

from cdi_refreshd.host.atomic_file import publish
from tests.unit.host.atomic_file.beside import (
    IN_MOVED_FROM,
    IN_MOVED_TO,
    IN_Q_OVERFLOW,
    Readers,
    Watch,
    document,
    generation_of,
    read,
)

ROUNDS = 500


def timed_us(function):
    begun = time.perf_counter_ns()
    function()
    return (time.perf_counter_ns() - begun) / 1000


def print_times(what, times):
    ranked = sorted(times)
    print(f"  {what:34} median {statistics.median(ranked):8.0f} µs   99% {ranked[len(ranked) * 99 // 100]:8.0f} µs")


def alone(spec):
    """Without readers: what one publish costs."""
    documents = [document(generation) for generation in (1, 2)]
    print_times("30 KB written", [timed_us(lambda n=n: publish(spec, documents[n % 2])) for n in range(ROUNDS)])
    publish(spec, documents[0])
    print_times("30 KB, the same", [timed_us(lambda: publish(spec, documents[0])) for _ in range(ROUNDS)])
    fsync = os.fsync
    os.fsync = lambda _: None
    print_times(
        "30 KB written, without the syncs",
        [timed_us(lambda n=n: publish(spec, documents[n % 2])) for n in range(ROUNDS)],
    )
    os.fsync = fsync


def beside(directory, spec, count):
    """Four readers that open and parse in a loop, and a watcher. An error of a reader ends this."""
    publish(spec, document(0))
    watch, readers = Watch(directory), Readers(spec)
    times, left, arrived, overflows = [], 0, 0, 0
    for generation in range(1, count + 1):
        content = document(generation)
        times.append(timed_us(lambda content=content: publish(spec, content)))
        for mask, name in watch.drain():
            left += bool(mask & IN_MOVED_FROM) and name.endswith(".tmp")
            arrived += bool(mask & IN_MOVED_TO) and name == os.path.basename(spec)
            overflows += bool(mask & IN_Q_OVERFLOW)
    results = readers.stop()
    watch.close()
    print_times(f"{count} beside four readers", times)
    print(f"  publishes {count}, renames seen {left}, arrivals seen {arrived}, overflows {overflows}")
    print(f"  reads {sum(reads for reads, _ in results)}, all whole; generations seen {[seen for _, seen in results]}")
    print(f"  left in the directory: {os.listdir(directory)}, generation {generation_of(read(spec))}")
    assert (left, arrived, overflows) == (count, count, 0)


def main():
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    for above in ("/dev/shm", tempfile.gettempdir()):
        directory = tempfile.mkdtemp(prefix="publish-", dir=above)
        os.chmod(directory, 0o755)
        print(f"{above}:")
        try:
            spec = os.path.join(directory, "nvidia.yaml")
            alone(spec)
            beside(directory, spec, count)
        finally:
            shutil.rmtree(directory)


if __name__ == "__main__":
    main()
