"""Commands of a later version wait for the last member, and then require that version."""

import pytest

from coordinator.core.cluster import versions
from coordinator.core.cluster.members import attributes_note
from coordinator.core.peer.peer_messages import (
    ForwardedCommand,
    ForwardedCommands,
    ForwardedResult,
)
from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.membership import MARK
from coordinator.core.raft.messages import AppendOk
from coordinator.core.replica import log_version, sessions
from coordinator.core.replica.replica import Replica
from coordinator.core.replica.sessions import Proposal
from coordinator.core.store.api_errors import ClusterUnavailable
from coordinator.core.store.commands import CreateInOrder, Note, Put
from tests.coordinator.core.replica.test_replica import Client, drive, leading

LATER = CreateInOrder(b"/queue", b"1")
OLD = Note("members/2/attributes", b'{"name":"two","clientURLs":[]}')


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    """A leader whose release can create keys in order since 0.2, beside a member of 0.1."""
    monkeypatch.setitem(versions.SINCE, CreateInOrder, versions.OWN)
    one = leading(2)
    acknowledge(one)
    decide(one, attributes_note(1, "one", ()), OLD)
    return one


def acknowledge(one: Replica) -> None:
    drive(one)
    for _ in range(3):
        one.receive(AppendOk(sender=2, receiver=1, term=2, match=one.node.log.last))
        drive(one)


def decide(one: Replica, *notes: Note) -> None:
    for note in notes:
        one.propose(note)
    acknowledge(one)


def commands(one: Replica) -> list[object]:
    """Return what the log has of later commands, and of notes that require a version."""
    entries = one.node.log.between(0, one.node.log.last)
    proposed = [each.data for each in entries if each.data and not each.data.startswith(MARK)]
    found = [sessions.decode(data).command for data in proposed]
    return [
        each
        for each in found
        if isinstance(each, CreateInOrder)
        or (isinstance(each, Note) and each.kind == versions.REQUIRED)
    ]


def test_a_later_command_is_refused_while_a_member_cannot_read_it(replica: Replica) -> None:
    with pytest.raises(ClusterUnavailable, match=r"needs cluster version 0.2: upgrade two \(0.1\)"):
        replica.propose(LATER)
    one = ForwardedCommand(1, LATER)
    replica.receive(ForwardedCommands(sender=2, receiver=1, term=2, origin=9, requests=[one]))
    (answer,) = [m for m in replica.take_messages() if isinstance(m, ForwardedResult)]
    assert "upgrade two" in answer.reason
    acknowledge(replica)
    assert commands(replica) == []


def test_the_first_later_command_makes_its_version_required(replica: Replica) -> None:
    decide(replica, attributes_note(2, "two", ()))
    client = Client()
    replica.propose(LATER, client)
    acknowledge(replica)
    assert commands(replica) == [versions.required_note(versions.OWN), LATER]
    replica.propose(LATER, client)
    acknowledge(replica)
    assert len(commands(replica)) == 3
    assert len(client.outcomes) == 2
    assert versions.required(replica.keyspace.notes) == versions.OWN


def entry(command: Put | Note) -> LogEntry:
    return LogEntry(1, 1, sessions.encode(Proposal(0, 0, command)))


def test_a_log_that_a_newer_release_wrote_is_refused_by_name(replica: Replica) -> None:
    newer = versions.required_note(versions.ClusterVersion(9, 1))
    assert "needs cluster version 9.1, and the member knows 0.2" in log_version.problem(
        None, [entry(newer)]
    )
    assert log_version.problem(None, [entry(Put(b"/a", newer.kind.encode() + b"9.1"))]) == ""
    assert log_version.problem(None, []) == ""
    assert log_version.problem(replica.dump(), []) == ""
    replica.keyspace.apply(newer)
    assert "needs cluster version 9.1" in log_version.problem(replica.dump(), [])
    assert "the state snapshot is damaged" in log_version.problem(b"nonsense", [])
