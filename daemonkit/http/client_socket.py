"""The socket of one client: writing to it, pausing and resuming reads, and closing it."""

import asyncio
import socket
import struct
from collections.abc import Callable, Coroutine
from enum import Enum, auto
from typing import Any, Protocol, cast

from daemonkit.core.http_limits import Limits
from daemonkit.core.request_origin import OriginPolicy
from daemonkit.core.tls.certificate import Certificate
from daemonkit.http.exchange import Application, Exchange, Memo
from daemonkit.http.overload_control import OverloadControl
from daemonkit.http.send_queue import unread_bytes
from daemonkit.http.tls import verified

_UCRED = struct.Struct("iII")
_RESET = struct.pack("ii", 1, 0)  # socket(7): with a linger time of 0, close sends a reset


class State(Enum):
    """The state of a connection; the sweep bounds the time in all states but ANSWER."""

    FRESH = auto()  # no byte has arrived yet
    IDLE = auto()  # between requests
    HEAD = auto()  # part of a head has arrived
    BODY = auto()  # a buffered body is arriving
    ANSWER = auto()  # the application has the request
    TUNNEL = auto()  # no longer HTTP; the application limits its time
    LINGER = auto()  # the last answer is written; more input is thrown away
    CLOSED = auto()


# In Python 3.11 a member costs 200 ns each time it is looked up in its class.
FRESH, IDLE, HEAD, BODY, ANSWER, TUNNEL, LINGER, CLOSED = State


class Listener(Protocol):
    """What the connections of one listener share: `daemonkit.http.server.Server`."""

    application: Application
    buffered: bool
    limits: Limits
    draining: bool
    date: bytes
    overload: OverloadControl
    origins: OriginPolicy | None
    now: Callable[[], float]

    def opened(self, connection: Any) -> None: ...

    def closed(self, connection: Any) -> None: ...

    def spawn(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None: ...


class ClientSocket(asyncio.Protocol):
    """One client's socket, and the state that its connection is in."""

    __slots__ = (
        "_body_since",
        "_paused",
        "_since",
        "_state",
        "_taken_bytes",
        "_taken_since",
        "_transport",
        "_written_bytes",
        "certificate",
        "gathered_bytes",
        "memo",
        "peer",
        "peer_uid",
        "secure",
        "server",
        "unsent_bytes",
        "write_paused",
    )

    def __init__(self, server: Listener, *, secure: bool) -> None:
        self.server = server
        self.secure = secure
        self.peer = ("", 0)
        self.peer_uid: int | None = None
        self.memo = Memo()
        self.write_paused = False
        self.unsent_bytes = 0
        self.gathered_bytes = 0
        self.certificate: Certificate | None = None  # of the client, verified
        self._body_since = 0.0
        self._transport: asyncio.Transport | None = None
        self._state = FRESH
        self._since = 0.0
        self._paused = False
        self._written_bytes = 0
        self._taken_bytes = 0
        self._taken_since = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's by shape, not by class.
        self._transport = cast("asyncio.Transport", transport)
        peer = transport.get_extra_info("peername")
        if isinstance(peer, tuple):
            self.peer = (peer[0], peer[1])
        else:
            self.peer_uid = _peer_uid(transport)
        if self.secure:
            self.certificate = verified(transport)
        self._enter(FRESH)
        self._taken_since = self._since
        self.server.opened(self)

    def pause_writing(self) -> None:
        assert self._transport is not None
        self.write_paused = True
        self.server.overload.hold_unsent(self, self._transport.get_write_buffer_size())

    # for OverloadControl

    def idle_since(self) -> float | None:
        """Return when the connection began to wait for a request; None if it has one in hand."""
        return self._since if self._state in {FRESH, IDLE, HEAD} else None

    def stalled_since(self) -> float:
        """Return when the client last read a byte of an answer, or had none to read."""
        return self._taken_since

    def body_since(self) -> float:
        """Return when the body that is arriving began."""
        return self._body_since

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._written_bytes += len(data)
        self._transport.write(data)

    def pause(self) -> None:
        if not self._paused and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

    def read_on(self) -> None:
        if self._paused and self._transport is not None and self._state is not CLOSED:
            self._paused = False
            self._transport.resume_reading()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def reset(self) -> None:
        """Reset, so that an unfinished answer looks incomplete, even if a close ends its body."""
        if self._transport is not None and self._state is not CLOSED:
            sock = self._transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def end_writing(self) -> None:
        """End our side once everything is sent; TLS has no half-closed connections."""
        assert self._transport is not None
        if self._transport.can_write_eof():
            self._transport.write_eof()
        else:
            self._transport.close()

    def close(self) -> None:
        """Close once everything is sent."""
        assert self._transport is not None
        self._enter(LINGER)
        self._transport.close()

    def _takes_nothing(self, now: float) -> bool:
        """Return whether the client has read no byte of its answer for too long."""
        assert self._transport is not None
        pending_bytes = self._transport.get_write_buffer_size()
        taken_bytes = self._written_bytes
        if pending_bytes:
            taken_bytes -= unread_bytes(self._transport)
        if not pending_bytes or taken_bytes != self._taken_bytes:
            self._taken_bytes, self._taken_since = taken_bytes, now
        elif now - self._taken_since > self.server.limits.write_s:
            return True
        if self.unsent_bytes:
            self.server.overload.hold_unsent(self, pending_bytes)
        if pending_bytes and self._state in {IDLE, LINGER}:
            self._since = now  # the answer is still being sent
        return False

    def _enter(self, state: State) -> None:
        self._state = state
        self._since = self.server.now()


def _peer_uid(transport: asyncio.BaseTransport) -> int | None:
    """Return the user of the process that connected to a Unix socket; None if there is none."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family != socket.AF_UNIX:
        return None
    # unix(7): struct ucred, as it was when the other side called connect.
    _, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return int(uid)
