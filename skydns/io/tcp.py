"""A TCP server with a bounded number of connections and pipelined queries (RFC 7766)."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

from daemonkit.observe.process_counters import record_error
from skydns.core.responder import Reply
from skydns.io.pending import Resolve

# Replies to a message of a client.
Respond = Callable[[bytes, bytes], Reply]

# The pipeline of one client must not delay the datagrams of all others.
BURST_MESSAGES = 64


@dataclass(frozen=True, slots=True)
class TcpLimits:
    """The limits of TCP clients.

    A connection is closed when it was idle for `idle_s` (seconds, not minutes: RFC 7766, 6.2.3),
    when a message that has begun does not arrive in full within `message_s`, and when the client
    has not read its replies for `stalled_s`. At most `pending_max` queries of a connection may
    wait for other servers.
    """

    connections_max: int = 1000
    connections_per_client_max: int = 50
    idle_s: float = 10.0
    message_s: float = 3.0
    stalled_s: float = 5.0
    pending_max: int = 100
    sweep_s: float = 1.0


TCP_LIMITS = TcpLimits()


@dataclass(slots=True)
class TcpCounts:
    """Counts since the start."""

    opened: int = 0
    received: int = 0
    rejected: int = 0
    timed_out: int = 0
    open_by_client: Counter[str] = field(default_factory=Counter)


class TcpServer:
    """Answers on one listening socket. Several queries of a connection may be in flight.

    `respond` gets each message and its client, `resolve` each reply that must wait.
    """

    def __init__(
        self,
        sock: socket.socket,
        respond: Respond,
        resolve: Resolve,
        limits: TcpLimits = TCP_LIMITS,
    ) -> None:
        self._sock = sock
        self.respond, self.resolve = respond, resolve
        self.limits = limits
        self.counts = TcpCounts()
        # In the order of their last query, so that the first has been idle longest.
        self.connections: dict[_Connection, None] = {}
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Accept connections from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self._sock)
        self._sweep = loop.call_later(self.limits.sweep_s, self._close_overdue)

    async def stop(self) -> None:
        """Stop accepting, answer what has arrived, and close."""
        assert self._server is not None
        assert self._sweep is not None
        self._sweep.cancel()
        self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.stalled_s):
                await self._server.wait_closed()

    def _close_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in tuple(self.connections):
            if connection.deadline_s < now_s:
                self.counts.timed_out += 1
                connection.abort()
        self._sweep = loop.call_later(self.limits.sweep_s, self._close_overdue)


class _Connection(asyncio.Protocol):
    """A connection of a client. It is read only as fast as the client reads its replies."""

    def __init__(self, server: TcpServer) -> None:
        self._server = server
        self._limits = server.limits
        self._buffer = bytearray()
        self._client = ""
        self._address = b""
        self._stalled = False
        self._pending = 0
        self.deadline_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accept the client, or close the connection at once."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = str((transport.get_extra_info("peername") or ("",))[0])
        with contextlib.suppress(ValueError):
            self._address = ip_address(self._client.partition("%")[0]).packed
        server = self._server
        server.counts.opened += 1
        server.counts.open_by_client[self._client] += 1
        server.connections[self] = None
        self._set_deadline(self._limits.idle_s)
        if server.counts.open_by_client[self._client] > server.limits.connections_per_client_max:
            server.counts.rejected += 1
            self.abort()
        elif len(server.connections) > server.limits.connections_max:
            server.counts.rejected += 1
            longest_idle = next(iter(server.connections))
            del server.connections[longest_idle]
            longest_idle.abort()

    def data_received(self, data: bytes) -> None:
        """Answer the whole messages that have arrived."""
        if not self._buffer:
            self._set_deadline(self._limits.message_s)
        self._buffer += data
        self._answer()

    def pause_writing(self) -> None:
        """Stop reading until the client reads."""
        self._stalled = True
        self._set_deadline(self._limits.stalled_s)
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Continue with what has arrived meanwhile."""
        self._stalled = False
        self._set_deadline(self._limits.message_s)
        self._continue()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client."""
        self._server.connections.pop(self, None)
        open_by_client = self._server.counts.open_by_client
        open_by_client[self._client] -= 1
        if not open_by_client[self._client]:
            del open_by_client[self._client]

    def close(self) -> None:
        """Send the replies that are ready, and close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _answer(self) -> None:
        for _ in range(BURST_MESSAGES):
            if not self._may_continue() or not self._answer_one():
                return
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._continue)

    def _continue(self) -> None:
        if self._may_continue() and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer()

    def _may_continue(self) -> bool:
        return not self._stalled and self._pending < self._limits.pending_max

    def _answer_one(self) -> bool:
        """Answer the first message, if all of it has arrived."""
        buffer, server = self._buffer, self._server
        end = 2 + int.from_bytes(buffer[:2], "big")
        if len(buffer) < max(end, 2):
            return False
        server.counts.received += 1
        reply: Reply = None
        try:
            reply = server.respond(bytes(buffer[2:end]), self._address)
        except Exception as error:  # noqa: BLE001 - one message must not end all others
            record_error(error)
        del buffer[:end]
        if reply is None:
            # Such a message gets no reply, because its sender does not speak DNS.
            self.abort()
            return False
        self._set_deadline(self._limits.message_s if buffer else self._limits.idle_s)
        server.connections.pop(self, None)
        server.connections[self] = None
        if isinstance(reply, bytes):
            self._write(reply)
        else:
            # Later queries may be answered first (RFC 7766, 6.2.1.1).
            self._pending += 1
            if self._pending == self._limits.pending_max:
                self._transport.pause_reading()
            server.resolve(reply, self._write_late)
        return True

    def _write_late(self, reply: bytes | None) -> None:
        self._pending -= 1
        if self._transport.is_closing():
            return
        if reply is not None:
            self._write(reply)
        if self._pending == self._limits.pending_max - 1:
            # Not at once: a late reply may come from within `_answer`.
            asyncio.get_running_loop().call_soon(self._continue)

    def _write(self, reply: bytes) -> None:
        self._transport.write(len(reply).to_bytes(2, "big") + reply)

    def _set_deadline(self, timeout_s: float) -> None:
        self.deadline_s = asyncio.get_running_loop().time() + timeout_s
