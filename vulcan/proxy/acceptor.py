"""One listening socket in a worker: its protocol, scope and certificates follow the keys."""

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
from vulcan.proxy.tls_contexts import Certificates

# Clients that keep their connections busy, proxies above all, ask again within this time; and a
# first request whose packet was lost is here by then (RFC 6298 sends again after a second).
GRACE_S = 3.0

_log = logs.get("vulcand")


class Port:
    """Accepts on one socket. A change of protocol or TLS makes a new server on the same socket."""

    def __init__(
        self, name: str, sock: socket.socket, proxy: Proxy, limits: Limits, drain_s: float
    ) -> None:
        self._id = listener_of(name)
        self._sock = sock
        self._proxy = proxy
        self._limits = limits
        self._drain_s = drain_s
        self._scope: Route | None = None
        self._spoken: TlsSettings | bool | None = None  # False: no TLS; None: nothing yet
        self._certificates: Certificates | None = None
        self._server: Server | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self._changing = asyncio.Lock()
        self._over = False

    @property
    def connections(self) -> int:
        """How many clients are connected."""
        return len(self._server.connections) if self._server else 0

    async def follow(self) -> None:
        """Do what the table in force says."""
        async with self._changing:
            if self._over:
                return
            table = self._proxy.table
            if self._certificates is not None:
                pairs = (host.pair for host in table.hosts.values())
                self._certificates.forget(frozenset(pair for pair in pairs if pair))
            listener = table.listeners.get(self._id) if self._id else None
            if self._id and listener is None:
                return  # its socket will be taken back
            self._scope = listener.scope if listener else None
            spoken = listener.tls if listener and listener.secure else False
            if spoken != self._spoken:
                await self._listen(spoken)

    async def drain(self, deadline_s: float) -> None:
        """Accept no more and finish what is under way."""
        async with self._changing:
            self._over = True
        # The server has one of its own; while ours is open, connections would queue for nobody.
        self._sock.close()
        if self._server is not None:
            await self._server.drain(deadline_s, grace_s=GRACE_S)
        for leaving in tuple(self._leaving):
            with contextlib.suppress(asyncio.CancelledError):
                await leaving

    async def _listen(self, spoken: "TlsSettings | bool") -> None:
        context: ssl.SSLContext | None = None
        if isinstance(spoken, TlsSettings):
            try:
                self._certificates = Certificates(spoken, self._host)
            except ssl.SSLError as error:
                _log.error("listener-tls", listener=self._id, reason=str(error))
                return
            context = self._certificates.context
        before, self._server = (
            self._server,
            Server(self._serve, buffered=False, limits=self._limits),
        )
        await self._server.listen(self._sock.dup(), tls=context)
        self._spoken = spoken
        if before is not None:
            task = asyncio.get_running_loop().create_task(
                before.drain(self._drain_s, grace_s=GRACE_S)
            )
            self._leaving.add(task)
            task.add_done_callback(self._leaving.discard)

    def _host(self, name: str) -> Host | None:
        return sni.choose(self._proxy.table.hosts, name)

    def _serve(self, exchange: Exchange) -> None:
        self._proxy.serve(exchange, self._scope)
