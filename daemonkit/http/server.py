"""The HTTP/1.1 server on asyncio protocols (uvloop).

An application is called with the `Exchange` either when the request is complete (`buffered`)
or at its head, and then takes the body piece by piece.

Time-outs need no timer for each request: once a second a sweep checks how long every connection
has been in its state.
"""

import asyncio
import socket
import ssl
import time
from collections.abc import Callable, Coroutine, Iterable
from email.utils import formatdate
from typing import Any

from daemonkit.core.framing import STATUS_LINES
from daemonkit.core.http_limits import Limits
from daemonkit.core.request_origin import OriginPolicy
from daemonkit.http.client_socket import State
from daemonkit.http.connection import Connection
from daemonkit.http.exchange import Application, Exchange, Receiver, Tunnel
from daemonkit.http.overload_control import OverloadControl
from daemonkit.http.tls_listener import PLAIN_REFUSED, TLS_CLOSE_S, ListenerTls, TlsAcceptor
from daemonkit.observe import process_counters
from daemonkit.process.listening_socket import BACKLOG

__all__ = [
    "STATUS_LINES",
    "Application",
    "Connection",
    "Exchange",
    "Limits",
    "Receiver",
    "Server",
    "State",
    "Tunnel",
]

SWEEP_S = 1.0
# Before a client's certificate ends, answers say that the connection ends, so that the client
# connects again with its next certificate.
LAST_REQUESTS_S = 5.0
# The number of connections that are refused with an answer; more are closed without one.
REFUSED_MAX = 1000
# A client that disappeared, for example in a power cut, is noticed within two minutes, even if
# nothing is written to it. A watch may be silent for days.
KEEPALIVE = (
    (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
    (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60),
    (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15),
    (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4),
)
# Iterations of the event loop that accept and read what has already reached our sockets.
ARRIVED_TURNS = 2


class Server:
    """Accepts connections, and has the state that they share."""

    def __init__(
        self,
        application: Application,
        *,
        buffered: bool = True,
        limits: Limits | None = None,
        origins: OriginPolicy | None,
    ) -> None:
        """Serve `application`. `origins` refuses foreign pages and names; None allows all."""
        self.application = application
        self.buffered = buffered
        self.origins = origins
        self.limits = limits or Limits()
        self.overload = OverloadControl(self.limits)
        self.connections: set[Connection] = set()
        self.draining = False
        self.date = b""
        self.now: Callable[[], float] = float  # the loop's clock, once it listens
        self._refused: set[Connection] = set()
        self._work: set[asyncio.Task[None]] = set()
        self._listeners: list[asyncio.Server | TlsAcceptor] = []
        self._tls: ListenerTls | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._idle = asyncio.Event()

    async def listen(
        self,
        sock: socket.socket,
        *,
        tls: ssl.SSLContext | ListenerTls | None = None,
        acceptor: Callable[[Connection], asyncio.Protocol] | None = None,
    ) -> None:
        """Accept connections on a listening socket.

        `acceptor` may put another protocol in front of each connection. With ListenerTls the files
        are renewed and clients are refused by their names; it is the same for all sockets.
        """
        if sock.family in {socket.AF_INET, socket.AF_INET6}:
            for level, option, value in KEEPALIVE:  # connections inherit them
                sock.setsockopt(level, option, value)
        self._loop = asyncio.get_running_loop()
        self.now = self._loop.time
        if not self._listeners:
            self._sweep()

        def accept(secure: bool = tls is not None) -> asyncio.Protocol:  # noqa: FBT001
            connection = Connection(self, secure=secure)
            return connection if acceptor is None else acceptor(connection)

        if isinstance(tls, ListenerTls):
            self._tls = tls
            refused = lambda: PlainRefused(self, secure=False)  # noqa: E731
            self._listeners.append(TlsAcceptor(sock, tls, self.limits, accept, refused))
            return
        unix = sock.family == socket.AF_UNIX
        listener = await (self._loop.create_unix_server if unix else self._loop.create_server)(
            accept,
            sock=sock,
            ssl=tls,
            backlog=BACKLOG,
            # For a TLS client the handshake comes before the head.
            ssl_handshake_timeout=self.limits.head_s if tls else None,
            ssl_shutdown_timeout=TLS_CLOSE_S if tls else None,
        )
        self._listeners.append(listener)

    async def drain(self, deadline_s: float, *, grace_s: float = 0.0) -> None:
        """Stop accepting, let exchanges in flight finish, and cut off the rest at the deadline.

        A request may be on its way on an idle connection when we close it. Within `grace_s` its
        client may send one more request, and the answer says that the connection ends.
        """
        self.draining = True
        end_s = self.now() + deadline_s
        for _ in range(ARRIVED_TURNS):
            await asyncio.sleep(0)
        for listener in self._listeners:
            listener.close()
            if isinstance(listener, TlsAcceptor):
                await listener.started()
        if grace_s:
            await self._emptied(min(grace_s, deadline_s))
        for connection in tuple(self.connections):
            connection.close_if_idle()
        if not await self._emptied(max(0.0, end_s - self.now())):
            for connection in tuple(self.connections):
                connection.abort()
            await self._idle.wait()

    async def _emptied(self, seconds: float) -> bool:
        """Wait at most this long for all connections to end; return whether they have."""
        if not self.connections:
            return True
        self._idle.clear()
        try:
            await asyncio.wait_for(self._idle.wait(), seconds)
        except TimeoutError:
            return False
        return True

    def opened(self, connection: Connection) -> None:
        """Count a connection, or refuse it because there are too many."""
        if (refusal := self.overload.admit(connection)) is not None:
            self._refuse(connection, refusal.status, refusal.reason)
            return
        self.connections.add(connection)
        if self._tls is not None and (holder := connection.certificate) is not None:
            why = self._tls.refusal(holder)
            if why:
                self._refuse(connection, 403, why)

    def closed(self, connection: Connection) -> None:
        """Forget a connection."""
        self.overload.leave(connection)
        self.connections.discard(connection)
        self._refused.discard(connection)
        if not self.connections:
            self._idle.set()

    def spawn(self, exchange: Exchange, work: Coroutine[Any, Any, None]) -> None:
        """Run work for an exchange; an exception from it ends the exchange."""
        assert self._loop is not None

        def ended(task: asyncio.Task[None]) -> None:
            self._work.discard(task)
            if not task.cancelled() and isinstance(error := task.exception(), Exception):
                exchange.fail(error)

        task = self._loop.create_task(work)
        self._work.add(task)
        task.add_done_callback(ended)

    def _refuse(self, connection: Connection, status: int, reason: str) -> None:
        if len(self._refused) < REFUSED_MAX:
            self._refused.add(connection)
            connection.refuse(status, reason)
        else:
            connection.abort()

    def _sweep(self) -> None:
        assert self._loop is not None
        self.date = f"Date: {formatdate(usegmt=True)}\r\n".encode()
        now = self._loop.time()
        for connection in (*self.connections, *self._refused):
            connection.sweep(now)
        if self._tls is not None:
            self._sweep_certificates(self._tls)
        for listener in self._listeners:
            if isinstance(listener, TlsAcceptor):
                listener.sweep(now)
        if not (self.draining and not self.connections and not self._refused):
            self._loop.call_later(SWEEP_S, self._sweep)

    def _sweep_certificates(self, tls: ListenerTls) -> None:
        """Look for renewed files, and end connections whose certificates no longer count."""
        tls.refresh()
        wall_s = time.time()
        for connection in tuple(self.connections):
            if (holder := connection.certificate) is None:
                continue
            if tls.refusal(holder):
                process_counters.count_cut("revoked")
                connection.abort()
            elif holder.not_after_s - LAST_REQUESTS_S < wall_s:
                connection.expire(over=holder.not_after_s < wall_s)


class PlainRefused(Connection):
    """A connection without TLS to a port that requires it."""

    __slots__ = ()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.refuse(400, PLAIN_REFUSED)


def own_origins(names: Iterable[str] = (), *, option: str = "") -> OriginPolicy:
    """Return the policy of a server that is reached under this host's name and these names."""
    return OriginPolicy((socket.gethostname(), *names), option=option)
