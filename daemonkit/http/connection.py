"""One client's connection: bytes to requests, answers to bytes, and a bound on each wait.

A connection has one exchange at a time: pipelined requests wait in its buffer, so answers
leave in order. Two things stop it from taking the next request: an answer that has not ended,
and a client that does not read the answers it has. Either way the buffer fills to its bound
and the socket is no longer read.
"""

import asyncio
import re
import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from daemonkit.core.framing import (
    HEAD_END,
    BadMessage,
    ChunkedBody,
    LengthBody,
    RequestHead,
    parse_request_head,
    request_body,
)
from daemonkit.http.exchange import Exchange, Tunnel

if TYPE_CHECKING:
    from daemonkit.http.server import Server

# What a client may send ahead of the answer it waits for, before it is no longer read.
AHEAD_BYTES_MAX = 64 * 1024
# While the server drains, a connection without a request yet may have one on its way.
FRESH_S = 1.0
STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)  # socket(7): with a linger time of 0, close sends a reset
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost."""

    head_bytes_max: int = 32 * 1024
    target_bytes_max: int = 32 * 1024  # of the request line's part of that
    body_bytes_max: int = 10 * 1024 * 1024  # buffered applications only
    bodies_bytes_max: int = 512 * 1024 * 1024  # of all bodies that are arriving, together
    head_s: float = 10.0  # from the first byte of a head to its end
    body_s: float = 60.0  # between two pieces of a buffered body
    idle_s: float = 120.0  # between two requests
    write_s: float = 60.0  # in which a client takes not one byte of its answer
    linger_s: float = 2.0  # reading on after a last answer, so that it arrives
    connections_max: int = 10_000
    client_connections_max: int = 0  # of one address, or IPv6 network of 64 bits; 0: no bound


class State(Enum):
    """Where a connection stands; the sweep bounds the time in all but ANSWER."""

    FRESH = auto()  # nothing has come yet
    IDLE = auto()  # between requests
    HEAD = auto()  # part of a head has arrived
    BODY = auto()  # a buffered body is arriving
    ANSWER = auto()  # the application has it
    TUNNEL = auto()  # no HTTP any more; the application bounds its time
    LINGER = auto()  # answered for the last time; what still comes is thrown away
    CLOSED = auto()


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_body",
        "_buffer",
        "_continued",
        "_gathered",
        "_half_closed",
        "_head",
        "_parsing",
        "_paused",
        "_since",
        "_state",
        "_taken_bytes",
        "_taken_since",
        "_transport",
        "_tunnel",
        "_written_bytes",
        "close_after",
        "exchange",
        "peer",
        "secure",
        "server",
        "write_paused",
    )

    def __init__(self, server: "Server", *, secure: bool) -> None:
        self.server = server
        self.secure = secure
        self.peer = ("", 0)
        self.exchange: Exchange | None = None
        self.close_after = False
        self.write_paused = False
        self._transport: asyncio.Transport | None = None
        self._state = State.FRESH
        self._since = 0.0
        self._buffer = b""
        self._head: RequestHead | None = None
        self._body: LengthBody | ChunkedBody | None = None  # of the request, not yet complete
        self._gathered = bytearray()
        self._parsing = False
        self._paused = False
        self._continued = False
        self._half_closed = False
        self._tunnel: Tunnel | None = None
        self._written_bytes = 0
        self._taken_bytes = 0
        self._taken_since = 0.0

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (peer[0], peer[1])
        self._enter(State.FRESH)
        self._taken_since = self._since
        self.server.opened(self)

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is State.LINGER or state is State.CLOSED:
            return
        if self._body is not None:
            self._advance_body(data)
            return
        if self._tunnel is not None:
            self._tunnel.client_data(data)
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self.exchange is None and not self.write_paused:
            self._parse()
        elif len(self._buffer) > AHEAD_BYTES_MAX:
            self.pause()

    def eof_received(self) -> bool:
        """Keep the connection for what the client still waits for.

        TLS has no half-closed connections: there the end of a client's sending ends it.
        """
        if self._tunnel is not None:
            self._tunnel.client_end()
            return not self.secure
        exchange = self.exchange
        unanswered = (
            bool(self._buffer) and self.write_paused
            if exchange is None
            else self._body is None and not exchange.ends_with_client
        )
        if unanswered and not self.secure:
            self._half_closed = True
            return True
        if exchange is None:
            self._enter(State.LINGER)
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._state = State.CLOSED
        self._buffer = b""
        self._body = None
        self._tunnel = None
        self._take_gathered()
        self.server.closed(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.lost is not None:
            exchange.lost()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.exchange is None:
            self._go_on()
        elif self.exchange.resumed is not None:
            self.exchange.resumed()

    # for Exchange

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._written_bytes += len(data)
        self._transport.write(data)

    def persistence(self, head: RequestHead) -> bytes:
        """Return the Connection field of an answer, and remember what it promises."""
        if self._body is not None and not self.server.buffered:
            self.close_after = True  # the rest of the body would be read as the next request
        if self._half_closed and not self._buffer:
            self.close_after = True
        if self.close_after or not head.keep_alive or self.server.draining:
            self.close_after = True
            return b"Connection: close\r\n"
        return b"Connection: keep-alive\r\n" if head.minor == 0 else b""

    def answered(self) -> None:
        self.exchange = None
        if self._body is not None and self._state is State.ANSWER:
            self.close_after = True
        if self.close_after:
            self._last_words()
            return
        self._enter(State.IDLE)
        self._continued = False
        self._go_on()

    def proceed(self, head: RequestHead) -> None:
        if head.expects_continue and self._body is not None and not self._continued:
            self._continued = True
            self.write(_CONTINUE)

    def switch(self, tunnel: Tunnel) -> None:
        self._state = State.TUNNEL
        self._tunnel = tunnel
        ahead, self._buffer = self._buffer, b""
        self._read_on()
        if ahead:
            tunnel.client_data(ahead)
        if self._half_closed:
            tunnel.client_end()

    def end_tunnel(self) -> None:
        assert self._transport is not None
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close_tunnel(self) -> None:
        assert self._transport is not None
        self._tunnel = None
        self._close()

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        # An application that takes the body's next piece has no say over what follows the body.
        if len(self._buffer) <= AHEAD_BYTES_MAX:
            self._read_on()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Cut an answer so that it does not look whole, even where its end is the connection's."""
        if self._transport is not None and self._state is not State.CLOSED:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    # for Server

    def refuse(self, status: int, reason: str) -> None:
        """Say why this connection is one too many."""
        self._refuse(BadMessage(status, reason))

    def close_if_idle(self) -> None:
        """Close between two requests; a request under way is the last one."""
        self.close_after = True
        if self._state is State.IDLE and not self._buffer:
            self._close()

    def sweep(self, now: float) -> None:
        """Close what has been in its state for too long."""
        assert self._transport is not None
        limits, pending_bytes = self.server.limits, self._transport.get_write_buffer_size()
        taken_bytes = self._written_bytes - pending_bytes
        if not pending_bytes or taken_bytes != self._taken_bytes:
            self._taken_bytes, self._taken_since = taken_bytes, now
        elif now - self._taken_since > limits.write_s:
            self.abort()
            return
        if pending_bytes and self._state in {State.IDLE, State.LINGER}:
            self._since = now  # its answer is still on its way
        spent_s = now - self._since
        match self._state:
            case State.FRESH if spent_s > (FRESH_S if self.server.draining else limits.idle_s):
                self._close()
            case State.IDLE if spent_s > limits.idle_s and not self._buffer:
                self._close()
            case State.HEAD if spent_s > limits.head_s:
                self._refuse(BadMessage(408, "the request head did not arrive in time"))
            case State.BODY if spent_s > limits.body_s:
                self._refuse(BadMessage(408, "the request body did not arrive in time"))
            case State.LINGER if spent_s > limits.linger_s:
                self.abort()
            case _:
                pass

    # reading

    def _go_on(self) -> None:
        """Turn to what has been sent ahead, and to what will be sent."""
        if not self._parsing and (self._buffer or self._paused or self._half_closed):
            self._parse()

    def _parse(self) -> None:
        self._parsing = True
        try:
            while self._next_request():
                pass
        except BadMessage as refusal:
            self._refuse(refusal)
        finally:
            self._parsing = False
        if self.exchange is not None or self.write_paused or self._state is State.LINGER:
            return
        if self._half_closed:
            self._last_words()
        else:
            self._read_on()

    def _next_request(self) -> bool:
        """Take one request from the buffer; False when it is not there yet, or not its turn."""
        if self.exchange is not None or self.write_paused or self._state is State.LINGER:
            return False
        buffer = self._buffer
        if buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request
            match = _EMPTY_LINES.match(buffer)
            assert match is not None
            self._buffer = buffer = buffer[match.end() :]
        if not buffer:
            return False
        end = buffer.find(HEAD_END)
        if end < 0 or end > self.server.limits.head_bytes_max:
            self._wait_for_head(buffer)
            return False
        head = parse_request_head(buffer[: end + 4])
        if len(head.target) > self.server.limits.target_bytes_max:
            raise BadMessage(414, "the request target is too long")
        self._buffer = rest = buffer[end + 4 :]
        if head.chunked or head.length:
            return self._begin_body(head, rest)
        self._dispatch(head, b"")
        return True

    def _wait_for_head(self, buffer: bytes) -> None:
        if len(buffer) > self.server.limits.head_bytes_max:
            if b"\r\n" not in buffer:
                raise BadMessage(414, "the request target is too long")
            raise BadMessage(431, "the request head is too large")
        if b"\n" in buffer and b"\r\n" not in buffer:
            raise BadMessage(400, "a line ends with a bare LF")
        if self._state is not State.HEAD:
            self._enter(State.HEAD)

    def _begin_body(self, head: RequestHead, rest: bytes) -> bool:
        if not self.server.buffered:
            self._body = request_body(head)
            self._buffer = b""
            self._read_on()
            self._dispatch(head, b"")
            if self._body is not None and rest:
                self._advance_body(rest)
            return self._body is None
        if head.length > self.server.limits.body_bytes_max:
            raise BadMessage(413, "the request body is too large")
        if not head.chunked and len(rest) >= head.length:
            self._buffer = rest[head.length :]
            self._dispatch(head, rest[: head.length])
            return True
        self._buffer = b""
        self._head, self._body = head, request_body(head)
        self._enter(State.BODY)
        if rest:
            self._advance_body(rest)
        else:
            self.proceed(head)
        return self._body is None

    def _advance_body(self, data: bytes) -> None:
        assert self._body is not None
        try:
            pieces, rest = self._body.feed(data)
        except BadMessage as refusal:
            self._refuse(refusal)
            return
        if self.server.buffered:
            self._gather(pieces, rest)
        else:
            self._hand_over(pieces, rest)

    def _hand_over(self, pieces: list[bytes], rest: bytes | None) -> None:
        exchange = self.exchange
        if rest is not None:
            if exchange is not None and isinstance(self._body, ChunkedBody):
                exchange.trailers = self._body.trailers
            self._body = None
            self._buffer = rest
        receiver = exchange.receiver if exchange is not None else None
        if receiver is None:
            return
        for piece in pieces:
            receiver.body_data(piece)
            if self.exchange is not exchange:
                return
        if rest is not None:
            receiver.body_end()

    def _gather(self, pieces: list[bytes], rest: bytes | None) -> None:
        server = self.server
        for piece in pieces:
            self._gathered += piece
            server.gathered_bytes += len(piece)
        self._enter(State.BODY)
        if len(self._gathered) > server.limits.body_bytes_max:
            self._refuse(BadMessage(413, "the request body is too large"))
            return
        if server.gathered_bytes > server.limits.bodies_bytes_max:
            self._refuse(BadMessage(503, "too many request bodies are arriving at once"))
            return
        if rest is None:
            return
        assert self._head is not None
        head, self._head, self._body = self._head, None, None
        self._buffer = rest
        self._dispatch(head, self._take_gathered())
        self._go_on()

    def _take_gathered(self) -> bytes:
        gathered, self._gathered = self._gathered, bytearray()
        self.server.gathered_bytes -= len(gathered)
        return bytes(gathered)

    def _dispatch(self, head: RequestHead, body: bytes) -> None:
        self._state = State.ANSWER
        self.exchange = exchange = Exchange(self, head, body)
        self.server.application(exchange)

    def _read_on(self) -> None:
        if self._paused and self._transport is not None and self._state is not State.CLOSED:
            self._paused = False
            self._transport.resume_reading()

    # ending

    def _refuse(self, refusal: BadMessage) -> None:
        """Answer a message that must not be acted on, and end the connection."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.begun:
            self.reset()  # only that tells the client that this was not the whole answer
        else:
            body = f"{refusal.reason}\n".encode()
            self.write(
                STATUS_LINES[refusal.status]
                + b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n" % len(body)
                + self.server.date
                + b"Connection: close\r\n\r\n"
                + body
            )
            self._last_words()
        if exchange is not None and exchange.lost is not None:
            exchange.lost()

    def _last_words(self) -> None:
        """Close once the answer is out. What the client still sends must not reset it."""
        assert self._transport is not None
        self._buffer = b""
        self._body = None
        self._take_gathered()
        self._enter(State.LINGER)
        self._read_on()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _close(self) -> None:
        assert self._transport is not None
        self._enter(State.LINGER)
        self._transport.close()

    def _enter(self, state: State) -> None:
        self._state = state
        self._since = self.server.now()
