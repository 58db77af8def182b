"""One request and its answer, as an application sees them."""

from collections.abc import Callable, Coroutine
from typing import Any, Protocol

from daemonkit.core.framing import BadMessage, Fields, RequestHead
from daemonkit.core.identity import Identity
from daemonkit.core.tls.certificate import Certificate


class Application(Protocol):
    """Answers exchanges, at once or later. An exception from it is a bug and answers 500."""

    def __call__(self, exchange: "Exchange", /) -> None: ...


class Receiver(Protocol):
    """Gets a request's body as it arrives, until the answer has ended."""

    def body_data(self, data: bytes) -> None: ...

    def body_end(self) -> None: ...


class Tunnel(Protocol):
    """Gets a client's raw bytes after the connection has left HTTP."""

    def client_data(self, data: bytes) -> None: ...

    def client_end(self) -> None: ...


class ExchangeServer(Protocol):
    """What an exchange needs of the server."""

    date: bytes  # the complete line of a Date field

    def spawn(self, exchange: "Exchange", work: Coroutine[Any, Any, None]) -> None: ...


class Memo:
    """What an application remembers of a client, from one request to the next."""

    __slots__ = ("content",)

    def __init__(self) -> None:
        self.content: object = None


class ClientConnection(Protocol):
    """What an exchange needs of its connection."""

    peer: tuple[str, int]
    peer_uid: int | None
    memo: Memo
    secure: bool
    certificate: Certificate | None
    write_paused: bool
    close_after: bool
    exchange: "Exchange | None"

    @property
    def server(self) -> ExchangeServer: ...

    def write(self, data: bytes) -> None: ...

    def persistence(self, head: RequestHead) -> bytes: ...

    def answered(self) -> None: ...

    def proceed(self, head: RequestHead) -> None: ...

    def switch(self, tunnel: Tunnel) -> None: ...

    def end_writing(self) -> None: ...

    def close_tunnel(self) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def close(self) -> None: ...

    def reset(self) -> None: ...

    def fail(self, exchange: "Exchange", error: Exception) -> None: ...


