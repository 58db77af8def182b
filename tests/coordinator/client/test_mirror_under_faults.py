"""A mirror over a faulty link, while others write: in the end it equals the store."""

import random
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from coordinator.client import KeyNotFound, Mirror, connect
from rig.processes import wait_until
from tests.coordinator.client.faulty_network import FaultyLink
from tests.coordinator.client.stores_under_test import MirrorReceiver, StoreUnderTest

STEPS = 600
CUTS = 8
# The promise is 10 s; the rest is for a loaded machine.
NOTICED_S = 12.0


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


def test_a_frozen_store_is_known_to_be_away_within_ten_seconds(
    served: StoreUnderTest,
) -> None:
    """No packet says so: the host hangs, or the network drops everything."""
    served.store.put(served.key("a"), "1")
    with FaultyLink(served.url) as link:
        receiver = MirrorReceiver()
        mirror = Mirror(connect(link.url), served.prefix, receiver)
        mirror.start()
        try:
            receiver.wait_for({served.key("a"): "1"})
            wait_until(lambda: mirror.status().connected, "the mirror is connected")
            link.freeze()
            began_s = time.monotonic()
            wait_until(lambda: not mirror.status().connected, "the store is known to be away")
        finally:
            mirror.stop()
        assert time.monotonic() - began_s < NOTICED_S
        # What was not heard from the store confirms nothing.
        age_s = mirror.status().age_s
        assert age_s is not None
        assert time.monotonic() - age_s < began_s + 1
