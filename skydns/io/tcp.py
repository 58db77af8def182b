"""TCP: pipelined queries on bounded connections (RFC 7766)."""

import asyncio
import contextlib
import socket
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import cast

Send = Callable[[bytes], None]
# The reply to a message from a client, None for none; something to call where it takes time.
Reply = Callable[[bytes, bytes], bytes | Callable[[Send], None] | None]

# One client's pipeline must not hold up the datagrams of all others.
BURST_MESSAGES = 64


@dataclass(frozen=True, slots=True)
class Limits:
    """What TCP clients may take.

    A connection may be idle for `idle_s` (seconds rather than minutes: RFC 7766, 6.2.3). A
    message that has begun must arrive within `message_s`, or it is held back to hold us up;
    a client that does not read its replies for `stalled_s` is let go. At most `pending_max` of
    its questions may wait for other servers.
    """

    connections_max: int = 1000
    connections_per_client_max: int = 50
    idle_s: float = 10.0
    message_s: float = 3.0
    stalled_s: float = 5.0
    pending_max: int = 100
    sweep_s: float = 1.0


LIMITS = Limits()


@dataclass(slots=True)
class TcpCounts:
    """What happened on TCP since the start."""

    opened: int = 0
    received: int = 0
    turned_away: int = 0
    timed_out: int = 0
    open_by_client: Counter[str] = field(default_factory=Counter)


class Tcp:
    """Answers on one listening socket; several queries may be under way on a connection."""

    def __init__(self, sock: socket.socket, reply: Reply, limits: Limits = LIMITS) -> None:
        self._sock = sock
        self.reply = reply
        self.limits = limits
        self.counts = TcpCounts()
        # In the order of their last query: the first is the one that has been idle longest.
        self.connections: dict[_Connection, None] = {}
        self._server: asyncio.Server | None = None
        self._sweep: asyncio.TimerHandle | None = None

    async def start(self) -> None:
        """Accept from now on."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Connection(self), sock=self._sock)
        self._sweep = loop.call_later(self.limits.sweep_s, self._end_overdue)

    async def stop(self) -> None:
        """Accept no more, answer what has arrived, and close."""
        assert self._server is not None
        assert self._sweep is not None
        self._sweep.cancel()
        self._server.close()
        for connection in tuple(self.connections):
            connection.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self.limits.stalled_s):
                await self._server.wait_closed()

    def _end_overdue(self) -> None:
        loop = asyncio.get_running_loop()
        now_s = loop.time()
        for connection in tuple(self.connections):
            if connection.deadline_s < now_s:
                self.counts.timed_out += 1
                connection.abort()
        self._sweep = loop.call_later(self.limits.sweep_s, self._end_overdue)


class _Connection(asyncio.Protocol):
    """One client. It is read only as fast as it takes its replies."""

    def __init__(self, server: Tcp) -> None:
        self._server = server
        self._limits = server.limits
        self._buffer = bytearray()
        self._client = ""
        self._address = b""
        self._stalled = False
        self._pending = 0
        self.deadline_s = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the client in, or turn it away at once."""
        self._transport = cast("asyncio.Transport", transport)
        self._client = str((transport.get_extra_info("peername") or ("",))[0])
        with contextlib.suppress(ValueError):
            self._address = ip_address(self._client.partition("%")[0]).packed
        server = self._server
        server.counts.opened += 1
        server.counts.open_by_client[self._client] += 1
        server.connections[self] = None
        self._wait(self._limits.idle_s)
        if server.counts.open_by_client[self._client] > server.limits.connections_per_client_max:
            server.counts.turned_away += 1
            self.abort()
        elif len(server.connections) > server.limits.connections_max:
            server.counts.turned_away += 1
            longest_idle = next(iter(server.connections))
            del server.connections[longest_idle]
            longest_idle.abort()

    def data_received(self, data: bytes) -> None:
        """Answer the whole messages that have arrived."""
        if not self._buffer:
            self._wait(self._limits.message_s)
        self._buffer += data
        self._answer()

    def pause_writing(self) -> None:
        """Stop until the client reads."""
        self._stalled = True
        self._wait(self._limits.stalled_s)
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        """Go on with what has arrived meanwhile."""
        self._stalled = False
        self._wait(self._limits.message_s)
        self._go_on()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Forget the client."""
        self._server.connections.pop(self, None)
        open_by_client = self._server.counts.open_by_client
        open_by_client[self._client] -= 1
        if not open_by_client[self._client]:
            del open_by_client[self._client]

    def close(self) -> None:
        """Send what is answered and close."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once."""
        self._transport.abort()

    def _answer(self) -> None:
        for _ in range(BURST_MESSAGES):
            if not self._may_go_on() or not self._answer_one():
                return
        self._transport.pause_reading()
        asyncio.get_running_loop().call_soon(self._go_on)

    def _go_on(self) -> None:
        if self._may_go_on() and not self._transport.is_closing():
            self._transport.resume_reading()
            self._answer()

    def _may_go_on(self) -> bool:
        return not self._stalled and self._pending < self._limits.pending_max

    def _answer_one(self) -> bool:
        """Answer the first message, if all of it is there."""
        buffer, server = self._buffer, self._server
        end = 2 + int.from_bytes(buffer[:2], "big")
        if len(buffer) < max(end, 2):
            return False
        server.counts.received += 1
        reply = server.reply(bytes(buffer[2:end]), self._address)
        del buffer[:end]
        if reply is None:
            # No question, no answer: who sends this does not speak DNS.
            self.abort()
            return False
        self._wait(self._limits.message_s if buffer else self._limits.idle_s)
        server.connections.pop(self, None)
        server.connections[self] = None
        if isinstance(reply, bytes):
            self._write(reply)
        else:
            # Others overtake it (RFC 7766, 6.2.1.1).
            self._pending += 1
            if self._pending == self._limits.pending_max:
                self._transport.pause_reading()
            reply(self._write_late)
        return True

    def _write_late(self, reply: bytes) -> None:
        self._pending -= 1
        if self._transport.is_closing():
            return
        self._write(reply)
        if self._pending == self._limits.pending_max - 1:
            self._go_on()

    def _write(self, reply: bytes) -> None:
        self._transport.write(len(reply).to_bytes(2, "big") + reply)

    def _wait(self, patience_s: float) -> None:
        self.deadline_s = asyncio.get_running_loop().time() + patience_s
