"""The messages between members on the wire."""

from typing import get_args

import msgspec
import pytest

from coordinator.core.peer import peer_messages
from coordinator.core.peer.peer_messages import ForwardedCommand, ForwardedCommands, PeerMessage
from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.membership import ConfEntry
from coordinator.core.raft.messages import AppendEntries
from coordinator.core.store.commands import Command, Put

# Members of different versions understand each other: a class may be renamed, its tag may not.
TAGS = {
    "PreVote", "PreVoteReply", "Vote", "VoteReply", "Append", "AppendOk", "AppendReject",
    "Heartbeat", "HeartbeatOk", "Commit", "InstallSnapshot", "SnapshotReply", "TimeoutNow",
    "ReadRequest", "ReadReply", "Forward", "AskChange", "AskTransfer", "Decided", "Check",
}  # fmt: skip


# The fields in the order in which release 0.1 sends them. Later ones follow them, with defaults:
# a member reads as many as it knows.
FIELDS = {
    "PreVote": "last_index last_term sender receiver term",
    "PreVoteReply": "granted sender receiver term",
    "Vote": "last_index last_term forced sender receiver term",
    "VoteReply": "granted sender receiver term",
    "Append": "prev_index prev_term commit entries sender receiver term",
    "AppendOk": "match sender receiver term",
    "AppendReject": "rejected hint hint_term sender receiver term",
    "Heartbeat": "commit round sender receiver term",
    "HeartbeatOk": "round sender receiver term",
    "Commit": "commit sender receiver term",
    "InstallSnapshot": "index index_term voters learners offset data size crc sender receiver term",
    "SnapshotReply": "index offset sender receiver term",
    "TimeoutNow": "sender receiver term",
    "ReadRequest": "context sender receiver term",
    "ReadReply": "context index sender receiver term",
    "Forward": "origin requests sender receiver term",
    "AskChange": "sequence change sender receiver term",
    "AskTransfer": "sequence target sender receiver term",
    "Decided": "sequence reason sender receiver term",
    "Check": "index digest sender receiver term",
    "ForwardedCommand": "sequence command ttl_ns",
    "put": "key value directory expires_ns prev_exist prev_value prev_index refresh",
    "append": "key value directory expires_ns",
    "delete": "key directory recursive prev_value prev_index",
    "sync": "now_ns",
    "note": "kind data",
    "found": "member context",
    "add": "member context",
    "promote": "member context",
    "remove": "member context",
}


@pytest.mark.parametrize(
    "kind",
    [*get_args(PeerMessage), ForwardedCommand, *get_args(Command), *get_args(ConfEntry)],
    ids=lambda kind: kind.__name__,
)
def test_later_fields_follow_those_of_the_first_release(kind: type[msgspec.Struct]) -> None:
    fields = msgspec.structs.fields(kind)
    first = FIELDS[str(kind.__struct_config__.tag or kind.__name__)].split()
    assert [field.name for field in fields[: len(first)]] == first
    assert not any(field.required for field in fields[len(first) :])


def test_the_tags_on_the_wire_do_not_change() -> None:
    assert {kind.__struct_config__.tag for kind in get_args(PeerMessage)} == TAGS


def test_the_bytes_on_the_wire_do_not_change() -> None:
    batch: list[PeerMessage] = [
        AppendEntries(
            sender=1, receiver=2, term=3, prev_index=4, prev_term=3, commit=4,
            entries=(LogEntry(3, 5, b"x"),),
        ),
        ForwardedCommands(
            sender=2, receiver=1, term=3, origin=9,
            requests=[ForwardedCommand(7, Put(b"/a", b"1"), ttl_ns=5)],
        ),
    ]  # fmt: skip
    data = peer_messages.encode(batch)
    assert peer_messages.decode(data) == batch
    assert msgspec.msgpack.decode(data) == [
        ["Append", 4, 3, 4, [{"term": 3, "index": 5, "data": b"x"}], 1, 2, 3],
        ["Forward", 9, [[7, ["put", b"/a", b"1", False, 0, None, None, 0, False], 5]], 2, 1, 3],
    ]
