"""What members send each other: Raft's messages, and what is handed to the leader beside them."""

import msgspec

from coordinator.core.raft.membership import Change
from coordinator.core.raft.messages import AnyMessage, Message
from coordinator.core.store.commands import Command

NO_TTL = -1


class Forwarded(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A write on its way to the leader, who sets its end: `ttl_ns` from when it has it."""

    sequence: int
    command: Command
    ttl_ns: int = NO_TTL


class Forward(Message, frozen=True):
    """Writes that clients of another member ask for, in order."""

    origin: int
    requests: list[Forwarded]


class AskChange(Message, frozen=True):
    """Change the membership. A member that is removed by it sees no more of the log: Decided."""

    sequence: int
    change: Change


class AskTransfer(Message, frozen=True):
    """Hand leadership to `target`, to any other voter when it is 0."""

    sequence: int
    target: int


class Decided(Message, frozen=True):
    """What came of AskChange or AskTransfer: done, or the reason why not."""

    sequence: int
    reason: str


class Check(Message, frozen=True):
    """What the sender's state hashed to when it had applied `index`."""

    index: int
    digest: int


Packet = AnyMessage | Forward | AskChange | AskTransfer | Decided | Check

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Packet])


def encode(packets: list[Packet]) -> bytes:
    """Return the bytes of one frame's content."""
    return _encoder.encode(packets)


def decode(data: bytes | memoryview) -> list[Packet]:
    """Read what `encode` wrote. Raises msgspec.DecodeError for anything else."""
    packets: list[Packet] = _decoder.decode(data)
    return packets
