"""The messages of Raft. Every message carries its sender, receiver and term.

`term` 0 is not a term: a message with it (a read's forwarding) is judged without one.
"""

import msgspec

from coordinator.core.raft.entry import Count, LogEntry, MemberId


class RaftMessage(msgspec.Struct, frozen=True, array_like=True, gc=False, kw_only=True, tag=True):
    """What all messages have."""

    sender: MemberId
    receiver: MemberId
    term: Count


class PreVote(RaftMessage, frozen=True):
    """Would you vote for me in `term`? This changes no member's term. (Thesis, 9.6)"""

    last_index: Count
    last_term: Count


class PreVoteReply(RaftMessage, frozen=True):
    """`term` is that of the request if granted, else the sender's own."""

    granted: bool


class RequestVote(RaftMessage, frozen=True, tag="Vote"):
    """Vote for me. `forced`, by a leadership transfer, also if you have just heard a leader."""

    last_index: Count
    last_term: Count
    forced: bool = False


class VoteReply(RaftMessage, frozen=True):
    """The answer to Vote."""

    granted: bool


class AppendEntries(RaftMessage, frozen=True, tag="Append"):
    """Entries after (`prev_index`, `prev_term`), and the leader's commit index."""

    prev_index: Count
    prev_term: Count
    commit: Count
    entries: tuple[LogEntry, ...] = ()


class AppendOk(RaftMessage, frozen=True):
    """The follower's log equals the leader's, and is on its disk, up to `match`."""

    match: Count


class AppendReject(RaftMessage, frozen=True):
    """The follower has no such previous entry.

    `rejected` is the refused prev_index; the logs can agree at `hint` at the most, where the
    follower has an entry of `hint_term`. (Raft, 5.3, last paragraph)
    """

    rejected: Count
    hint: Count
    hint_term: Count


class Heartbeat(RaftMessage, frozen=True):
    """The leader is alive. `commit` is no higher than what the follower is known to have.

    `round` counts heartbeat rounds, so that an answer proves leadership at a time.
    """

    commit: Count
    round: Count


class _RoundAnswer(RaftMessage, frozen=True):
    """What release 0.1 sends of HeartbeatOk.

    On the wire a class's own fields come before those that are `kw_only`, which the inherited ones
    are. So a later field is declared `kw_only` in a class of its own: it comes last, and a member
    that does not know it reads the rest.
    """

    round: Count


class HeartbeatOk(_RoundAnswer, frozen=True, kw_only=True):
    """The answer to Heartbeat. For `guard_ms` from now on the sender elects nobody else.

    0 says nothing: members did not always send it.
    """

    guard_ms: Count = 0


class Commit(RaftMessage, frozen=True):
    """The leader has committed up to here, and the follower has all of it. Needs no answer."""

    commit: Count


class InstallSnapshot(RaftMessage, frozen=True):
    """One chunk of a snapshot; the last one carries the checksum of all its bytes.

    `voters` and `learners` are the configuration as of (`index`, `index_term`).
    """

    index: Count
    index_term: Count
    voters: tuple[MemberId, ...]
    learners: tuple[MemberId, ...]
    offset: Count
    data: bytes
    size: Count
    crc: int


class SnapshotReply(RaftMessage, frozen=True):
    """The sender has the snapshot at `index` up to `offset`, which is 0 after a wrong checksum."""

    index: Count
    offset: Count


class TimeoutNow(RaftMessage, frozen=True):
    """Begin an election at once: leadership is transferred to you. (Thesis, 3.10)"""


class ReadIndexRequest(RaftMessage, frozen=True, tag="ReadRequest"):
    """A follower asks the leader for a read index."""

    context: int


class ReadIndexReply(RaftMessage, frozen=True, tag="ReadReply"):
    """Reads under `context` may be served once `index` is applied."""

    context: int
    index: Count


AnyMessage = (
    PreVote
    | PreVoteReply
    | RequestVote
    | VoteReply
    | AppendEntries
    | AppendOk
    | AppendReject
    | Heartbeat
    | HeartbeatOk
    | Commit
    | InstallSnapshot
    | SnapshotReply
    | TimeoutNow
    | ReadIndexRequest
    | ReadIndexReply
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(AnyMessage)


def encode(message: AnyMessage) -> bytes:
    """Return the message's bytes for the wire."""
    return _encoder.encode(message)


def decode(data: bytes) -> AnyMessage:
    """Read what `encode` wrote. Raises msgspec.DecodeError for anything else."""
    message: AnyMessage = _decoder.decode(data)
    return message
