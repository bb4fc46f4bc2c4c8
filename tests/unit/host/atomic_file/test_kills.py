"""Publishers that are killed at random moments."""

import os
import random
import select
import time

from cdi_refreshd.host.atomic_file import publish
from tests.unit.host.atomic_file.beside import Child, document, generation_of, mode_of, read

ROUNDS = 500
DEADLINE_S = 120
LONGEST_S = 0.012


def test_five_hundred_kills_at_random_moments_damage_nothing_and_leave_no_files(shelf, spec):
    chance = random.Random(20240229)
    documents = [document(generation) for generation in range(16)]
    publish(spec, documents[0])
    deadline = time.monotonic() + DEADLINE_S
    caught, seen = 0, set()

    def for_ever():
        os.write(start, b".")
        turn = documents.index(read(spec))
        while True:
            turn = (turn + 1) % len(documents)
            publish(spec, documents[turn])

    for _ in range(ROUNDS):
        assert time.monotonic() < deadline
        begun, start = os.pipe()
        child = Child(for_ever)
        os.read(begun, 1)
        select.select([], [], [], chance.uniform(0, LONGEST_S))
        child.kill()
        os.close(begun)
        os.close(start)
        seen.add(generation_of(read(spec)))
        assert mode_of(spec) == 0o644
        caught += len(os.listdir(shelf)) - 1
        publish(spec, documents[chance.randrange(len(documents))])
        assert os.listdir(shelf) == ["nvidia.yaml"]
    assert caught > ROUNDS // 20, "they hardly ever died at work: this proves nothing"
    assert len(seen) > 1
