"""Links to the other members: frames of messages over upgraded HTTP connections.

A member dials each other one and sends on the connection that it dialed; what it receives comes
on those dialed to it. `GET /raft` with the cluster's id, the sender's and the receiver's is
answered with 101, and then frames follow: a length of four bytes, little endian, and as many
bytes of messages. 412 answers another cluster, 410 a member that was removed. Everything else on
the peer port is plain HTTP.

What a link cannot send now it drops, and says so: Raft sends again what matters.
"""

import asyncio
import os
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from coordinator.core.peer import peer_messages
from coordinator.core.peer.latency import PeerLatencies
from coordinator.core.peer.peer_messages import PeerMessage
from daemonkit.http.connection import Connection
from daemonkit.observe import logs

UPGRADE = b"slashetc-raft/1"
_ASK = b"GET /raft "
# What may wait in a connection for a member that does not read; Appends in flight fit thrice.
OUTBOX_BYTES_MAX = 48 << 20
# The largest entry, many times over: more is not from us.
FRAME_BYTES_MAX = 64 << 20
HEAD_BYTES_MAX = 8192
DIAL_S = 1.0
# Between two attempts to reach a member that is away.
RETRY_MIN_S, RETRY_MAX_S = 0.05, 0.5
_LENGTH = 4

_log = logs.get("coordinator.peers")


class TransportEvents(Protocol):
    """What the links tell of."""

    def received(self, arrived: list[PeerMessage]) -> None:
        """Packets have come."""
        ...

    def link_lost(self, member: int) -> None:
        """Packets to a member may have been lost."""
        ...

    def link_refused(self, member: int) -> None:
        """No process listens at the member's address."""
        ...

    def met(self, member: int) -> None:
        """A member has dialed this one, so it is there."""
        ...

    def removed(self) -> None:
        """Another member says that this one is in the cluster no more."""
        ...


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """Who talks: ids of the cluster and of this member."""

    cluster: int
    member: int


class Transport:
    """This member's links, one to each other member."""

    def __init__(
        self, address: PeerAddress, ends: TransportEvents, tls: ssl.SSLContext | None
    ) -> None:
        self.tls = tls
        self.address = address
        self.ends = ends
        self._links: dict[int, PeerConnection] = {}
        self.sent_bytes = 0
        self.trips = PeerLatencies()

    def follow(self, members: dict[int, tuple[str, ...]]) -> None:
        """Have links to these members at these URLs, and to no others."""
        for member in self._links.keys() - members.keys():
            self._links.pop(member).close()
        self.trips.only(members)
        for member, urls in members.items():
            link = self._links.get(member)
            if link is None or link.urls != urls:
                if link is not None:
                    link.close()
                self._links[member] = PeerConnection(self, member, urls)

    def send(self, outgoing: Sequence[PeerMessage]) -> None:
        """Send messages to their receivers."""
        if not outgoing:
            return
        self.trips.sent(outgoing, time.monotonic())
        by_receiver: dict[int, list[PeerMessage]] = {}
        for message in outgoing:
            by_receiver.setdefault(message.receiver, []).append(message)
        for receiver, batch in by_receiver.items():
            if (link := self._links.get(receiver)) is not None:
                link.send(batch)

    def lost(self, member: int) -> None:
        """Tell that messages to a member were dropped."""
        self.trips.failed(member)
        self.ends.link_lost(member)

    def meet(self, member: int) -> None:
        """Dial a member that has just dialed us, if we wait with that."""
        if (link := self._links.get(member)) is not None:
            link.hurry()

    def reached(self) -> list[int]:
        """Return the members that a link is open to."""
        return [member for member, link in self._links.items() if link.is_open]

    def close(self) -> None:
        """End all links."""
        for link in self._links.values():
            link.close()
        self._links.clear()


