"""One connection to a server: one HTTP/1.1 request at a time.

A connection is used again only when nothing about it is in doubt: the last response ended by
its own framing, nothing came after it, the request had left completely, and the server did
not ask to close.
"""

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, cast

from daemonkit.core.framing import (
    HEAD_END,
    BadMessage,
    Body,
    ChunkedBody,
    CloseBody,
    Fields,
    ResponseHead,
    parse_response_head,
    response_body,
)
from vulcan.core.http.response_head import (
    ClientHead,
    check_begun_head,
    client_head,
    idle_limit_s,
    interim_head,
    switching_head,
)
from vulcan.proxy.server_socket import ServerSocket

HEAD_BYTES_MAX = 64 * 1024
# Interim responses (1xx) before the final one. A server that sends more may never end.
INTERIM_MAX = 16


@dataclass(frozen=True, slots=True)
class UpstreamFailure:
    """Why the server's side of an exchange failed; `status` is what the client should get."""

    status: int
    reason: str


class ConnectionOwner(Protocol):
    """Uses a connection, whatever protocol is spoken on it."""

    def connection_failed(self, connection: "UpstreamConnection", failure: UpstreamFailure) -> None:
        """The connection failed before its work was done."""
        ...

    def deadline_passed(self) -> None:
        """The connection's deadline has passed."""
        ...

    def server_writable(self) -> None:
        """The server takes bytes again."""
        ...

    def broken(self, error: Exception) -> None:
        """End the work, and nothing else, because of an error of ours."""
        ...


class TunnelOwner(ConnectionOwner, Protocol):
    """Joins both ends of a tunnel."""

    def server_data(self, data: bytes) -> None:
        """The server sent bytes."""
        ...

    def server_end(self) -> None:
        """The server sends no more."""
        ...


class ResponseReceiver(ConnectionOwner, Protocol):
    """The request that a connection is used for."""

    def connected(self, connection: "UpstreamConnection") -> None:
        """A new connection has been made."""
        ...

    def connect_failed(self, failure: UpstreamFailure) -> None:
        """No connection could be made."""
        ...

    def interim_response(self, status: int, head: bytes) -> None:
        """A 1xx response came."""
        ...

    def upgraded(self, head: bytes, rest: bytes) -> None:
        """The server switched protocols; `rest` came behind the head."""
        ...

    def whole_response(self, head: ClientHead, body: bytes) -> None:
        """The whole response came at once."""
        ...

    def response_head(self, head: ClientHead) -> None:
        """The final head came; the body follows."""
        ...

    def response_data(self, pieces: list[bytes]) -> None:
        """More of the body came."""
        ...

    def response_end(self, trailers: Fields) -> None:
        """The response is complete."""
        ...


