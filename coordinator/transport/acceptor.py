"""The peer port: connections that other members dialed, and plain HTTP for everybody else."""

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from coordinator.core.peer import handshake
from coordinator.core.peer.admission import Refusal
from coordinator.core.peer.frames import FRAME_BYTES_MAX, BadFrame, FrameReader
from coordinator.core.peer.handshake import Greeting, PeerAddress
from coordinator.transport.peer_connection import TransportEvents
from daemonkit.core.tls.certificate import Certificate
from daemonkit.http.connection import Connection
from daemonkit.observe import logs, process_counters

# The frames of all members of which only a part has come: two of the largest ones.
UNFINISHED_BYTES_MAX = 2 * FRAME_BYTES_MAX
# No connection is ended for less, however large the others are.
ALONE_BYTES_MAX = 2 << 20

_log = logs.get("coordinator.peers")


@dataclass(frozen=True, slots=True)
class AcceptPolicy:
    """Who may send to this member, and the stream of each that does.

    `admit` takes a sender's greeting and its certificate in DER (empty without one).
    """

    address: PeerAddress
    admit: Callable[[Greeting, bytes], Refusal | None]
    events: TransportEvents
    streams: "dict[int, InboundStream]" = field(default_factory=dict)

    def begin(self, stream: "InboundStream") -> None:
        """Take frames from a stream, and end the sender's earlier one: it has given that one up."""
        if (earlier := self.streams.get(stream.sender)) is not None:
            earlier.close()
        self.streams[stream.sender] = stream

    def ended(self, stream: "InboundStream") -> None:
        """Forget a stream."""
        if self.streams.get(stream.sender) is stream:
            del self.streams[stream.sender]

    def unfinished_bytes(self) -> int:
        """Return how many bytes of unfinished frames all streams hold."""
        return sum(stream.unfinished_bytes for stream in self.streams.values())

    def recheck(self, refusal: Callable[[Certificate], str], wall_s: float) -> None:
        """End the streams of members whose certificates are revoked, or have ended.

        A member whose certificate was renewed dials again at once, and shows the new one.
        """
        for stream in tuple(self.streams.values()):
            holder = stream.certificate
            if holder is not None and (refusal(holder) or holder.not_after_s < wall_s):
                stream.close()

    def close(self, members: Collection[int] | None = None) -> None:
        """End the streams of these members, or all of them."""
        for stream in tuple(self.streams.values()):
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
        if self._connection.idle_since() is None:
            return  # it was refused before it sent anything
        self._head += data
        if not handshake.is_request(self._head):
            self._transport.set_protocol(self._connection)
            self._connection.data_received(self._head)
        elif handshake.HEAD_END in self._head:
            head, _, rest = self._head.partition(handshake.HEAD_END)
            stream = self._answer(self._transport, head)
            if stream is not None and rest:
                stream.data_received(rest)
        elif len(self._head) > handshake.HEAD_BYTES_MAX:
            self._transport.abort()

    def eof_received(self) -> bool:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def _answer(self, transport: asyncio.Transport, head: bytes) -> "InboundStream | None":
        policy = self._policy
        try:
            sender = self._admitted(transport, head)
        except Exception as error:  # noqa: BLE001 - a stranger's head or certificate, of any form
            process_counters.record_error(error)
            sender = Refusal(b"500 Internal Server Error", "see the log of this member")
        if isinstance(sender, Refusal):
            transport.write(handshake.refused(sender, policy.address.cluster))
            transport.close()
            return None
        transport.write(handshake.accepted())
        # The HTTP side lets it go; from now on it is a stream of frames.
        self._connection.connection_lost(None)
        stream = InboundStream(transport, policy, sender)
        stream.certificate = self._connection.certificate
        policy.begin(stream)
        transport.set_protocol(stream)
        policy.events.peer_connected(sender)
        return stream

    def _admitted(self, transport: asyncio.Transport, head: bytes) -> int | Refusal:
        """Return the sender, or why it may not send."""
        greeting = handshake.greeting_of(head, self._policy.address)
        if isinstance(greeting, Refusal):
            return greeting
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        return self._policy.admit(greeting, certificate or b"") or greeting.sender


class InboundStream(asyncio.Protocol):
    """Frames from one other member."""

    def __init__(self, transport: asyncio.Transport, policy: AcceptPolicy, sender: int) -> None:
        self.sender = sender
        self.certificate: Certificate | None = None
        self._transport = transport
        self._policy = policy
        self._frames = FrameReader(sender, policy.address.member)

    def data_received(self, data: bytes) -> None:
        received = self._policy.events.received
        try:
            for messages in self._frames.feed(data):
                received(messages)
            if (
                self.unfinished_bytes > ALONE_BYTES_MAX
                and self._policy.unfinished_bytes() > UNFINISHED_BYTES_MAX
            ):
                raise BadFrame("the unfinished frames of all members are too large")
        except BadFrame as bad:
            _log.error("frame-refused", member=f"{self.sender:x}", why=str(bad))
            self.close()

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes of a frame have come whose rest has not."""
        return self._frames.unfinished_bytes

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._policy.ended(self)

    def close(self) -> None:
        """End it; what it holds no longer counts."""
        self._policy.ended(self)
        self._transport.abort()
