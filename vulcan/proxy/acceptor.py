"""Accepts clients on one listening socket; its protocol, scope and certificates follow the keys."""

import asyncio
import contextlib
import socket
import ssl

from daemonkit.http.server import Exchange, Limits, Server
from daemonkit.observe import logs
from vulcan.control.listener_sockets import listener_of
from vulcan.core.config import sni
from vulcan.core.config.host import Host
from vulcan.core.config.tls_settings import TlsSettings
from vulcan.core.routing.route import Route
from vulcan.proxy.proxy import Proxy
from vulcan.proxy.tls_contexts import HostContexts

# A client that keeps its connections busy, as proxies do, sends its next request within this time.
# A first request whose packet was lost arrives within it, too (RFC 6298: again after a second).
GRACE_S = 3.0

_log = logs.get("vulcand")


class Acceptor:
    """Accepts on one socket. A change of protocol or TLS starts a new server on the same socket."""

    def __init__(
        self, name: str, sock: socket.socket, proxy: Proxy, limits: Limits, drain_s: float
    ) -> None:
        self._listener = listener_of(name)
        self._sock = sock
        self._proxy = proxy
        self._limits = limits
        self._drain_s = drain_s
        self._scope: Route | None = None
        self._tls: TlsSettings | None = None  # what the server speaks; None: no TLS
        self._contexts: HostContexts | None = None
        self._server: Server | None = None
        self._draining: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._over = False

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.connections) if self._server else 0

    async def follow(self) -> None:
        """Follow the table in force."""
        async with self._changing:
            if self._over:
                return
            table = self._proxy.table
            if self._contexts is not None:
                pairs = (host.pair for host in table.hosts.values())
                self._contexts.keep(frozenset(pair for pair in pairs if pair))
            listener = table.listeners.get(self._listener) if self._listener else None
            if self._listener and listener is None:
                return  # the supervisor will close the socket
            self._scope = listener.scope if listener else None
            tls = listener.tls if listener and listener.secure else None
            if self._server is None or tls != self._tls:
                await self._listen(tls)

    async def drain(self, deadline_s: float) -> None:
        """Accept no more and finish what is in flight."""
        async with self._changing:
            self._over = True
        # The server has a duplicate. While ours is open, connections would queue for nobody.
        self._sock.close()
        if self._server is not None:
            await self._server.drain(deadline_s, grace_s=GRACE_S)
        for task in tuple(self._draining):
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _listen(self, tls: TlsSettings | None) -> None:
        context: ssl.SSLContext | None = None
        if tls is not None:
            try:
                self._contexts = HostContexts(tls, self._host)
            except ssl.SSLError as error:
                _log.error("listener-tls", listener=self._listener, reason=str(error))
                return
            context = self._contexts.context
        before = self._server
        # Pages and names of all sites are the applications' own business.
        self._server = Server(self._serve, buffered=False, limits=self._limits, origins=None)
        await self._server.listen(self._sock.dup(), tls=context)
        self._tls = tls
        if before is not None:
            drain = before.drain(self._drain_s, grace_s=GRACE_S)
            task = asyncio.get_running_loop().create_task(drain)
            self._draining.add(task)
            task.add_done_callback(self._draining.discard)

    def _host(self, name: str) -> Host | None:
        return sni.choose_host(self._proxy.table.hosts, name)

    def _serve(self, exchange: Exchange) -> None:
        self._proxy.serve(exchange, self._scope)
