"""Rules of a replica that need no simulation."""

import random

import pytest

from coordinator.core.cluster.members import attributes_note, encode_peer_urls
from coordinator.core.peer.peer_messages import ForwardedCommands
from coordinator.core.raft import membership
from coordinator.core.raft.entry import HardState, LogEntry
from coordinator.core.raft.membership import AddFounder
from coordinator.core.raft.messages import AppendOk, Heartbeat, PreVoteReply, VoteReply
from coordinator.core.raft.ready import Role
from coordinator.core.replica.pending import PENDING_BYTES_MAX, Outcome
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.start_state import StartState
from coordinator.core.store.api_errors import ClusterUnavailable
from coordinator.core.store.commands import Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.store.node import Node

SECOND_NS = 10**9


class Client:
    """Waits for an outcome."""

    def __init__(self) -> None:
        self.outcomes: list[Outcome] = []

    def answer(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)


def leading(*others: int) -> Replica:
    """Return member 1 as the leader of itself and others, elected by member 2 if there is one."""
    founders = [1, *others]
    entries = [
        LogEntry(1, n, membership.encode(AddFounder(n, encode_peer_urls((f"http://{n}",)))))
        for n in founders
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
    replica: Replica = Replica(start)
    if others:
        replica.node.election.campaign()
        replica.receive(PreVoteReply(sender=2, receiver=1, term=2, granted=True))
        replica.receive(VoteReply(sender=2, receiver=1, term=2, granted=True))
    drive(replica)
    assert replica.node.election.role is Role.LEADER
    return replica


def start_state(members: int) -> StartState:
    """Return the start of member 1, which has other members and publishes a note."""
    entries = [
        LogEntry(1, n, membership.encode(AddFounder(n, encode_peer_urls((f"http://{n}",)))))
        for n in range(1, members + 1)
    ]
    return StartState(
        member=1,
        state=HardState(1, 0, len(entries)),
        entries=entries,
        snapshot=None,
        published=(attributes_note(1, "one", ("http://1:2379",)),),
        randrange=random.Random(1).randrange,
        now_ns=0,
        wall_ns=0,
    )


def test_a_member_publishes_itself_to_a_leader_that_it_finds_late() -> None:
    replica: Replica = Replica(start_state(3))
    replica.advance_time(60 * SECOND_NS)
    drive(replica)
    term = replica.node.term + 1
    replica.receive(Heartbeat(sender=2, receiver=1, term=term, commit=0, round=1))
    drive(replica)
    (forward,) = [each for each in replica.take_messages() if isinstance(each, ForwardedCommands)]
    assert [each.command for each in forward.requests] == list(start_state(3).published)
    replica.propose(Put(b"/a", b"1"))


def test_a_write_before_the_first_leader_waits_for_one_for_a_while() -> None:
    replica, early, late = Replica(start_state(3)), Client(), Client()
    replica.advance_time(4 * SECOND_NS)
    replica.propose(Put(b"/early", b"1"), early)
    replica.advance_time(8 * SECOND_NS)
    replica.propose(Put(b"/late", b"1"), late)
    drive(replica)
    assert not early.outcomes
    replica.advance_time(10 * SECOND_NS)
    drive(replica)
    (outcome,) = early.outcomes
    assert isinstance(outcome, ClusterUnavailable)
    assert "no leader for 10" in outcome.cause
    term = replica.node.term + 1
    replica.receive(Heartbeat(sender=2, receiver=1, term=term, commit=0, round=1))
    drive(replica)
    (forward,) = [each for each in replica.take_messages() if isinstance(each, ForwardedCommands)]
    assert Put(b"/late", b"1") in [each.command for each in forward.requests]
    assert not late.outcomes
    replica.advance_time(60 * SECOND_NS)
    drive(replica)
    with pytest.raises(ClusterUnavailable, match="no leader for 50"):
        replica.propose(Put(b"/a", b"1"))


def test_a_write_is_pending_until_it_is_decided() -> None:
    replica, client = leading(2), Client()

    def acknowledge() -> None:
        replica.receive(AppendOk(sender=2, receiver=1, term=2, match=replica.node.log.last))
        drive(replica)

    acknowledge()  # the leader's first entry
    acknowledge()  # what the leader publishes
    replica.propose(Put(b"/a", b"1"), client)
    drive(replica)
    assert len(replica.proposals.by_sequence) == 1
    acknowledge()
    assert (len(client.outcomes), len(replica.proposals.by_sequence)) == (1, 0)


def test_the_bytes_of_writes_that_wait_are_bounded() -> None:
    replica, client = leading(2), Client()
    for _ in range(PENDING_BYTES_MAX >> 20):
        replica.propose(Put(b"/a", b"x" * (1 << 20)), client)
    with pytest.raises(ClusterUnavailable, match="129 writes are already waiting"):
        replica.propose(Put(b"/a", b"x"), client)
    drive(replica)
    replica.receive(AppendOk(sender=2, receiver=1, term=2, match=replica.node.log.last))
    drive(replica)
    replica.receive(AppendOk(sender=2, receiver=1, term=2, match=replica.node.log.last))
    drive(replica)
    assert len(client.outcomes) >= 60
    replica.propose(Put(b"/a", b"x"), client)


def drive(replica: Replica) -> None:
    """Save whatever is to be saved, and answer the clients."""
    while (ready := replica.ready()) is not None:
        replica.saved(ready)
    for waiter, outcome in replica.take_outcomes():
        waiter.answer(outcome)


def test_a_write_in_the_same_batch_as_a_transfer_is_proposed_first() -> None:
    replica = leading(2)
    replica.receive(AppendOk(sender=2, receiver=1, term=2, match=replica.node.log.last))
    drive(replica)
    client = Client()
    replica.propose(2)
    replica.propose(Put(b"/a", b"1"), client)
    drive(replica)
    replica.receive(AppendOk(sender=2, receiver=1, term=2, match=replica.node.log.last))
    drive(replica)
    assert [type(outcome) for outcome in client.outcomes] == [KeyEvent]


HOUR = 3600 * 10**9
NOON = 1_800_000_000 * 10**9  # 2027-01-15T08:00:00Z


def restarted(replica: Replica, wall_ns: int) -> Replica:
    """Return a single member that starts again with its log."""
    log = replica.node.log
    start = StartState(
        member=1,
        state=HardState(replica.node.term, 1, log.committed),
        entries=log.between(0, log.last),
        snapshot=None,
        published=(),
        randrange=random.Random(wall_ns).randrange,
        now_ns=0,
        wall_ns=wall_ns,
    )
    again = Replica(start)
    again.advance_time(3 * 10**9)
    drive(again)
    return again


def put(replica: Replica, key: bytes, ttl_s: int) -> Node:
    replica.propose(Put(key, b"1"), Client(), ttl_s * 10**9)
    drive(replica)
    return replica.keyspace.find(key)


def test_an_expiry_is_shown_by_the_wall_clock_after_the_cluster_was_down() -> None:
    replica = restarted(leading(), NOON)
    put(replica, b"/long", 24 * 3600)
    again = restarted(replica, NOON + HOUR)
    shown = put(again, b"/short", 60).json(again.clock.moment())
    assert b'"expiration":"2027-01-15T09:01:0' in shown
    assert b'"ttl":60' in shown
    assert b'"expiration":"2027-01-16T09:00:0' in again.keyspace.find(b"/long").json(
        again.clock.moment()
    )


def test_an_expiry_is_shown_by_a_wall_clock_that_was_set() -> None:
    replica = restarted(leading(), NOON)
    node = put(replica, b"/a", 60)
    replica.clock.follow_utc(NOON + HOUR)
    assert b'"expiration":"2027-01-15T09:01:0' in node.json(replica.clock.moment())
    shown = node.json(replica.clock.moment())
    replica.clock.follow_utc(NOON + HOUR + 10**8)
    assert node.json(replica.clock.moment()) == shown, "a clock that is slewed changes nothing"


def test_a_key_ends_though_the_wall_clock_is_not_set_yet() -> None:
    replica = restarted(leading(), 0)
    assert put(replica, b"/a", 60).expires_ns > 0
