"""Leader election among several schedulers."""

import os
import signal
import time
from pathlib import Path

import pytest

from coordinator.client import connect
from coordinator.client.core.errors import KeyNotFound
from coordinator.client.core.store_protocol import Store
from fleet.core import keys
from fleet.core.fields import HONEST_MAX, parse_number
from fleet.scheduler.election import LeaderElection
from rig.processes import Coordinator, Running, python, wait_until
from rig.stores.counting_store import CountingStore


class ElectionOnMemory:
    def __init__(self) -> None:
        self.now_s = 100.0
        self.store = CountingStore(lambda: self.now_s)

    def candidate(self, name: str) -> LeaderElection:
        return LeaderElection(self.store, name, 15, lambda: self.now_s)

    def wait(self, seconds: float) -> None:
        self.now_s += seconds
        self.store.expire()


def test_one_of_two_schedulers_is_the_leader() -> None:
    bed = ElectionOnMemory()
    one, two = bed.candidate("one"), bed.candidate("two")
    assert one.step(0)
    assert not two.step(0)
    assert one.epoch == 1


def test_a_leader_that_renews_keeps_its_epoch() -> None:
    bed = ElectionOnMemory()
    one, two = bed.candidate("one"), bed.candidate("two")
    for _ in range(20):
        assert one.step(0)
        assert not two.step(0)
        bed.wait(5)
    assert one.epoch == 1


def test_a_leader_suspended_past_its_lease_is_succeeded_with_a_later_epoch() -> None:
    bed = ElectionOnMemory()
    one, two = bed.candidate("one"), bed.candidate("two")
    one.step(0)
    bed.wait(16)
    assert not one.is_leader
    assert two.step(0)
    assert two.epoch == 2
    assert not one.step(2)
    assert two.is_leader


def test_a_leader_stops_acting_before_its_lease_expires_in_the_store() -> None:
    bed = ElectionOnMemory()
    one, two = bed.candidate("one"), bed.candidate("two")
    one.step(0)
    bed.wait(12.5)
    assert not one.is_leader
    assert not two.step(0)


def test_a_leader_that_resigns_is_succeeded_at_once() -> None:
    bed = ElectionOnMemory()
    one, two = bed.candidate("one"), bed.candidate("two")
    one.step(0)
    one.resign()
    assert not one.is_leader
    assert two.step(0)


def test_an_epoch_is_later_than_all_that_hosts_have_seen() -> None:
    bed = ElectionOnMemory()
    one = bed.candidate("one")
    one.step(0)
    bed.store.delete("/fleet", recursive=True)
    assert one.step(41)
    assert one.epoch == 42
    assert bed.store.get(keys.EPOCH).value == "42"


def test_a_leader_raises_an_epoch_that_was_raised_without_the_lease() -> None:
    bed = ElectionOnMemory()
    one = bed.candidate("one")
    one.step(0)
    bed.store.put(keys.EPOCH, "7")
    assert one.step(7)
    assert one.epoch == 8


def test_a_candidate_suspended_between_lease_and_epoch_cannot_raise_the_epoch(
    tmp_path: Path,
) -> None:
    with Coordinator(tmp_path) as coordinator:
        store = connect([coordinator.url])
        store.put(keys.EPOCH, "1")
        late = Running(
            python("tests.fleet.scheduler.stopped_candidate", coordinator.url),
            tmp_path / "late.log",
        )
        try:
            late.wait_for(lambda: _is_stopped(late.process.pid), "it is stopped with the lease")
            wait_until(lambda: not _is_led(store), "its lease is over")
            leader = LeaderElection(store, "other", 30, time.monotonic)
            assert leader.step(1)
            os.kill(late.process.pid, signal.SIGCONT)
            wait_until(lambda: late.process.poll() == 0, "it goes on")
        finally:
            late.kill()
        assert late.tail().strip() == "is_leader=False"
        assert store.get(keys.EPOCH).value == str(leader.epoch)
        assert leader.is_leader


def _is_stopped(pid: int) -> bool:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def _is_led(store: Store) -> bool:
    try:
        store.get(keys.LEADER)
    except KeyNotFound:
        return False
    return True


def test_followers_write_nothing_while_another_leads() -> None:
    bed = ElectionOnMemory()
    one, two = bed.candidate("one"), bed.candidate("two")
    one.step(0)
    before = bed.store.writes
    for _ in range(10):
        bed.now_s += 1
        assert not two.step(0)
    assert bed.store.writes == before


@pytest.mark.parametrize("forged", [1 << 62, (1 << 62) + 5, HONEST_MAX, HONEST_MAX + 1])
def test_a_forged_epoch_ends_no_leadership(forged: int) -> None:
    bed = ElectionOnMemory()
    bed.store.put(keys.EPOCH, str(forged))
    for name in ("one", "two", "three"):
        leader = bed.candidate(name)
        assert leader.step(forged)
        assert leader.epoch == parse_number(bed.store.get(keys.EPOCH).value)
        bed.wait(16)
