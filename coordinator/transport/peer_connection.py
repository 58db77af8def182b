"""The connection to one other member: dialed again and again until it is closed.

Messages that cannot be sent now are dropped and reported: Raft sends important ones again.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import urlsplit

from coordinator.core.cluster import versions
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.peer import frames, handshake
from coordinator.core.peer.handshake import PeerAddress
from coordinator.core.peer.latency import PeerLatencies
from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.transport.peer_tls import PeerTls
from daemonkit.core.tls.certificate import Certificate
from daemonkit.http.tls import verified
from daemonkit.observe import logs

# What may wait in a connection for a member that does not read: three times the appends in flight.
OUTBOX_BYTES_MAX = 48 << 20
DIAL_S = 1.0
# A connection whose bytes nobody has acknowledged for so long is given up and dialed again. After a
# loss without a word TCP by itself waits twice as long before each attempt, up to two minutes.
SILENCE_MS_MAX = 2000
# Between two attempts to reach a member that is away; one that timed out has waited enough.
RETRY_MIN_S, RETRY_MAX_S = 0.05, 0.5

_log = logs.get("coordinator.peers")


class TransportEvents(Protocol):
    """The receiver of events between the members."""

    def received(self, messages: list[PeerMessage]) -> None:
        """Messages have come."""
        ...

    def messages_lost(self, member: int) -> None:
        """Messages to a member may have been lost."""
        ...

    def connection_refused(self, member: int) -> None:
        """No process listens at the member's address."""
        ...

    def peer_connected(self, member: int) -> None:
        """A member has dialed this one, so it is there."""
        ...

    def removed(self) -> None:
        """Another member reports that this one is no longer in the cluster."""
        ...


@dataclass(slots=True)
class Outbound:
    """What all connections of one member share.

    `needed` returns the cluster version that another member must know to read the log.
    """

    address: PeerAddress
    events: TransportEvents
    tls: PeerTls | None
    needed: Callable[[], ClusterVersion]
    latencies: PeerLatencies = field(default_factory=PeerLatencies)
    sent_bytes: int = 0

    def lost(self, member: int) -> None:
        """Note that messages to a member were dropped."""
        self.latencies.failed(member)
        self.events.messages_lost(member)


class PeerConnection(asyncio.Protocol):
    """The way to one member."""

    def __init__(self, outbound: Outbound, member: int, urls: tuple[str, ...]) -> None:
        self.member = member
        self.urls = urls
        self.is_open = False
        self.other_cluster = ""  # the cluster that answers at the member's URLs
        self.secure = False  # whether the connection has TLS
        self._holder: Certificate | None = None  # whose certificate the other side has shown
        self._plain_next = False  # the last attempt with TLS failed, and one without is allowed
        self._falls_back = False
        self._outbound = outbound
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._descriptor = -1
        self._retry_s = RETRY_MIN_S
        self._attempt = 0
        self._closed = False
        self._pausing = False
        self._dropped = False
        self._version = versions.FIRST
        self._logged = ""
        self._dialing: asyncio.Task[None] | None = None
        self._dial()

    def send(self, messages: list[PeerMessage]) -> None:
        """Send a frame, or drop it."""
        transport = self._transport
        if not self.is_open or transport is None:
            self._dropped = True
            return
        if transport.get_write_buffer_size() > OUTBOX_BYTES_MAX:
            self._outbound.lost(self.member)
            return
        if self._version < versions.OWN:
            # What the other member does not know, it does not miss.
            messages = [each for each in messages if versions.since(type(each)) <= self._version]
        frame = frames.encode(messages)
        self._outbound.sent_bytes += len(frame)
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

    def reconnect_now(self) -> None:
        """Dial now instead of later."""
        if self._pausing and self._dialing is not None:
            self._dialing.cancel()
            self._retry_s = RETRY_MIN_S
            self._dial()

    def close(self) -> None:
        """End the connection for good."""
        self._closed = True
        if self._dialing is not None:
            self._dialing.cancel()
        if self._transport is not None:
            self._transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.secure = transport.get_extra_info("sslcontext") is not None
        self._holder = verified(transport) if self.secure else None
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, SILENCE_MS_MAX)
        self._descriptor = -1 if self.secure else sock.fileno()
        if why := self._refusal():
            self._turned_away(why)
            return
        request = handshake.request(self._host, self._outbound.address, self.member)
        transport.write(request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self.is_open:
            return  # this side sends nothing any more
        self._head += data
        if handshake.HEAD_END in self._head or len(self._head) > handshake.HEAD_BYTES_MAX:
            self._version = handshake.version_of(self._head)
            if handshake.status_code(self._head) != b"101":
                self._turned_away(handshake.reason(self._head))
            elif why := versions.problem(self._version, self._outbound.needed()):
                self._turned_away(why)
            else:
                self.is_open, self._retry_s = True, RETRY_MIN_S
                self.other_cluster = ""
                self._plain_next = False
                self._log_once("linked", tls=self.secure)
                if self._dropped:  # it can be sent again only now
                    self._dropped = False
                    self._outbound.events.messages_lost(self.member)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        was_open, self.is_open, self._transport = self.is_open, False, None
        if was_open:
            self._outbound.lost(self.member)
        elif self._falls_back and not self._head:
            # In TLS 1.3 the other side refuses a certificate after the handshake.
            self._plain_next = self.secure
        self._dial(0.0 if was_open else self._retry_s)

    def _turned_away(self, why: str) -> None:
        self._log_once("refused", why=why)
        self._falls_back = False  # it has TLS
        self.other_cluster = handshake.other_cluster(self._head, self._outbound.address.cluster)
        if handshake.status_code(self._head) == b"410":
            self._outbound.events.removed()
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
        tls = self._context(parts.scheme)
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
            self._not_reached(error, secure=tls is not None)

    def _not_reached(self, error: OSError, *, secure: bool) -> None:
        is_closed = isinstance(error, ConnectionRefusedError)
        self._plain_next = self._falls_back and secure and not is_closed
        if self._plain_next:
            _log.info("no-tls", member=f"{self.member:x}", why=str(error) or type(error).__name__)
            self._dial()
            return
        self._log_once("away", why=str(error) or type(error).__name__)
        if is_closed:
            self._outbound.events.connection_refused(self.member)
        self._retry_s = min(2 * self._retry_s, RETRY_MAX_S)
        self._dial(0.0 if isinstance(error, TimeoutError) else self._retry_s)

    def _context(self, scheme: str) -> ssl.SSLContext | None:
        """Return the context for an attempt; None for one without TLS."""
        tls = self._outbound.tls
        self._falls_back = tls is not None and tls.may_fall_back(scheme)
        plain = self._falls_back and self._plain_next
        return (
            tls.current() if tls is not None and tls.dials_with_tls(scheme) and not plain else None
        )

    def _refusal(self) -> str:
        tls = self._outbound.tls
        return f"the certificate {why}" if tls and (why := tls.refusal(self._holder)) else ""

    def recheck(self) -> None:
        """End the connection if the other side's certificate has been revoked."""
        if self._transport is not None and (why := self._refusal()):
            self._turned_away(why)

    def _log_once(self, event: str, **about: object) -> None:
        """Log a change of the connection, and not again until it changes."""
        if event != self._logged:
            self._logged = event
            _log.info(event, member=f"{self.member:x}", url=",".join(self.urls), **about)
