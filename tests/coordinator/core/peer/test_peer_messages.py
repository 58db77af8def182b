"""The messages between members on the wire."""

from typing import get_args

import msgspec

from coordinator.core.peer import peer_messages
from coordinator.core.peer.peer_messages import ForwardedCommand, ForwardedCommands, PeerMessage
from coordinator.core.raft.entry import LogEntry
from coordinator.core.raft.messages import AppendEntries
from coordinator.core.store.commands import Put

# Members of different versions understand each other: a class may be renamed, its tag may not.
TAGS = {
    "PreVote", "PreVoteReply", "Vote", "VoteReply", "Append", "AppendOk", "AppendReject",
    "Heartbeat", "HeartbeatOk", "Commit", "InstallSnapshot", "SnapshotReply", "TimeoutNow",
    "ReadRequest", "ReadReply", "Forward", "AskChange", "AskTransfer", "Decided", "Check",
}  # fmt: skip


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
