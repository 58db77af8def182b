"""A server on a uvloop in a thread, and a client that sends and shows raw bytes."""

import asyncio
import contextlib
import re
import socket
import ssl
import threading
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Self, TypeVar

import uvloop

from daemonkit.core.request_origin import OriginPolicy
from daemonkit.http.server import Exchange, Limits, Server
from daemonkit.http.tls_listener import ListenerTls
from daemonkit.process.listening_socket import listening_socket

T = TypeVar("T")
WAIT_S = 10.0
# The peer of a socket that accepts no bytes for this long has stopped reading.
STUCK_S = 0.5
OK = b"HTTP/1.1 200 OK\r\n"


def reply(exchange: Exchange, body: bytes = b"") -> None:
    """Answer 200 with a body."""
    exchange.reply(OK + b"Content-Length: %d\r\n" % len(body), body)


def get(target: bytes = b"/", *fields: bytes, version: bytes = b"1.1") -> bytes:
    """Return a GET request."""
    lines = (b"GET " + target + b" HTTP/" + version, b"Host: a", *fields)
    return b"\r\n".join((*lines, b"", b""))


def post(body: bytes, *fields: bytes, target: bytes = b"/") -> bytes:
    """Return a POST request with a Content-Length."""
    lines = (b"POST " + target + b" HTTP/1.1", b"Host: a", *fields)
    return b"\r\n".join((*lines, b"Content-Length: %d" % len(body), b"", body))


class Echo:
    """Answers with the request; `/later` is left pending, `/size/N` answers N bytes."""

    def __init__(self) -> None:
        self.pending: list[Exchange] = []
        self.lost: list[bytes] = []
        self.requests = 0

    def __call__(self, exchange: Exchange) -> None:
        self.requests += 1
        head = exchange.head
        if head.target.startswith(b"/later"):
            exchange.lost = lambda: self.lost.append(head.target)
            self.pending.append(exchange)
        elif head.target.startswith(b"/size/"):
            reply(exchange, b"x" * int(head.target[6:]))
        else:
            reply(exchange, b"%b %b %b" % (head.method, head.target, exchange.body))


class LiveServer:
    """One `Server` that listens on a free port. An error on its loop fails the test."""

    def __init__(
        self,
        application: Callable[[Exchange], None],
        *,
        buffered: bool = True,
        limits: Limits | None = None,
        tls: ssl.SSLContext | ListenerTls | None = None,
        origins: OriginPolicy | None = None,
    ) -> None:
        self.server = Server(application, buffered=buffered, limits=limits, origins=origins)
        self.port = 0
        self.loop_errors: list[dict[str, Any]] = []
        self._tls = tls
        self._loop: asyncio.AbstractEventLoop
        self._listening = threading.Event()
        self._thread = threading.Thread(target=lambda: uvloop.run(self._serve()), daemon=True)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._loop.set_exception_handler(lambda _, context: self.loop_errors.append(context))
        self._stop = asyncio.Event()
        sock = listening_socket(("127.0.0.1", 0), socket.SOCK_STREAM, option="--listen")
        self.port = sock.getsockname()[1]
        await self.server.listen(sock, tls=self._tls)
        self._listening.set()
        await self._stop.wait()
        await self.server.drain(0.0)

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the server's loop."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(WAIT_S)

    def call(self, function: Callable[[], T]) -> T:
        """Call a function on the server's loop."""

        async def called() -> T:
            return function()

        return self.run(called())

    def settle(self) -> None:
        """Let the server read what was sent to it."""
        for _ in range(2):
            self.run(asyncio.sleep(0))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._listening.wait(WAIT_S)
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(WAIT_S)
        assert not self._thread.is_alive()
        assert not self.loop_errors

    def client(self, **options: Any) -> "Client":
        """Connect."""
        return Client(self.port, **options)


@dataclass(frozen=True)
class Answer:
    """The parts of one response."""

    status: int
    head: bytes
    body: bytes

    @property
    def fields(self) -> dict[bytes, bytes]:
        lines = self.head.split(b"\r\n")[1:-2]
        return {name.lower(): value for name, value in (line.split(b": ", 1) for line in lines)}


class Client:
    """A TCP client that sends any bytes."""

    def __init__(
        self, port: int, *, receive_bytes: int = 0, tls: ssl.SSLContext | None = None
    ) -> None:
        self.sock = socket.socket()
        if receive_bytes:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_bytes)
        self.sock.settimeout(WAIT_S)
        self.sock.connect(("127.0.0.1", port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if tls is not None:
            self.sock = tls.wrap_socket(self.sock, server_hostname="localhost")
        self.trailers = b""
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sock.close()

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def send_until_stuck(self, data: bytes) -> bytes:
        """Send until the server stops reading; return the unsent bytes."""
        left = memoryview(data)
        self.sock.settimeout(STUCK_S)
        with contextlib.suppress(TimeoutError):
            while left:
                left = left[self.sock.send(left[:100_000]) :]
        self.sock.settimeout(WAIT_S)
        return bytes(left)

    def half_close(self) -> None:
        self.sock.shutdown(socket.SHUT_WR)

    def answer(self, *, to_head: bool = False) -> Answer:
        """Read one response, framed by its length or its chunks."""
        head = self._until(b"\r\n\r\n")
        status = int(head.split(b" ", 2)[1])
        bodiless = to_head or status < 200 or status in {204, 304}
        length = re.search(rb"(?i)\r\ncontent-length: (\d+)\r\n", head)
        if bodiless:
            return Answer(status, head, b"")
        if b"transfer-encoding: chunked" in head.lower():
            return Answer(status, head, self._chunks())
        if length is None:
            return Answer(status, head, self.rest())
        return Answer(status, head, self._exactly(int(length[1])))

    def ask(self, request: bytes) -> Answer:
        self.send(request)
        return self.answer(to_head=request.startswith(b"HEAD"))

    def rest(self) -> bytes:
        """Read to the end of the connection; a reset is an error."""
        while piece := self.sock.recv(65536):
            self._buffer += piece
        rest, self._buffer = self._buffer, b""
        return rest

    def ended(self) -> bool:
        """Wait for the end of the connection; say whether no byte came before it."""
        return self.rest() == b""

    def closed_or_reset(self) -> bool:
        """Wait until the connection is closed or reset."""
        with contextlib.suppress(ConnectionResetError):
            self.rest()
        return True

    def _until(self, mark: bytes) -> bytes:
        while (end := self._buffer.find(mark)) < 0:
            self._more()
        return self._take(end + len(mark))

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._more()
        return self._take(size)

    def _chunks(self) -> bytes:
        body = b""
        while size := int(self._until(b"\r\n"), 16):
            body += self._exactly(size)
            assert self._exactly(2) == b"\r\n"
        while (line := self._until(b"\r\n")) != b"\r\n":
            self.trailers += line
        return body

    def _take(self, size: int) -> bytes:
        data, self._buffer = self._buffer[:size], self._buffer[size:]
        return data

    def _more(self) -> None:
        piece = self.sock.recv(1 << 20)
        if not piece:
            raise EOFError(f"the connection ended after {self._buffer!r}")
        self._buffer += piece
