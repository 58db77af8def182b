"""Bytes that are almost HTTP, read by both parsers of this project and by h11."""

import asyncio
import itertools
import re
import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import h11
from hypothesis import strategies as st

from daemonkit.core.framing import Fields, RequestHead
from daemonkit.http.connection import Connection
from daemonkit.http.server import Exchange, Server
from rig import vulcan_keys
from vulcan.core.config import model
from vulcan.core.http.response_head import ClientHead
from vulcan.proxy.connection import UpstreamConnection, UpstreamFailure
from vulcan.proxy.pool import ConnectionPool

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n"

_HOST = b"Host: a\r\n"
REQUESTS = (
    b"GET /a HTTP/1.1\r\n" + _HOST + b"X-Y: z\r\n\r\nGET /b HTTP/1.1\r\n" + _HOST + b"\r\n",
    b"POST /a HTTP/1.1\r\n" + _HOST + b"Content-Length: 5\r\n\r\nabcdeGET /b HTTP/1.1\r\n" + _HOST,
    b"PUT /a HTTP/1.1\r\n" + _HOST + b"Transfer-Encoding: chunked\r\n\r\n"
    b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nDigest: x\r\n\r\nGET /b HTTP/1.1\r\n" + _HOST + b"\r\n",
    b"GET http://a/b HTTP/1.0\r\nConnection: keep-alive, x\r\nX: y\r\n\r\nGET / HTTP/1.0\r\n\r\n",
    b"GET /a HTTP/1.1\r\n" + _HOST + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\nabc",
)
_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
ANSWERS = (
    b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX: y\r\n\r\nabcde",
    _CHUNKED + b"3\r\nabc\r\n1;x=y\r\nd\r\n0\r\nDigest: x\r\n\r\n",
    b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nno",
    b"HTTP/1.1 200 OK\r\n\r\nall that follows",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n",
)
TOKENS = (
    *(bytes([byte]) for byte in b'\0\t\n\x0b\r ",:;=+-_0159aAfxX\x7f\x80\xa0\xff'),
    *(b"\r\n", b"\r\n\r\n", b"\n\n", b"\r\n ", b"0\r\n\r\n", b"chunked", b"0x", b", 5"),
    *(b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n"),
    *(b"Transfer-Encoding: gzip\r\n", b"Connection: close\r\n", b"Expect: 100-continue\r\n"),
    *(b"HTTP/1.0", b"HTTP/1.1", b"Host: b\r\n", b"GET /evil HTTP/1.1\r\nHost: a\r\n\r\n"),
    *(b"Upgrade: h2c\r\n", b"TE: trailers\r\n", b"X-Forwarded-For: 1.2.3.4\r\n"),
)

_NO_LINES = re.compile(rb"\A(?:\r\n)+")

cuts = st.lists(st.integers(0, 400), max_size=10)
_steps = st.lists(
    st.tuples(
        st.integers(0, 400),
        st.sampled_from(["insert", "replace", "drop", "repeat"]),
        st.sampled_from(TOKENS),
        st.integers(1, 12),
    ),
    max_size=4,
)


def _mutated(seed: bytes, steps: Sequence[tuple[int, str, bytes, int]]) -> bytes:
    for at, what, token, size in steps:
        place = at % (len(seed) + 1)
        before, piece, after = seed[:place], seed[place : place + size], seed[place + size :]
        match what:
            case "insert":
                seed = before + token + piece + after
            case "replace":
                seed = before + token + seed[place + len(token) :]
            case "drop":
                seed = before + after
            case _:
                seed = before + piece + piece + after
    return seed


def almost(seeds: Sequence[bytes]) -> st.SearchStrategy[bytes]:
    """Generate bytes that are a few changes away from valid messages."""
    return st.builds(_mutated, st.sampled_from(seeds), _steps).filter(bool)


def pieces(wire: bytes, where: Iterable[int]) -> list[bytes]:
    """Split the bytes at these places."""
    edges = sorted({0, len(wire), *(place % len(wire) for place in where)})
    return [wire[start:end] for start, end in itertools.pairwise(edges)]


class Pipe(asyncio.Transport):
    """A transport in memory that records the written bytes."""

    def __init__(self) -> None:
        super().__init__()
        self.written = b""
        self.closed = False
        self._socket = socket.socket()

    def get_extra_info(self, name: str, default: object = None) -> object:
        return self._socket if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += bytes(data)

    def is_closing(self) -> bool:
        return self.closed

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.close()

    def get_write_buffer_size(self) -> int:
        return 0

    def pause_reading(self) -> None:
        pass

    def resume_reading(self) -> None:
        pass

    def close(self) -> None:
        self.closed = True
        self._socket.close()

    def abort(self) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Request:
    """A request as a parser saw it."""

    method: bytes
    target: bytes
    fields: Fields
    body: bytes
    trailers: Fields = ()


class _Takes:
    """An application that answers a request once all of it has come."""

    def __init__(self, exchange: Exchange, seen: list[tuple[RequestHead, Request]]) -> None:
        self._exchange, self._seen, self._body = exchange, seen, b""

    def body_data(self, data: bytes) -> None:
        self._body += data

    def body_end(self) -> None:
        head = self._exchange.head
        fields = tuple((name.lower(), value) for name, value in head.headers)
        trailers = tuple((name.lower(), value) for name, value in self._exchange.trailers)
        self._seen.append((head, Request(head.method, head.target, fields, self._body, trailers)))
        self._exchange.reply(OK, b"ok")


def served(wire: bytes, where: Iterable[int] = ()) -> tuple[list[tuple[RequestHead, Request]], str]:
    """Return the whole requests in these bytes, and the end: waiting, closed, or a status."""
    seen: list[tuple[RequestHead, Request]] = []

    def application(exchange: Exchange) -> None:
        takes = _Takes(exchange, seen)
        if exchange.head.chunked or exchange.head.length:
            exchange.receiver = takes
        else:
            takes.body_end()

    pipe, connection = (
        Pipe(),
        Connection(Server(application, buffered=False, origins=None), secure=False),
    )
    connection.connection_made(pipe)
    for piece in pieces(wire, where):
        connection.data_received(piece)
    ended = "closed" if pipe.closed else "waiting"
    for line in pipe.written.split(b"\r\n"):
        if line.startswith(b"HTTP/1.1 ") and not line.startswith((b"HTTP/1.1 2", b"HTTP/1.1 1")):
            ended = line[9:12].decode()
    pipe.close()
    connection.connection_lost(None)
    return seen, ended


def read_by_h11(wire: bytes) -> list[Request]:
    """Return the whole requests that h11 finds before the first one that it refuses.

    Empty lines before a request are removed: h11 does not skip them, as RFC 9112, 2.2 asks.
    """
    found = []
    while wire := _NO_LINES.sub(b"", wire):
        connection = h11.Connection(h11.SERVER)
        connection.receive_data(wire)
        try:
            request, body = connection.next_event(), b""
            if not isinstance(request, h11.Request):
                break
            while isinstance(event := connection.next_event(), h11.Data):
                body += event.data
        except h11.RemoteProtocolError:
            break
        if not isinstance(event, h11.EndOfMessage):
            break
        fields, trailers = tuple(request.headers), tuple(event.headers)
        found.append(Request(request.method, request.target, fields, body, trailers))
        wire = connection.trailing_data[0]
    return found


@dataclass
class Heard:
    """Receives a response, and keeps it."""

    interims: list[int] = field(default_factory=list)
    status: int = 0
    head: bytes = b""
    body: bytes = b""
    trailers: Fields = ()
    ended: str = "waiting"

    def connected(self, connection: UpstreamConnection) -> None: ...

    def connect_failed(self, failure: UpstreamFailure) -> None: ...

    def deadline_passed(self) -> None: ...

    def server_writable(self) -> None: ...

    def interim_response(self, status: int, head: bytes) -> None:  # noqa: ARG002 - the protocol's
        self.interims.append(status)

    def upgraded(self, head: bytes, rest: bytes) -> None: ...

    def whole_response(self, head: ClientHead, body: bytes) -> None:
        self.response_head(head)
        self.body = body
        self.ended = "whole"

    def response_head(self, head: ClientHead) -> None:
        self.status, self.head = head.status, head.head

    def response_data(self, pieces: list[bytes]) -> None:
        self.body += b"".join(pieces)

    def response_end(self, trailers: Fields) -> None:
        self.trailers = tuple((name.lower(), value) for name, value in trailers)
        self.ended = "whole"

    def connection_failed(self, connection: UpstreamConnection, failure: UpstreamFailure) -> None:  # noqa: ARG002
        self.ended = "broken"


def heard(wire: bytes, where: Iterable[int] = (), method: bytes = b"GET") -> tuple[Heard, bool]:
    """Return what a client gets when a server sends this, and whether the connection is kept."""
    loop = asyncio.new_event_loop()
    backend, server = (
        model.decode(entry.key.removeprefix(f"{vulcan_keys.PREFIX}/"), entry.value)
        for entry in (vulcan_keys.backend(), vulcan_keys.server("s", "http://127.0.0.1:1"))
    )
    assert isinstance(backend, model.Backend)
    assert isinstance(server, model.Server)
    try:
        pool, pipe, receiver = ConnectionPool(loop, backend, server), Pipe(), Heard()
        connection = UpstreamConnection(pool.connections, pool.give, 0)
        connection.connection_made(pipe)
        connection.send_request(receiver, method, b"", more=False)
        for piece in pieces(wire, where):
            if not pipe.closed:
                connection.data_received(piece)
        kept = pool.take(repeatable=True) is connection
        connection.connection_lost(None)
        pipe.close()
        return receiver, kept
    finally:
        loop.close()