class PeerConnection(asyncio.Protocol):
    """The way to one member: dialed again and again until it is closed."""

    def __init__(self, links: Transport, member: int, urls: tuple[str, ...]) -> None:
        self.member = member
        self.urls = urls
        self._links = links
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self.is_open = False
        self._head = b""
        self._descriptor = -1
        self._retry_s = RETRY_MIN_S
        self._attempt = 0
        self._closed = False
        self._pausing = False
        self._said = ""
        self._dialing: asyncio.Task[None] | None = None
        self._dial()

    def send(self, batch: list[PeerMessage]) -> None:
        """Send a frame, or drop it."""
        transport = self._transport
        if not self.is_open or transport is None:
            return
        if transport.get_write_buffer_size() > OUTBOX_BYTES_MAX:
            self._links.lost(self.member)
            return
        content = peer_messages.encode(batch)
        self._links.sent_bytes += len(content)
        frame = len(content).to_bytes(_LENGTH, "little") + content
        # At once, not at the end of the loop's turn: a sync of our disk may come before that.
        if self._descriptor >= 0 and not transport.get_write_buffer_size():
            try:
                frame = frame[os.write(self._descriptor, frame) :]
            except BlockingIOError:
                pass
            except OSError:
                transport.abort()
                return
        if frame:
            transport.write(frame)

    def hurry(self) -> None:
        """Dial now instead of later."""
        if self._pausing and self._dialing is not None:
            self._dialing.cancel()
            self._retry_s = RETRY_MIN_S
            self._dial()

    def close(self) -> None:
        """End the link for good."""
        self._closed = True
        if self._dialing is not None:
            self._dialing.cancel()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        plain = transport.get_extra_info("sslcontext") is None
        self._descriptor = transport.get_extra_info("socket").fileno() if plain else -1
        address = self._links.address
        transport.write(  # type: ignore[attr-defined]
            _ASK + b"HTTP/1.1\r\nHost: %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n"
            b"X-Etcd-Cluster-ID: %x\r\nX-Server-From: %x\r\nX-Raft-To: %x\r\n\r\n"
            % (self._host, UPGRADE, address.cluster, address.member, self.member)
        )

    def data_received(self, data: bytes) -> None:
        if self.is_open:
            return  # nothing is said on this side any more
        self._head += data
        if b"\r\n\r\n" in self._head or len(self._head) > HEAD_BYTES_MAX:
            status = self._head.split(b" ", 2)[1:2]
            if status == [b"101"]:
                self.is_open, self._retry_s = True, RETRY_MIN_S
                self._say("linked")
            else:
                self._turned_away(self._head)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        was_open, self.is_open, self._transport = self.is_open, False, None
        if was_open:
            self._links.lost(self.member)
        self._dial(0.0 if was_open else self._retry_s)

    def _turned_away(self, head: bytes) -> None:
        status = head.partition(b"\r\n")[0]
        self._say("refused", answer=status.decode(errors="replace"))
        if status.split(b" ")[1:2] == [b"410"]:
            self._links.ends.removed()
        self._retry_s = RETRY_MAX_S
        if self._transport is not None:
            self._transport.abort()

    def _dial(self, after_s: float = 0.0) -> None:
        if not self._closed:
            self._dialing = self._loop.create_task(self._dial_once(after_s))

    async def _dial_once(self, after_s: float) -> None:
        self._pausing = after_s > 0
        if self._pausing:
            await asyncio.sleep(after_s)
            self._pausing = False
        self._head = b""
        parts = urlsplit(self.urls[self._attempt % len(self.urls)])
        self._attempt += 1
        self._host = parts.netloc.encode()
        tls = self._links.tls if parts.scheme == "https" else None
        try:
            async with asyncio.timeout(DIAL_S):
                await self._loop.create_connection(
                    lambda: self,
                    parts.hostname or "",
                    parts.port or 0,
                    ssl=tls,
                    server_hostname=parts.hostname if tls else None,
                )
        except (OSError, ssl.SSLError) as error:
            self._say("away", why=str(error) or type(error).__name__)
            if isinstance(error, ConnectionRefusedError):
                self._links.ends.link_refused(self.member)
            self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)
            self._dial(self._retry_s)

    def _say(self, event: str, **about: object) -> None:
        """Log a change of the link, once."""
        if event != self._said:
            self._said = event
            _log.info(event, member=f"{self.member:x}", url=",".join(self.urls), **about)


@dataclass(frozen=True, slots=True)
class AcceptPolicy:
    """Who may send to this member."""

    address: PeerAddress
    is_removed: Callable[[int], bool]
    streams: "set[InboundStream]"
    ends: TransportEvents