class Exchange:
    """One request and its answer. Pass heads without their final empty line."""

    __slots__ = (
        "_chunked",
        "_connection",
        "begun",
        "body",
        "certificate",
        "ends_with_client",
        "head",
        "lost",
        "memo",
        "peer",
        "peer_uid",
        "receiver",
        "refusal",
        "resumed",
        "secure",
        "trailers",
    )

    def __init__(self, connection: ClientConnection, head: RequestHead, body: bytes) -> None:
        self._connection = connection
        self.peer = connection.peer  # the client's address
        self.peer_uid = connection.peer_uid  # the user at the other end of a Unix socket
        self.memo = connection.memo
        self.secure = connection.secure  # whether the request came over TLS
        self.certificate = connection.certificate  # the client's, verified; None without one
        self.head = head
        self.body = body  # complete in a buffered application, else empty
        # Set this before the application returns: a body without a receiver is thrown away.
        self.receiver: Receiver | None = None
        # Called when the answer cannot end: the client went away or its body was malformed.
        self.lost: Callable[[], None] | None = None
        # Before `lost`: what the client was told instead of an answer; None if the client left.
        self.refusal: BadMessage | None = None
        self.resumed: Callable[[], None] | None = None  # the client takes bytes again
        # A client that half-closes may still wait for its answer. If an answer may never end (a
        # watch), set this: a half-close then counts as the end of the client.
        self.ends_with_client = False
        self.trailers: Fields = ()  # of the request's body, once it has ended
        self.begun = False  # whether a byte of the answer has been written
        self._chunked = False

    @property
    def identity(self) -> Identity | None:
        """The client's identity in the fleet, by its verified certificate."""
        return self.certificate.identity if self.certificate is not None else None

    @property
    def writable(self) -> bool:
        """False while the client does not read what was written; `resumed` is called later."""
        return not self._connection.write_paused

    @property
    def finished(self) -> bool:
        """Whether the answer has ended or the client is gone."""
        return self._connection.exchange is not self

    def be_last(self) -> None:
        """Close the connection after this answer; later requests on it are not read."""
        self._connection.close_after = True

    def reply(self, head: bytes, body: bytes = b"", *, dated: bool = False) -> None:
        """Answer at once: status line and fields, including Content-Length, and the body.

        `dated` says that the head has its own Date field.
        """
        connection = self._connection
        if connection.exchange is not self:
            return
        if self.head.method == b"HEAD":
            body = b""
        date = b"" if dated else connection.server.date
        connection.write(head + date + connection.persistence(self.head) + b"\r\n" + body)
        connection.answered()

    def start(self, head: bytes, *, chunked: bool, dated: bool = False) -> None:
        """Begin an answer whose body follows by `write`; `chunked` when its length is unknown.

        An HTTP/1.0 client gets an unframed body that ends with the connection. `dated` says
        that the head has its own Date field.
        """
        connection = self._connection
        if connection.exchange is not self:
            return
        self.begun = True
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

    def finish(self, trailers: bytes = b"", last: bytes = b"") -> None:
        """End the answer, with a `last` piece of its body in the same packet.

        `trailers` are complete field lines and need a chunked body.
        """
        connection = self._connection
        if connection.exchange is not self:
            return
        if self.head.method != b"HEAD":
            if self._chunked:
                piece = b"%x\r\n%b\r\n" % (len(last), last) if last else b""
                connection.write(b"%b0\r\n%b\r\n" % (piece, trailers))
            elif last:
                connection.write(last)
        connection.answered()

    def fail(self, error: Exception) -> None:
        """End this exchange because of an error of ours: count it, log it, answer 500 or reset."""
        self._connection.fail(self, error)

    def abort(self) -> None:
        """Reset the connection, so that the client sees an incomplete answer."""
        if self._connection.exchange is self:
            self._connection.reset()

    def break_off(self) -> None:
        """Close once everything is sent; the client sees that the answer is incomplete."""
        connection = self._connection
        if connection.exchange is not self:
            return
        if self._chunked:
            connection.close()
        else:
            connection.reset()

    def proceed(self) -> None:
        """Answer `Expect: 100-continue`: ask the client to send its body."""
        if self._connection.exchange is self and not self.begun:
            self._connection.proceed(self.head)

    def interim(self, head: bytes) -> None:
        """Send a 1xx answer, status line and fields, to a client of HTTP/1.1."""
        if self._connection.exchange is self and not self.begun and self.head.minor == 1:
            self._connection.write(head + b"\r\n")

    def switch(self, head: bytes, tunnel: Tunnel) -> None:
        """Answer with 101 and leave HTTP: `tunnel` gets all further bytes of the client."""
        connection = self._connection
        if connection.exchange is not self:
            return
        self.begun = True
        connection.write(head + b"\r\n")
        connection.switch(tunnel)

    def send(self, data: bytes) -> None:
        """Send bytes through a tunnel."""
        if self._connection.exchange is self:
            self._connection.write(data)

    def send_end(self) -> None:
        """End our side of a tunnel."""
        if self._connection.exchange is self:
            self._connection.end_writing()

    def send_last(self) -> None:
        """Close a tunnel once everything has been sent."""
        if self._connection.exchange is self:
            self._connection.close_tunnel()

    def pause(self) -> None:
        """Stop reading for now; bytes that were read already are still delivered."""
        if self._connection.exchange is self:
            self._connection.pause()

    def resume(self) -> None:
        """Read again."""
        if self._connection.exchange is self:
            self._connection.resume()


def spawn(exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
    """Run `work`, which answers an exchange. It goes on if the client leaves.

    An exception from it ends this exchange, and nothing else.
    """
    exchange._connection.server.spawn(exchange, work)  # noqa: SLF001 - a part of Exchange