class UpstreamConnection(ServerSocket):
    """One connection to a server.

    It is a member of `connections` while it is open, and calls `release` when it can be used for
    another request. With `keepalive_s` TCP probes the server.
    """

    __slots__ = (
        "_body",
        "_buffer",
        "_connections",
        "_interims",
        "_keep",
        "_keepalive_s",
        "_method",
        "_release",
        "_upgrade",
        "deadline_s",
        "heard",
        "idle_limit_s",
        "receiver",
        "request_sent",
        "reused",
        "tunnel",
    )

    def __init__(
        self,
        connections: "set[UpstreamConnection]",
        release: "Callable[[UpstreamConnection], None]",
        keepalive_s: int,
    ) -> None:
        super().__init__()
        self._connections = connections
        self._release = release
        self._keepalive_s = keepalive_s
        self._buffer = b""
        self._body: Body | None = None
        self._method = b""
        self._keep = False
        self._interims = 0
        self._upgrade = False
        self.tunnel: TunnelOwner | None = None
        self.receiver: ResponseReceiver | None = None
        self.deadline_s = 0.0
        self.heard = False  # a part of the response in progress
        self.idle_limit_s: float | None = None  # as the server has stated it
        self.request_sent = False
        self.reused = False  # it was in a pool before this request

    # for the receiver

    def send_request(
        self,
        receiver: ResponseReceiver,
        method: bytes,
        head: bytes,
        *,
        more: bool,
        upgrade: bool = False,
    ) -> None:
        """Send a request head. With `more` a body follows by `send`, until `request_sent`."""
        assert self.transport is not None
        self.receiver = receiver
        self._upgrade = upgrade
        self._method = method
        self.heard = False
        self.request_sent = not more
        self.transport.write(head)

    def start_tunnel(self, tunnel: TunnelOwner) -> None:
        """Leave HTTP: from here on `tunnel` gets the server's bytes as they are."""
        self.receiver = None
        self.tunnel = tunnel

    def drop(self) -> None:
        """Cut the connection; its owner hears nothing more."""
        self.receiver = self.tunnel = None
        if self.transport is not None:
            self.transport.abort()

    def fail(self, reason: str) -> None:
        """Cut the connection and tell its receiver, which may ask another server."""
        receiver = self.receiver
        self.drop()
        if receiver is not None:
            receiver.connection_failed(self, UpstreamFailure(502, reason))

    def close(self) -> None:
        """Close an idle connection or a tunnel; what was sent still leaves."""
        self.tunnel = None
        if self.transport is not None:
            self.transport.close()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)
        if self._keepalive_s:
            sock = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, self._keepalive_s)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, self._keepalive_s)

    def eof_received(self) -> bool:
        """Keep a tunnel whose other direction is still open."""
        if self.tunnel is None:
            return False
        self.tunnel.server_end()
        return self.transport is not None and self.transport.can_write_eof()

    def data_received(self, data: bytes) -> None:
        owner = self.tunnel or self.receiver
        if owner is None:
            self.drop()  # unexpected bytes would be taken for the next response
            return
        try:
            self._read(data)
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            owner.broken(error)

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        self._connections.discard(self)
        owner = self.tunnel or self.receiver
        if owner is None:
            return
        try:
            self._lost(exc)
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            owner.broken(error)

    def resume_writing(self) -> None:
        self.write_paused = False
        owner = self.tunnel or self.receiver
        if owner is None:
            return
        try:
            owner.server_writable()
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            owner.broken(error)

    def _lost(self, exc: Exception | None) -> None:
        tunnel, receiver = self.tunnel, self.receiver
        if tunnel is not None:
            self.tunnel = None
            tunnel.connection_failed(self, UpstreamFailure(502, str(exc) if exc else "closed"))
        elif receiver is not None and isinstance(self._body, CloseBody) and exc is None:
            self.receiver = None
            self._body = None
            receiver.response_end(())
        else:
            self.fail(str(exc) if exc else "closed before the response was complete")

    # reading

    def _read(self, data: bytes) -> None:
        if self.tunnel is not None:
            self.tunnel.server_data(data)
            return
        receiver = self.receiver
        assert receiver is not None
        try:
            if self._body is None:
                self._read_head(receiver, data)
            else:
                self._read_body(receiver, data)
        except BadMessage as bad:
            self.fail(f"not an HTTP response: {bad.reason}")

    def _read_head(self, receiver: ResponseReceiver, data: bytes) -> None:
        self.heard = True
        if self._buffer:
            data = self._buffer + data
        end = data.find(HEAD_END)
        if (end if end >= 0 else len(data)) > HEAD_BYTES_MAX:
            raise BadMessage(502, f"the response head is larger than {HEAD_BYTES_MAX} bytes")
        if end < 0:
            check_begun_head(data)
            self._buffer = data
            return
        self._buffer = b""
        head, rest = parse_response_head(data[: end + 4]), data[end + 4 :]
        if head.status < 200:
            self._read_interim(receiver, head, rest)
            return
        self._keep = head.keep_alive
        if b"keep-alive" in head.fields:
            self.idle_limit_s = idle_limit_s(head)
        made = _client_head(head, self._method)
        body = response_body(head, self._method)
        if body is None:
            self._let_go(rest)
            receiver.whole_response(made, b"")
        elif len(rest) == head.length:
            self._let_go(b"")
            receiver.whole_response(made, rest)
        else:
            self._body = body
            receiver.response_head(made)
            if rest and self.receiver is receiver:  # the head may have sent it to another server
                self._read_body(receiver, rest)

    def _read_interim(self, receiver: ResponseReceiver, head: ResponseHead, rest: bytes) -> None:
        self._interims += 1
        if head.status == 101 and self._upgrade:
            receiver.upgraded(switching_head(head), rest)
            return
        if head.status == 101 or self._interims > INTERIM_MAX:
            raise BadMessage(502, f"an unexpected {head.status}")
        receiver.interim_response(head.status, interim_head(head))
        if rest and self.receiver is receiver:
            self._read_head(receiver, rest)

    def _read_body(self, receiver: ResponseReceiver, data: bytes) -> None:
        assert self._body is not None
        pieces, rest = self._body.feed(data)
        if pieces:
            receiver.response_data(pieces)
        if rest is not None and self.receiver is receiver:  # not dropped over the last piece
            body = self._body
            self._let_go(rest)
            receiver.response_end(body.trailers if isinstance(body, ChunkedBody) else ())

    def _let_go(self, rest: bytes) -> None:
        """The response is complete: keep the connection if nothing about it is in doubt."""
        self._body = None
        self.receiver = None
        self._interims = 0
        if self._keep and self.request_sent and not rest and not self.write_paused:
            if self._paused:
                self.resume()
            self._release(self)
        else:
            self.drop()


def _client_head(head: ResponseHead, method: bytes) -> ClientHead:
    """Return the client's head, cached beside the parsed one."""
    key = "client-head-of-head" if method == b"HEAD" else "client-head"
    made = head.memo.get(key)
    if made is None:
        made = head.memo[key] = client_head(head, method)
    assert isinstance(made, ClientHead)
    return made
