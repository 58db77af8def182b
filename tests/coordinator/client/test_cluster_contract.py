"""What a client of three members can rely on when the leader or all members are lost."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from coordinator.client import Mirror, Store, Unavailable, connect
from rig.processes import wait_until
from tests.coordinator.client.stores_under_test import MirrorReceiver
from tests.coordinator.client.three_members import (
    CLUSTERS,
    ThreeMembers,
    coordinators,
    etcd_cluster,
)

WRITES = 600


@pytest.fixture(params=(*CLUSTERS, "coordinator"))
def cluster(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ThreeMembers]:
    if request.param == "coordinator":
        with coordinators(tmp_path) as ours:
            yield ours
        return
    with etcd_cluster(tmp_path, CLUSTERS[request.param]) as running:
        yield running


def write_on(store: Store) -> None:
    """Increment ten keys. Each write is repeated until it is known to be stored."""
    for number in range(WRITES):
        wait_until(lambda number=number: is_put(store, number), "a majority takes the write")


def is_put(store: Store, number: int) -> bool:
    try:
        store.put(f"/app/{number % 10}", str(number))
    except Unavailable:
        return False
    return True


def agrees(store: Store, receiver: MirrorReceiver) -> bool:
    return receiver.entries() == {entry.key: entry for entry in store.list("/app").entries}


def test_a_watch_continues_after_the_leader_is_lost(cluster: ThreeMembers) -> None:
    receiver = MirrorReceiver()
    with connect(cluster.endpoints) as store, ThreadPoolExecutor(1) as threads:
        mirror = Mirror(connect(cluster.endpoints), "/app", receiver)
        mirror.start()
        try:
            writing = threads.submit(write_on, store)
            wait_until(lambda: len(receiver.view.entries) == 10, "changes arrive")
            lost = cluster.kill_leader()
            seen = receiver.view.index
            wait_until(lambda: receiver.view.index > seen + 20, "changes arrive again")
            cluster.start(lost)
            writing.result()
            wait_until(lambda: agrees(store, receiver), "the view agrees")
        finally:
            mirror.stop()
    # A write whose answer was lost is in history twice, at two indexes.
    entries = [entry for changes in receiver.changes for entry in changes.entries]
    assert len({entry.modified for entry in entries}) == len(entries), "each change once"
    for key in range(10):
        numbers = [int(entry.value) for entry in entries if entry.key == f"/app/{key}"]
        assert numbers == sorted(numbers), "in order"
    assert not any(changes.reset for changes in receiver.changes[1:])


def test_a_watch_continues_after_all_members_restart(cluster: ThreeMembers) -> None:
    receiver = MirrorReceiver()
    with connect(cluster.endpoints) as store:
        store.put("/app/a", "1")
        mirror = Mirror(connect(cluster.endpoints), "/app", receiver)
        mirror.start()
        try:
            receiver.wait_for({"/app/a": "1"})
            for number in range(3):
                cluster.kill(number)
            wait_until(lambda: not mirror.status().connected, "the mirror knows of the loss")
            assert receiver.values() == {"/app/a": "1"}
            for number in range(3):
                cluster.start(number)
            wait_until(lambda: is_put(store, 2), "a majority is back")
            receiver.wait_for({"/app/a": "1", "/app/2": "2"})
        finally:
            mirror.stop()
    assert not any(changes.reset for changes in receiver.changes[1:])


def test_without_a_majority_writes_fail_and_the_mirror_keeps_its_state(
    cluster: ThreeMembers,
) -> None:
    receiver = MirrorReceiver()
    with connect(cluster.endpoints) as store:
        store.put("/app/a", "1")
        mirror = Mirror(connect(cluster.endpoints), "/app", receiver)
        mirror.start()
        try:
            receiver.wait_for({"/app/a": "1"})
            cluster.kill(0)
            cluster.kill(1)
            with pytest.raises(Unavailable):
                store.put("/app/a", "2")
            assert receiver.values() == {"/app/a": "1"}
        finally:
            mirror.stop()
