"""What members send each other: Raft's messages, and requests for the leader."""

from typing import Annotated

import msgspec

from coordinator.core.raft.entry import Count, MemberId
from coordinator.core.raft.membership import ConfChange
from coordinator.core.raft.messages import AnyMessage, RaftMessage
from coordinator.core.store.commands import EXPIRES_NS_MAX, NO_TTL, Command

TimeToLive = Annotated[int, msgspec.Meta(ge=NO_TTL, le=EXPIRES_NS_MAX)]


class ForwardedCommand(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A write on its way to the leader. Its time to live counts from when the leader has it."""

    sequence: Count
    command: Command
    ttl_ns: TimeToLive = NO_TTL


class ForwardedCommands(RaftMessage, frozen=True, tag="Forward"):
    """Writes of another member's clients, in order."""

    origin: Annotated[int, msgspec.Meta(ge=0)]
    requests: list[ForwardedCommand]


class ForwardedChange(RaftMessage, frozen=True, tag="AskChange"):
    """Change the membership. The answer is a ForwardedResult: a removed member gets no more log."""

    sequence: Count
    change: ConfChange


class ForwardedTransfer(RaftMessage, frozen=True, tag="AskTransfer"):
    """Transfer leadership to `target`, or to any other voter if it is 0."""

    sequence: Count
    target: MemberId


class ForwardedResult(RaftMessage, frozen=True, tag="Decided"):
    """The answer to ForwardedChange or ForwardedTransfer: done, or the reason why not."""

    sequence: Count
    reason: str


class StateHash(RaftMessage, frozen=True, tag="Check"):
    """The hash of the sender's state after it applied `index`."""

    index: Count
    digest: int


PeerMessage = (
    AnyMessage
    | ForwardedCommands
    | ForwardedChange
    | ForwardedTransfer
    | ForwardedResult
    | StateHash
)

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[PeerMessage])


def encode(messages: list[PeerMessage]) -> bytes:
    """Return the bytes of one frame's content."""
    return _encoder.encode(messages)


def decode(data: bytes | memoryview) -> list[PeerMessage]:
    """Read what `encode` wrote. Raises msgspec.DecodeError for anything else."""
    messages: list[PeerMessage] = _decoder.decode(data)
    return messages
