"""Frames between a supervisor and its worker processes, over a stream socket pair."""

import asyncio
import struct
from collections.abc import Callable
from enum import IntEnum
from typing import cast

_HEADER = struct.Struct("<IB")
# A whole snapshot travels as one frame: 100,000 keys are about 20 MB.
FRAME_BYTES_MAX = 1 << 30


class FrameKind(IntEnum):
    """The kinds of frames."""

    SETTINGS = 0  # supervisor → worker, once, first
    PAYLOAD = 1  # supervisor → worker: the state, or a change of it
    DRAIN = 2  # supervisor → worker
    POLL = 3  # supervisor → worker: answer with SAMPLES
    READY = 4  # worker → supervisor
    SAMPLES = 5  # worker → supervisor


class Frames(asyncio.Protocol):
    """Splits the stream into frames."""

    def __init__(self, take: Callable[[FrameKind, bytes], None], lost: Callable[[], None]) -> None:
        self._take = take
        self._lost = lost
        self._buffer = bytearray()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        offset = 0
        while len(buffer) - offset >= _HEADER.size:
            size, kind = _HEADER.unpack_from(buffer, offset)
            assert size <= FRAME_BYTES_MAX
            end = offset + _HEADER.size + size
            if len(buffer) < end:
                break
            with memoryview(buffer) as view:
                payload = bytes(view[offset + _HEADER.size : end])
            self._take(FrameKind(kind), payload)
            offset = end
        del buffer[:offset]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._transport = None
        self._lost()

    @property
    def waiting_bytes(self) -> int:
        """Bytes that the other side has not read yet."""
        return self._transport.get_write_buffer_size() if self._transport else 0

    def send(self, kind: FrameKind, payload: bytes = b"") -> None:
        """Send a frame; do nothing when the other side is gone."""
        assert len(payload) <= FRAME_BYTES_MAX
        if self._transport is not None:
            self._transport.write(_HEADER.pack(len(payload), kind))
            self._transport.write(payload)

    def close(self) -> None:
        """Close the channel."""
        if self._transport is not None:
            self._transport.close()
