"""The HTTP/1.1 server connection on asyncio protocols (uvloop).

A connection has one exchange at a time: pipelined requests wait in its buffer, so answers
leave in order. An application is called with the `Exchange` either when the request is
complete (`buffered`) or at its head, and then takes the body piece by piece.

Time-outs need no timer a request: a sweep each second looks at when every connection
entered its state.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import formatdate
from enum import Enum, auto
from http import HTTPStatus
from typing import Protocol, cast

from daemonkit.http.framing import (
    HEAD_END,
    BadMessage,
    ChunkedBody,
    LengthBody,
    RequestHead,
    parse_request_head,
    request_body,
)

SWEEP_S = 1.0
BACKLOG = 4096
# What a client may send ahead of the answer it waits for, before it is no longer read.
AHEAD_BYTES_MAX = 64 * 1024
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may cost."""

    head_bytes_max: int = 32 * 1024
    body_bytes_max: int = 10 * 1024 * 1024  # buffered applications only
    head_s: float = 10.0  # from the first byte of a head to its end
    body_s: float = 60.0  # between two pieces of a buffered body
    idle_s: float = 120.0  # between two requests
    linger_s: float = 2.0  # reading on after a refusal, so that its answer arrives
    connections_max: int = 10_000


class Application(Protocol):
    """Answers exchanges, at once or later."""

    def __call__(self, exchange: "Exchange", /) -> None: ...


