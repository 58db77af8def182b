"""The order in which a driver sends, saves, applies and answers."""

import random
from collections.abc import Sequence

from coordinator.core.cluster.members import encode_peer_urls
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft import membership
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.membership import AddFounder
from coordinator.core.raft.messages import (
    AppendEntries,
    AppendOk,
    Commit,
    PreVote,
    PreVoteReply,
    RequestVote,
    VoteReply,
)
from coordinator.core.raft.ready import Ready
from coordinator.core.replica.driver import Driver, SnapshotPolicy
from coordinator.core.replica.pending import Outcome
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.store.commands import Put


class Recorder:
    """An environment that records what it is asked for, and a client that waits."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.is_slow = False
        self.snapshots: list[int] = []

    def send(self, messages: Sequence[PeerMessage]) -> None:
        self.log += [type(message).__name__ for message in messages]

    def save(self, ready: Ready) -> bool:
        self.log.append(f"save {len(ready.entries)}")
        return not self.is_slow

    def begin_snapshot(self, index: int, term: int) -> bool:
        del term
        self.snapshots.append(index)
        return True

    def read_snapshot(self) -> None:
        self.log.append("read snapshot")

    def announce_soon(self) -> None:
        self.log.append("announce soon")

    def leader_changed(self, leader: int) -> None:
        self.log.append(f"leader {leader}")

    def removed(self) -> None:
        self.log.append("removed")

    def answer(self, outcome: Outcome) -> None:
        self.log.append(f"answer {type(outcome).__name__}")

    def take(self) -> list[str]:
        log, self.log = self.log, []
        return log


def driven(members: int, recorder: Recorder, policy: SnapshotPolicy | None = None) -> Driver:
    """Return the driver of member 1, which has its founders in its log."""
    entries = [
        LogEntry(1, n, membership.encode(AddFounder(n, encode_peer_urls((f"http://{n}",)))))
        for n in range(1, members + 1)
    ]
    start = StartState(
        member=1,
        state=HardState(1, 0, len(entries)),
        entries=entries,
        snapshot=None,
        published=(),
        randrange=random.Random(1).randrange,
        now_ns=0,
        wall_ns=0,
    )
    return Driver(Replica(start), recorder, policy or SnapshotPolicy(1000, entries_kept=0))


def leading(recorder: Recorder) -> Driver:
    """Return the driver of the leader of two members."""
    driver = driven(2, recorder)
    driver.replica.node.election.campaign()
    driver.drive(0)
    driver.replica.receive(PreVoteReply(sender=2, receiver=1, term=2, granted=True))
    driver.drive(0)
    driver.replica.receive(VoteReply(sender=2, receiver=1, term=2, granted=True))
    driver.drive(0)
    acknowledge(driver)
    recorder.take()
    return driver


def acknowledge(driver: Driver) -> None:
    """Let member 2 have all of the log."""
    last = driver.replica.node.log.last
    driver.replica.receive(AppendOk(sender=2, receiver=1, term=2, match=last))
    driver.drive(0)


def test_a_vote_leaves_after_it_is_saved() -> None:
    recorder = Recorder()
    driver = driven(2, recorder)
    driver.replica.node.election.campaign()
    driver.drive(0)
    assert recorder.take() == [PreVote.__name__]
    driver.replica.receive(PreVoteReply(sender=2, receiver=1, term=2, granted=True))
    driver.drive(0)
    assert recorder.take() == ["save 0", RequestVote.__name__]


def test_an_append_leaves_before_the_leader_saves_and_the_answer_after_a_majority_has() -> None:
    recorder = Recorder()
    driver = leading(recorder)
    driver.replica.propose(Put(b"/a", b"1"), recorder)
    driver.replica.propose(Put(b"/b", b"2"), recorder)
    driver.drive(0)
    assert recorder.take() == [AppendEntries.__name__, "save 2"]
    acknowledge(driver)
    assert recorder.take()[:2] == ["answer KeyEvent", "answer KeyEvent"]


def test_followers_soon_learn_of_a_commit() -> None:
    recorder = Recorder()
    driver = leading(recorder)
    driver.replica.propose(Put(b"/a", b"1"))
    driver.drive(0)
    recorder.take()
    driver.announce_commit()
    acknowledge(driver)
    assert "announce soon" in recorder.take()
    driver.announce_commit()
    driver.drive(0)
    assert recorder.take() == [Commit.__name__]


def test_nothing_is_applied_or_answered_while_a_save_takes_its_time() -> None:
    recorder = Recorder()
    driver = driven(1, recorder)
    driver.drive(0)
    recorder.take()
    recorder.is_slow = True
    driver.replica.propose(Put(b"/a", b"1"), recorder)
    driver.drive(0)
    assert recorder.take() == ["save 1"]
    assert b"/a" not in driver.replica.keyspace.tree.nodes
    recorder.is_slow = False
    driver.saved()
    assert recorder.take() == ["answer KeyEvent"]


def test_a_snapshot_is_due_after_so_many_entries() -> None:
    recorder = Recorder()
    driver = driven(1, recorder, SnapshotPolicy(5, entries_kept=0))
    driver.drive(0)
    for _ in range(12):
        driver.replica.propose(Put(b"/a", b"1"), recorder)
        driver.drive(0)
    first, *more = recorder.snapshots
    assert first >= 5
    assert [index - first for index in more] == [5 * n for n in range(1, len(more) + 1)]
    assert driver.is_current(first)
    driver.compact(first)
    assert driver.replica.node.log.base == first


def test_a_snapshot_is_due_after_as_many_bytes_of_entries_as_of_keys() -> None:
    recorder, policy = Recorder(), SnapshotPolicy(interval_bytes=10_000, kept_bytes=5_000)
    driver = driven(1, recorder, policy)

    def write(*keys: bytes) -> int:
        """Write to these keys and return how many snapshots that makes."""
        recorder.snapshots.clear()
        for key in keys:
            driver.replica.propose(Put(key, b"x" * 900), recorder)
            driver.drive(0)
        return len(recorder.snapshots)

    assert write(*[b"/same"] * 48) == 4
    assert write(*(b"/%d" % number for number in range(48))) == 1
    log = driver.replica.node.log
    driver.compact(recorder.snapshots[-1])
    assert 4 <= recorder.snapshots[-1] - log.base <= 5


def test_a_new_leader_is_reported_once() -> None:
    recorder = Recorder()
    driver = driven(1, recorder)
    driver.drive(0)
    driver.drive(0)
    assert recorder.take().count("leader 1") == 1
