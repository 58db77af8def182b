"""Which version a cluster has, and what needs which."""

from typing import get_args

import pytest

from coordinator.core.cluster import versions
from coordinator.core.cluster.members import Member, cluster_version
from coordinator.core.cluster.versions import FIRST, OWN, ClusterVersion
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.store.commands import Command, Note

# The commands and the messages of 0.1. Others need a row in SINCE.
OF_THE_FIRST = {
    "Put", "CreateInOrder", "Delete", "Sync", "Note",
    "PreVote", "PreVoteReply", "RequestVote", "VoteReply", "AppendEntries", "AppendOk",
    "AppendReject", "Heartbeat", "HeartbeatOk", "Commit", "InstallSnapshot", "SnapshotReply",
    "TimeoutNow", "ReadIndexRequest", "ReadIndexReply",
    "ForwardedCommands", "ForwardedChange", "ForwardedTransfer", "ForwardedResult", "StateHash",
}  # fmt: skip


def member(name: str, version: str) -> Member:
    return Member(hash(name), name, (), (), version=version)


def test_every_command_and_message_after_the_first_version_says_since_when() -> None:
    kinds = [*get_args(Command), *get_args(PeerMessage)]
    later = {kind for kind in kinds if kind.__name__ not in OF_THE_FIRST}
    assert later == set(versions.SINCE)
    assert all(FIRST < since <= OWN for since in versions.SINCE.values())


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("0.2", ClusterVersion(0, 2)),
        ("10.0", ClusterVersion(10, 0)),
        ("", FIRST),
        ("2", FIRST),
        ("0.2.1", FIRST),
        ("9" * 5000 + ".1", FIRST),
    ],
)
def test_what_is_no_version_is_the_first_one(text: str, version: ClusterVersion) -> None:
    assert versions.parse(text) == version


def test_the_cluster_has_the_least_version_of_the_members_that_have_run() -> None:
    assert cluster_version([]) == FIRST
    assert cluster_version([member("a", "0.10"), member("b", "0.9")]) == ClusterVersion(0, 9)
    assert cluster_version([member("a", "0.2"), member("b", "")]) == FIRST
    assert cluster_version([member("a", "0.2"), member("", "")]) == ClusterVersion(0, 2)


def test_a_note_makes_a_version_required() -> None:
    note = versions.required_note(OWN)
    assert versions.required({note.kind: note.data}) == OWN
    assert versions.required({}) == FIRST
    assert versions.is_required_note(note)
    for data in (b"99.0", b"0.1", b"\xff", b""):
        assert not versions.is_required_note(Note(note.kind, data))