class Acceptor(asyncio.Protocol):
    """Stands in front of each connection to the peer port: the first bytes say what it is for."""

    def __init__(self, connection: Connection, welcome: AcceptPolicy) -> None:
        self._connection = connection
        self._welcome = welcome
        self._transport: asyncio.Transport | None = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self._connection.connection_made(transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._head += data
        if not _ASK.startswith(self._head[: len(_ASK)]):
            self._transport.set_protocol(self._connection)
            self._connection.data_received(self._head)
        elif b"\r\n\r\n" in self._head:
            head, _, rest = self._head.partition(b"\r\n\r\n")
            self._answer(self._transport, head, rest)
        elif len(self._head) > HEAD_BYTES_MAX:
            self._transport.abort()

    def eof_received(self) -> bool:
        return self._connection.eof_received()

    def connection_lost(self, exc: Exception | None) -> None:
        self._connection.connection_lost(exc)

    def _answer(self, transport: asyncio.Transport, head: bytes, rest: bytes) -> None:
        lines = (line.partition(b":") for line in head.split(b"\r\n")[1:])
        fields = {name.strip().lower(): value.strip() for name, _, value in lines}
        welcome = self._welcome
        status = _judge(fields, welcome)
        if status != b"101 Switching Protocols":
            transport.write(
                b"HTTP/1.1 %b\r\nX-Etcd-Cluster-ID: %x\r\nContent-Length: 0\r\n"
                b"Connection: close\r\n\r\n" % (status, welcome.address.cluster)
            )
            transport.close()
            return
        transport.write(
            b"HTTP/1.1 %b\r\nConnection: Upgrade\r\nUpgrade: %b\r\n\r\n" % (status, UPGRADE)
        )
        # The HTTP side lets it go; from now on it is a stream of frames.
        self._connection.connection_lost(None)
        stream = InboundStream(transport, welcome, int(fields[b"x-server-from"], 16))
        transport.set_protocol(stream)
        welcome.ends.met(stream.sender)
        if rest:
            stream.data_received(rest)


def _judge(fields: dict[bytes, bytes], welcome: AcceptPolicy) -> bytes:
    if fields.get(b"upgrade") != UPGRADE:
        return b"426 Upgrade Required"
    try:
        cluster, sender, receiver = (
            int(fields[name], 16) for name in (b"x-etcd-cluster-id", b"x-server-from", b"x-raft-to")
        )
    except (KeyError, ValueError):
        return b"400 Bad Request"
    address = welcome.address
    if cluster != address.cluster or receiver != address.member:
        return b"412 Precondition Failed"
    if welcome.is_removed(sender):
        return b"410 Gone"
    return b"101 Switching Protocols"


class InboundStream(asyncio.Protocol):
    """Frames from one other member."""

    def __init__(self, transport: asyncio.Transport, welcome: AcceptPolicy, sender: int) -> None:
        self.sender = sender
        self._transport = transport
        self._welcome = welcome
        self._buffer = bytearray()
        welcome.streams.add(self)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer
        buffer += data
        start = 0
        while len(buffer) - start >= _LENGTH:
            length = int.from_bytes(buffer[start : start + _LENGTH], "little")
            end = start + _LENGTH + length
            if length > FRAME_BYTES_MAX:
                _log.error("frame-refused", bytes=length)
                self._transport.abort()
                return
            if len(buffer) < end:
                break
            if not self._take(bytes(buffer[start + _LENGTH : end])):
                return
            start = end
        if start:
            del buffer[:start]

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._welcome.streams.discard(self)

    def close(self) -> None:
        """End it."""
        self._transport.abort()

    def _take(self, content: bytes) -> bool:
        try:
            arrived = peer_messages.decode(content)
        except msgspec.DecodeError as error:
            _log.error("frame-refused", why=str(error))
            self._transport.abort()
            return False
        me = self._welcome.address.member
        self._welcome.ends.received([message for message in arrived if message.receiver == me])
        return True


def close_all(streams: Collection[InboundStream]) -> None:
    """End every stream."""
    for stream in tuple(streams):
        stream.close()