class Receiver(Protocol):
    """Takes a request's body as it arrives."""

    def body_data(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...


class State(Enum):
    """Where a connection stands; the sweep bounds the time in all but ANSWER."""

    IDLE = auto()  # between requests
    HEAD = auto()  # part of a head has arrived
    BODY = auto()  # a buffered body is arriving
    ANSWER = auto()  # the application has it
    LINGER = auto()  # answered for the last time; what still comes is thrown away
    CLOSED = auto()


class Server:
    """What the connections of one listener share."""

    def __init__(
        self,
        application: Application,
        *,
        buffered: bool = True,
        limits: Limits | None = None,
    ) -> None:
        self.application = application
        self.buffered = buffered
        self.limits = limits or Limits()
        self.connections: set[Connection] = set()
        self.draining = False
        self.date = b""
        self._listeners: list[asyncio.Server] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()
        self.now: Callable[[], float] = float  # the loop's clock, once it listens

    async def listen(self, sock: socket.socket, *, tls: ssl.SSLContext | None = None) -> None:
        """Accept connections on a listening socket."""
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        if not self._listeners:
            self._sweep()
        listener = await self._loop.create_server(
            lambda: Connection(self, secure=tls is not None), sock=sock, ssl=tls, backlog=BACKLOG
        )
        self._listeners.append(listener)

    async def drain(self, deadline_s: float) -> None:
        """Accept no more, let exchanges under way finish, cut what is left at the deadline."""
        self.draining = True
        for listener in self._listeners:
            listener.close()
        for connection in tuple(self.connections):
            connection.close_if_idle()
        if self.connections:
            self._idle.clear()
            try:
                await asyncio.wait_for(self._idle.wait(), deadline_s)
            except TimeoutError:
                for connection in tuple(self.connections):
                    connection.abort()

    def opened(self, connection: "Connection") -> bool:
        """Count a connection; False when there are too many."""
        if len(self.connections) >= self.limits.connections_max or self.draining:
            return False
        self.connections.add(connection)
        return True

    def closed(self, connection: "Connection") -> None:
        """Forget a connection."""
        self.connections.discard(connection)
        if not self.connections:
            self._idle.set()

    def _sweep(self) -> None:
        assert self._loop is not None
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        now = self._loop.time()
        for connection in tuple(self.connections):
            connection.sweep(now)
        if not (self.draining and not self.connections):
            self._loop.call_later(SWEEP_S, self._sweep)


class Exchange:
    """One request and its answer. Heads given to it end without the empty line."""

    __slots__ = (
        "_chunked",
        "_connection",
        "body",
        "ends_with_client",
        "head",
        "lost",
        "receiver",
        "resumed",
    )

    def __init__(self, connection: "Connection", head: RequestHead, body: bytes) -> None:
        self._connection = connection
        self.head = head
        self.body = body  # complete in a buffered application, else empty
        self.receiver: Receiver | None = None
        self.lost: Callable[[], None] | None = None  # the client went away before the answer ended
        self.resumed: Callable[[], None] | None = None  # the client takes bytes again
        # A client that half-closes may still wait for its answer. Where an answer may take
        # for ever (a watch), the end of its sending is taken as its end.
        self.ends_with_client = False
        self._chunked = False

    @property
    def peer(self) -> tuple[str, int]:
        """The client's address."""
        return self._connection.peer

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS."""
        return self._connection.secure

    @property
    def writable(self) -> bool:
        """False while the client does not take what was written; `resumed` is called then."""
        return not self._connection.write_paused

    @property
    def finished(self) -> bool:
        """Whether the answer has ended or the client is gone."""
        return self._connection.exchange is not self

    def reply(self, head: bytes, body: bytes = b"") -> None:
        """Answer at once: status line and fields, Content-Length among them, and the body."""
        connection = self._connection
        if connection.exchange is not self:
            return
        if self.head.method == b"HEAD":
            body = b""
        connection.write(
            head + connection.server.date + connection.persistence(self.head) + b"\r\n" + body
        )
        connection.answered()

    def start(self, head: bytes, *, chunked: bool, dated: bool = False) -> None:
        """Begin an answer whose body follows by `write`; `chunked` when its length is unknown.

        An HTTP/1.0 client gets an unframed body that ends with the connection. `dated` says
        that the head has its own Date field.
        """
        connection = self._connection
        if connection.exchange is not self:
            return
        self._chunked = chunked and self.head.minor == 1
        if chunked:
            if self._chunked:
                head += b"Transfer-Encoding: chunked\r\n"
            else:
                connection.close_after = True
        if not dated:
            head += connection.server.date
        connection.write(head + connection.persistence(self.head) + b"\r\n")

    def write(self, data: bytes) -> None:
        """Send a piece of the body."""
        connection = self._connection
        if connection.exchange is not self or not data or self.head.method == b"HEAD":
            return
        connection.write(b"%x\r\n%b\r\n" % (len(data), data) if self._chunked else data)

    def finish(self, trailers: bytes = b"") -> None:
        """End the answer; `trailers` are complete field lines and need a chunked body."""
        connection = self._connection
        if connection.exchange is not self:
            return
        if self._chunked and self.head.method != b"HEAD":
            connection.write(b"0\r\n" + trailers + b"\r\n")
        connection.answered()

    def abort(self) -> None:
        """Cut the connection, so that the client sees an answer that did not end."""
        if self._connection.exchange is self:
            self._connection.abort()

    def proceed(self) -> None:
        """Tell a client that asked (`Expect: 100-continue`) to send its body."""
        self._connection.proceed(self.head)

    def pause(self) -> None:
        """Read no more of the body for now."""
        self._connection.pause()

    def resume(self) -> None:
        """Read on."""
        self._connection.resume()


class Connection(asyncio.Protocol):
    """One client's connection."""

    __slots__ = (
        "_body",
        "_buffer",
        "_continued",
        "_gathered",
        "_head",
        "_parsing",
        "_paused",
        "_since",
        "_state",
        "_transport",
        "close_after",
        "exchange",
        "peer",
        "secure",
        "server",
        "write_paused",
    )

    def __init__(self, server: Server, *, secure: bool) -> None:
        self.server = server
        self.secure = secure
        self.peer = ("", 0)
        self.exchange: Exchange | None = None
        self.close_after = False
        self.write_paused = False
        self._transport: asyncio.Transport | None = None
        self._state = State.IDLE
        self._since = 0.0
        self._buffer = b""
        self._head: RequestHead | None = None
        self._body: LengthBody | ChunkedBody | None = None  # of the request, not yet complete
        self._gathered: list[bytes] = []
        self._parsing = False
        self._paused = False
        self._continued = False

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (peer[0], peer[1])
        self._enter(State.IDLE)
        if not self.server.opened(self):
            self._refuse(BadMessage(503, "too many connections"))

    def data_received(self, data: bytes) -> None:
        state = self._state
        if state is State.LINGER or state is State.CLOSED:
            return
        if self._body is not None:
            self._advance_body(data)
        elif state is State.ANSWER:
            self._buffer += data
            if len(self._buffer) > AHEAD_BYTES_MAX:
                self.pause()
        else:
            self._buffer = self._buffer + data if self._buffer else data
            self._parse()

    def eof_received(self) -> bool:
        exchange = self.exchange
        if exchange is None or self._body is not None or exchange.ends_with_client:
            return False
        self.close_after = True
        return True

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._state = State.CLOSED
        self.server.closed(self)
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.lost is not None:
            exchange.lost()

    def pause_writing(self) -> None:
        self.write_paused = True

    def resume_writing(self) -> None:
        self.write_paused = False
        if self.exchange is not None and self.exchange.resumed is not None:
            self.exchange.resumed()

    # for Exchange

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def persistence(self, head: RequestHead) -> bytes:
        """Return the Connection field of an answer, and remember what it promises."""
        if self._body is not None and not self.server.buffered:
            self.close_after = True  # the rest of the body would be read as the next request
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
        if self._paused:
            self.resume()
        if self._buffer and not self._parsing:
            self._parse()

    def proceed(self, head: RequestHead) -> None:
        if head.expects_continue and self._body is not None and not self._continued:
            self._continued = True
            self.write(_CONTINUE)

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused and self._transport is not None and self._state is not State.CLOSED:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # for Server

    def close_if_idle(self) -> None:
        self.close_after = True
        if self._state is State.IDLE and self._transport is not None:
            self._transport.close()

    def sweep(self, now: float) -> None:
        """Close what has been in its state for too long."""
        limits, spent = self.server.limits, now - self._since
        match self._state:
            case State.IDLE if spent > limits.idle_s:
                self.close_if_idle()
            case State.HEAD if spent > limits.head_s:
                self._refuse(BadMessage(408, "the request head did not arrive in time"))
            case State.BODY if spent > limits.body_s:
                self._refuse(BadMessage(408, "the request body did not arrive in time"))
            case State.LINGER if spent > limits.linger_s:
                self.abort()
            case _:
                pass

    # reading

    def _parse(self) -> None:
        self._parsing = True
        try:
            while self.exchange is None and self._buffer and self._state is not State.LINGER:
                if not self._next_request():
                    break
        except BadMessage as refusal:
            self._refuse(refusal)
        finally:
            self._parsing = False

    def _next_request(self) -> bool:
        """Take one request from the buffer; False when it is not there yet."""
        while self._buffer.startswith(b"\r\n"):  # RFC 9112, 2.2: empty lines before a request
            self._buffer = self._buffer[2:]
        buffer = self._buffer
        end = buffer.find(HEAD_END)
        if end < 0 or end > self.server.limits.head_bytes_max:
            self._wait_for_head(buffer)
            return False
        head = parse_request_head(buffer[: end + 4])
        self._buffer = rest = buffer[end + 4 :]
        if head.chunked or head.length:
            return self._begin_body(head, rest)
        self._dispatch(head, b"")
        return True

    def _wait_for_head(self, buffer: bytes) -> None:
        if len(buffer) > self.server.limits.head_bytes_max:
            raise BadMessage(431, "the request head is too large")
        if b"\n" in buffer and b"\r\n" not in buffer:
            raise BadMessage(400, "a line ends with a bare LF")
        if self._state is not State.HEAD and buffer:
            self._enter(State.HEAD)

    def _begin_body(self, head: RequestHead, rest: bytes) -> bool:
        if not self.server.buffered:
            self._body = request_body(head)
            self._buffer = b""
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
        self._head, self._body, self._gathered = head, request_body(head), []
        self._enter(State.BODY)
        self.proceed(head)
        if rest:
            self._advance_body(rest)
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
            self._body = None
            self._buffer = rest
        receiver = exchange.receiver if exchange is not None else None
        if receiver is None:
            return
        for piece in pieces:
            receiver.body_data(piece)
        if rest is not None:
            receiver.body_end()

    def _gather(self, pieces: list[bytes], rest: bytes | None) -> None:
        self._gathered += pieces
        if self._state is State.BODY:
            self._enter(State.BODY)
        if sum(map(len, self._gathered)) > self.server.limits.body_bytes_max:
            self._refuse(BadMessage(413, "the request body is too large"))
            return
        if rest is None:
            return
        assert self._head is not None
        head, self._head, self._body = self._head, None, None
        self._buffer = rest
        self._dispatch(head, b"".join(self._gathered))
        if not self._parsing:
            self._parse()

    def _dispatch(self, head: RequestHead, body: bytes) -> None:
        self._state = State.ANSWER
        self.exchange = exchange = Exchange(self, head, body)
        self.server.application(exchange)

    # ending

    def _refuse(self, refusal: BadMessage) -> None:
        """Answer a message that must not be acted on, and end the connection."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None:
            # An answer may be under way: only cutting it tells the client.
            self.abort()
            if exchange.lost is not None:
                exchange.lost()
            return
        body = f"{refusal.reason}\n".encode()
        self.write(
            STATUS_LINES[refusal.status]
            + b"Content-Type: text/plain; charset=utf-8\r\nContent-Length: %d\r\n" % len(body)
            + self.server.date
            + b"Connection: close\r\n\r\n"
            + body
        )
        self._last_words()

    def _last_words(self) -> None:
        """Close once the answer is out. What the client still sends must not reset it."""
        assert self._transport is not None
        self._buffer = b""
        self._body = None
        self._enter(State.LINGER)
        self.resume()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def _enter(self, state: State) -> None:
        self._state = state
        self._since = self.server.now()
