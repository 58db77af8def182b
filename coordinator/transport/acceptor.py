"""The peer port: connections that other members dialed, and plain HTTP for everybody else."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from coordinator.core.peer import handshake
from coordinator.core.peer.frames import BadFrame, FrameReader
from coordinator.core.peer.handshake import PeerAddress
from coordinator.transport.peer_connection import TransportEvents
from daemonkit.http.connection import Connection
from daemonkit.observe import logs

_log = logs.get("coordinator.peers")


@dataclass(frozen=True, slots=True)
class AcceptPolicy:
    """Who may send to this member, and the streams of those who do."""

    address: PeerAddress
    is_removed: Callable[[int], bool]
    events: TransportEvents
    streams: "set[InboundStream]" = field(default_factory=set)

    def close(self, members: Collection[int] | None = None) -> None:
        """End the streams of these members, or all of them."""
        for stream in tuple(self.streams):
            if members is None or stream.sender in members:
                stream.close()


class Acceptor(asyncio.Protocol):
    """Stands in front of each connection: its first bytes say what it is for."""

    def __init__(self, connection: Connection, policy: AcceptPolicy) -> None:
        self._connection = connection
        self._policy = policy
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._connection.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._head += data
        if not handshake.is_request(self._head):
            self._transport.set_protocol(self._connection)
            self._connection.data_received(self._head)
        elif handshake.HEAD_END in self._head:
            head, _, rest = self._head.partition(handshake.HEAD_END)
            self._answer(self._transport, head, rest)
        elif len(self._head) > handshake.HEAD_BYTES_MAX:
            self._transport.abort()

    def eof_received(self) -> bool:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def _answer(self, transport: asyncio.Transport, head: bytes, rest: bytes) -> None:
        policy = self._policy
        status, sender = handshake.check_request(head, policy.address, policy.is_removed)
        transport.write(handshake.response(status, policy.address.cluster))
        if status != handshake.ACCEPTED:
            transport.close()
            return
        # The HTTP side lets it go; from now on it is a stream of frames.
        self._connection.connection_lost(None)
        stream = InboundStream(transport, policy, sender)
        transport.set_protocol(stream)
        policy.events.peer_connected(sender)
        if rest:
            stream.data_received(rest)


class InboundStream(asyncio.Protocol):
    """Frames from one other member."""

    def __init__(self, transport: asyncio.Transport, policy: AcceptPolicy, sender: int) -> None:
        self.sender = sender
        self._transport = transport
        self._policy = policy
        self._frames = FrameReader()
        policy.streams.add(self)

    def data_received(self, data: bytes) -> None:
        policy = self._policy
        me, received = policy.address.member, policy.events.received
        try:
            for messages in self._frames.feed(data):
                received([message for message in messages if message.receiver == me])
        except BadFrame as bad:
            _log.error("frame-refused", why=str(bad))
            self._transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._policy.streams.discard(self)

    def close(self) -> None:
        """End it."""
        self._transport.abort()
