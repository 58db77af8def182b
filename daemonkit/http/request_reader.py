"""Parse a client's bytes into requests: heads and bodies, one request at a time.

Pipelined requests wait in the buffer, so answers leave in order. A connection does not take the
next request while an answer is unfinished, or while the client does not read its answers. Then the
buffer fills to its bound and the socket is no longer read.
"""

import re

from daemonkit.core.framing import (
    HEAD_END,
    STATUS_LINES,
    BadMessage,
    ChunkedBody,
    LengthBody,
    RequestHead,
    parse_request_head,
    request_body,
)
from daemonkit.http.client_socket import BODY, HEAD, LINGER, ClientSocket, Listener
from daemonkit.http.exchange import Exchange

# The first byte of a TLS connection: the type of a record (RFC 8446, 5.1).
HANDSHAKE = 0x16
NO_TLS = "this port does not speak TLS: write http:// instead of https://"
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_EMPTY_LINES = re.compile(rb"(?:\r\n)*")


class RequestReader(ClientSocket):
    """Takes requests from a client's bytes, and refuses bad ones."""

    __slots__ = (
        "_body",
        "_buffer",
        "_continued",
        "_gathered",
        "_half_closed",
        "_head",
        "_parsing",
        "close_after",
        "exchange",
    )

    def __init__(self, server: Listener, *, secure: bool) -> None:
        super().__init__(server, secure=secure)
        self.exchange: Exchange | None = None
        self.close_after = False
        self._buffer = b""
        self._head: RequestHead | None = None
        self._body: LengthBody | ChunkedBody | None = None  # of the request, not yet complete
        self._gathered = bytearray()
        self._parsing = False
        self._continued = False
        self._half_closed = False

    def dispatch(self, head: RequestHead, body: bytes) -> None:
        """Give a request to the application."""
        raise NotImplementedError

    def proceed(self, head: RequestHead) -> None:
        """Answer `Expect: 100-continue` once."""
        if head.expects_continue and self._body is not None and not self._continued:
            self._continued = True
            self.write(_CONTINUE)

    def _go_on(self) -> None:
        """Take the next requests from the buffer, then from the socket."""
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
        if self.exchange is not None or self.write_paused or self._state is LINGER:
            return
        if self._half_closed:
            self._last_words()
        else:
            self.read_on()

    def _next_request(self) -> bool:
        """Take one request from the buffer; False if it is incomplete or has to wait."""
        if self.exchange is not None or self.write_paused or self._state is LINGER:
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
        self.dispatch(head, b"")
        return True

    def _wait_for_head(self, buffer: bytes) -> None:
        if buffer[0] == HANDSHAKE:
            raise BadMessage(400, NO_TLS)
        if len(buffer) > self.server.limits.head_bytes_max:
            if b"\r\n" not in buffer:
                raise BadMessage(414, "the request target is too long")
            raise BadMessage(431, "the request head is too large")
        if b"\n" in buffer and b"\r\n" not in buffer:
            raise BadMessage(400, "a line ends with a bare LF")
        if self._state is not HEAD:
            self._enter(HEAD)

    def _begin_body(self, head: RequestHead, rest: bytes) -> bool:
        if not self.server.buffered:
            self._body = request_body(head)
            self._buffer = b""
            self.read_on()
            self.dispatch(head, b"")
            if self._body is not None and rest:
                self._advance_body(rest)
            return self._body is None
        if head.length > self.server.limits.body_bytes_max:
            raise BadMessage(413, "the request body is too large")
        if not head.chunked and len(rest) >= head.length:
            self._buffer = rest[head.length :]
            self.dispatch(head, rest[: head.length])
            return True
        self._buffer = b""
        self._head, self._body = head, request_body(head)
        self._enter(BODY)
        self._body_since = self._since
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
            self._deliver(pieces, rest)

    def _deliver(self, pieces: list[bytes], rest: bytes | None) -> None:
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
        for piece in pieces:
            self._gathered += piece
        self._enter(BODY)
        if len(self._gathered) > self.server.limits.body_bytes_max:
            self._refuse(BadMessage(413, "the request body is too large"))
            return
        if rest is None:
            self.server.overload.hold_body(self, len(self._gathered))
            return
        assert self._head is not None
        head, self._head, self._body = self._head, None, None
        self._buffer = rest
        self.dispatch(head, self._take_gathered())
        self._go_on()

    def _take_gathered(self) -> bytes:
        gathered, self._gathered = self._gathered, bytearray()
        if self.gathered_bytes:
            self.server.overload.hold_body(self, 0)
        return bytes(gathered)

    def _refuse(self, refusal: BadMessage) -> None:
        """Refuse a malformed message, and end the connection."""
        exchange, self.exchange = self.exchange, None
        if exchange is not None and exchange.begun:
            self.reset()  # tells the client that the answer is incomplete
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
        if exchange is not None:
            exchange.refusal = refusal
            self._tell_lost(exchange)

    def _tell_lost(self, exchange: Exchange) -> None:
        """Tell the application that an exchange cannot end."""
        raise NotImplementedError

    def _last_words(self) -> None:
        """Close once the answer is sent. More input must not reset the connection."""
        assert self._transport is not None
        self._buffer = b""
        self._body = None
        self._take_gathered()
        self._enter(LINGER)
        self.read_on()
        self.end_writing()
