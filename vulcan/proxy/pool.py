"""Connections to one server, made when needed and kept while they are good."""

import asyncio
import select
from collections import deque

from daemonkit.observe import logs
from vulcan.core.balancing.server_state import ServerState
from vulcan.core.config.backend import Backend, Server
from vulcan.proxy import tls_contexts
from vulcan.proxy.connection import ResponseReceiver, UpstreamConnection, UpstreamFailure

# A server that closes an idle connection may cut a request that is on its way, and a request that
# cannot be sent again then fails. So we close first. A server that does not say when it closes
# probably does so after 5 s or more, as Node, uvicorn and Apache do. With `Keep-Alive: timeout=`,
# the limit is a second less than that, or half of it if it is short.
IDLE_S = 4.0
IDLE_S_MAX = 55.0
MARGIN_S = 1.0
_ARRIVED = select.POLLIN | select.POLLRDHUP
# A server's failures are logged once in this time, however many requests fail.
REPORT_S = 5.0

_log = logs.get("vulcand")


class ConnectionPool(ServerState):
    """One server of a backend, with this worker's connections to it."""

    def __init__(self, loop: asyncio.AbstractEventLoop, backend: Backend, server: Server) -> None:
        super().__init__(backend, server, loop.time())
        self.loop = loop
        self.connections: set[UpstreamConnection] = set()
        self._idle: deque[UpstreamConnection] = deque()
        self._dials: set[asyncio.Task[None]] = set()
        self._ends_s: float | None = None  # the last request's deadline, once retired
        self._failures = 0  # since the last report
        self._reported_s = -REPORT_S

    def take(self, *, repeatable: bool) -> UpstreamConnection | None:
        """Return the connection that was used last: the others may be about to be closed.

        A request that is not `repeatable` gets none of which the server's end has arrived already.
        """
        now_s = self.loop.time()
        while self._idle:
            connection = self._idle.pop()
            transport = connection.transport
            if transport is None or transport.is_closing():
                continue
            if connection.deadline_s > now_s and (repeatable or _is_quiet(transport)):
                connection.reused = True
                return connection
            connection.close()
        return None

    def give(self, connection: UpstreamConnection) -> None:
        """Take a connection back for the next request."""
        if self._ends_s is not None or len(self._idle) >= self.backend.idle_max:
            connection.close()
            return
        limit_s, idle_s = connection.idle_limit_s, IDLE_S
        if limit_s is not None:
            idle_s = min(max(limit_s - MARGIN_S, limit_s / 2), IDLE_S_MAX)
        connection.deadline_s = self.loop.time() + idle_s
        self._idle.append(connection)

    def dial(self, receiver: ResponseReceiver) -> None:
        """Make a new connection for a request."""
        task = self.loop.create_task(self._dial(receiver))
        self._dials.add(task)
        task.add_done_callback(self._dials.discard)

    async def _dial(self, receiver: ResponseReceiver) -> None:
        """Connect within the backend's time; the receiver hears how it went, whatever happens."""
        connection: UpstreamConnection | None = None
        try:
            connection = await self._connect()
        except TimeoutError:
            failure = UpstreamFailure(504, f"no connection within {self.backend.dial_s:g} s")
        except Exception as error:  # noqa: BLE001 - settings of TLS are wrong in many ways
            failure = UpstreamFailure(502, str(error) or type(error).__name__)
        try:
            if connection is not None:
                receiver.connected(connection)
            else:
                receiver.connect_failed(failure)
        except Exception as error:  # noqa: BLE001 - the boundary of one request
            receiver.broken(error)

    async def _connect(self) -> UpstreamConnection:
        server, backend = self.server, self.backend
        keepalive_s = int(backend.keepalive_s)
        tls, name = tls_contexts.to_server(backend.tls, server)
        async with asyncio.timeout(backend.dial_s + (backend.handshake_s if tls else 0.0)):
            _, connection = await self.loop.create_connection(
                lambda: UpstreamConnection(self.connections, self.give, keepalive_s),
                server.host,
                server.port,
                ssl=tls,
                server_hostname=name,
                ssl_handshake_timeout=backend.handshake_s if tls else None,
            )
        return connection

    def report_failure(self, reason: str) -> None:
        """Log that a request failed at this server."""
        self._failures += 1
        now_s = self.loop.time()
        if now_s - self._reported_s >= REPORT_S:
            _log.warning(
                "server-failed",
                backend=self.backend.id,
                server=self.server.authority,
                reason=reason,
                failures=self._failures,
            )
            self._failures, self._reported_s = 0, now_s

    def sweep(self, now_s: float) -> None:
        """End what is past its deadline."""
        if self._ends_s is not None and self._ends_s <= now_s:
            for connection in tuple(self.connections):
                if connection.receiver is not None:  # tunnels stay
                    connection.fail("the server's key was removed, and its drain time is over")
        expired = [each for each in self._idle if each.deadline_s <= now_s]
        for connection in expired:
            self._idle.remove(connection)
            connection.close()
        for connection in tuple(self.connections):
            owner = connection.tunnel or connection.receiver
            if owner is not None and connection.deadline_s <= now_s:
                try:
                    owner.deadline_passed()
                except Exception as error:  # noqa: BLE001 - the boundary of one request
                    owner.broken(error)

    def retire(self) -> None:
        """Keep no connections any more; requests in flight finish within the backend's time.

        A tunnel may stay: it is not a request that ends, and its client would lose its session.
        """
        self._ends_s = self.loop.time() + self.backend.drain_s
        while self._idle:
            self._idle.pop().close()

    @property
    def busy(self) -> bool:
        """Whether there is a connection, or one is being made."""
        return bool(self.connections or self._dials)

    @property
    def idle(self) -> int:
        """How many connections wait for a request."""
        transports = (connection.transport for connection in self._idle)
        return sum(each is not None and not each.is_closing() for each in transports)


def _is_quiet(transport: asyncio.Transport) -> bool:
    """Whether nothing waits to be read, not even the end of the connection."""
    arrived = select.poll()
    arrived.register(transport.get_extra_info("socket").fileno(), _ARRIVED)
    return not arrived.poll(0)
