"""Frames between members: a length of four bytes, little endian, then messages of that length.

A receiver ends the connection at a frame that is too long. So every message has a bound, far below
that of a frame: entries, chunks and forwarded commands are counted in bytes. What leaves together
may still be longer, and becomes several frames.
"""

from collections.abc import Iterator

import msgspec

from coordinator.core.peer import message_checks, peer_messages
from coordinator.core.peer.peer_messages import PeerMessage

# The largest entry, many times over: no member sends more.
FRAME_BYTES_MAX = 64 << 20
_LENGTH_BYTES = 4


class BadFrame(Exception):  # noqa: N818 - states a fact about what came
    """The bytes do not come from a member; the connection cannot be used any more."""


def encode(messages: list[PeerMessage]) -> bytes:
    """Return the messages as one frame, or as several that receivers accept."""
    content = peer_messages.encode(messages)
    if len(content) > FRAME_BYTES_MAX:
        half = len(messages) // 2
        assert half, f"a message of {len(content)} bytes"
        return encode(messages[:half]) + encode(messages[half:])
    return len(content).to_bytes(_LENGTH_BYTES, "little") + content


class FrameReader:
    """Bytes from `sender` as they come in, messages of whole frames out."""

    def __init__(self, sender: int, receiver: int) -> None:
        self._sender, self._receiver = sender, receiver
        self._buffer = bytearray()

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes of a frame have come whose rest has not."""
        return len(self._buffer)

    def feed(self, data: bytes) -> Iterator[list[PeerMessage]]:
        """Take bytes and yield the messages of each frame that is whole. Raises BadFrame.

        The iterator must be used up before the next call.
        """
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH_BYTES:
            length = int.from_bytes(buffer[start : start + _LENGTH_BYTES], "little")
            end = start + _LENGTH_BYTES + length
            if length > FRAME_BYTES_MAX:
                raise BadFrame(f"a frame of {length} bytes")
            if len(buffer) < end:
                break
            try:
                messages = peer_messages.decode(bytes(buffer[start + _LENGTH_BYTES : end]))
            except (msgspec.DecodeError, RecursionError) as error:
                raise BadFrame(str(error)) from error
            for message in messages:
                if (message.sender, message.receiver) != (self._sender, self._receiver):
                    raise BadFrame(f"from {message.sender:x} to {message.receiver:x}")
                if why := message_checks.problem(message):
                    raise BadFrame(why)
            start = end
            yield messages
        if start:
            del buffer[:start]
