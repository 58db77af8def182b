"""A mirror over a faulty link, while others write: in the end it equals the store."""

import random
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordinator.client import KeyNotFound, Mirror, connect
from rig.processes import wait_until
from tests.coordinator.client.faulty_network import FaultyLink
from tests.coordinator.client.stores_under_test import MirrorReceiver, StoreUnderTest

STEPS = 600
CUTS = 8


def write(subject: StoreUnderTest, rng: random.Random) -> None:
    for step in range(STEPS):
        directory, name = rng.choice("abc"), rng.choice("12345")
        key = subject.key(f"{directory}/{name}")
        try:
            match rng.randrange(10):
                case 0:
                    subject.store.delete(subject.key(directory), recursive=True)
                case 1 | 2:
                    subject.store.delete(key)
                case 3:
                    subject.store.put(key, str(step), ttl_s=1)
                case _:
                    subject.store.put(key, str(step))
        except KeyNotFound:
            continue


@pytest.mark.parametrize("seed", [1, 2])
def test_after_any_faults_the_view_equals_the_store(served: StoreUnderTest, seed: int) -> None:
    receiver = MirrorReceiver()
    rng = random.Random(seed)
    with FaultyLink(served.url) as link, ThreadPoolExecutor(1) as threads:
        mirror = Mirror(connect(link.url), served.prefix, receiver, rng=random.Random(seed))
        mirror.start()
        try:
            writing = threads.submit(write, served, random.Random(seed))
            for _ in range(CUTS):
                seen = len(receiver.changes)
                wait_until(
                    lambda seen=seen: (
                        len(receiver.changes) > seen + rng.randrange(5) or writing.done()
                    ),
                    "changes arrive",
                )
                link.cut()
                link.restore()
            writing.result()
            wait_until(lambda: agrees(served, receiver), f"the view agrees, seed {seed}")
        finally:
            mirror.stop()
    indexes = [changes.index for changes in receiver.changes]
    assert indexes == sorted(set(indexes))
    assert [changes.reset for changes in receiver.changes] == [True] + [False] * (len(indexes) - 1)


def agrees(subject: StoreUnderTest, receiver: MirrorReceiver) -> bool:
    listing = subject.store.list(subject.prefix)
    return receiver.entries() == {entry.key: entry for entry in listing.entries}
