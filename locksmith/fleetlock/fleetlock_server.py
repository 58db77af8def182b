"""`locksmith-fleetlock`: a FleetLock server on locksmith's semaphores, for hosts with zincati."""

import asyncio
import hmac
import socket
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from coordinator.client.core.errors import StoreError
from daemonkit import options
from daemonkit.core.addresses import parse_address
from daemonkit.core.samples import Sample
from daemonkit.http import server
from daemonkit.http.exchange import Exchange, spawn
from daemonkit.http.fleet_listener import OPERATORS, FleetListener
from daemonkit.http.server import Limits, Server, own_origins
from daemonkit.http.tls import TlsFiles, load, server_context
from daemonkit.observe import logs
from daemonkit.observe.status_page import Probe, StatusPage
from daemonkit.options import IdentityFiles
from daemonkit.process.lifecycle import Lifecycle
from daemonkit.process.listening_socket import listening_socket, shown, warn_if_open
from locksmith.core import fleetlock_protocol
from locksmith.core.fleetlock_protocol import Reply, Request
from locksmith.fleetlock.fleetlock_slots import FleetLockSlots

# A request has some hundred bytes, and each host of a fleet asks every five minutes.
OPTION = "--listen"
NO_TLS = "nothing is encrypted"
NOT_GUARDED = "every host can acquire and release slots"
LIMITS = Limits(
    head_bytes_max=8192, body_bytes_max=4096, connections_max=2000, client_connections_max=1800
)
DRAIN_S = 5.0

_log = logs.get("locksmith-fleetlock")


@dataclass(frozen=True, slots=True)
class ListenOptions:
    """How clients connect: the address, TLS, and the token that they must send."""

    address: str
    tls: TlsFiles | None = None
    revoked: Path | None = None
    token: bytes = b""
    names: tuple[str, ...] = ()  # that clients may use besides those of `own_origins`


@dataclass(slots=True)
class _ServerCounts:
    requests: dict[str, int] = field(default_factory=dict)
    replies: dict[str, int] = field(default_factory=dict)


class FleetLockServer:
    """The daemon, for `daemonkit.process.lifecycle`."""

    def __init__(
        self,
        slots: FleetLockSlots,
        listen: ListenOptions,
        status_addr: str,
        status_tls: IdentityFiles | None = None,
    ) -> None:
        self._slots, self._listen = slots, listen
        origins = own_origins(listen.names, option=options.HOST_WHITELIST)
        self._server = Server(self._handle, limits=LIMITS, origins=origins)
        self._fleet = _fleet(listen)
        self._tls = server_context(listen.tls) if listen.tls and not self._fleet else None
        self._counts = _ServerCounts()
        self._store_error = ""
        self.page = StatusPage(
            status_addr,
            health=lambda: Probe(ok=True),
            ready=lambda: Probe(ok=not self._store_error, detail={"store": self._store_error}),
            state=lambda: {"requests": self._counts.requests, "replies": self._counts.replies},
            samples=self._samples,
            tls=status_tls,
        )

    async def start(self, life: Lifecycle) -> None:  # noqa: ARG002
        """Start to serve."""
        await self.page.start()
        at = parse_address(self._listen.address)
        sock = listening_socket(at, socket.SOCK_STREAM, option=OPTION)
        host, port = sock.getsockname()[:2]
        await self._server.listen(sock, tls=self._fleet.tls if self._fleet else self._tls)
        tls = self._listen.tls
        guarded = bool(self._listen.token) or bool(tls and tls.require_client)
        _log.info("started", address=shown(host, port), tls=tls is not None, guarded=guarded)
        if tls is None:
            warn_if_open(sock, option=OPTION, risk=NO_TLS, remedy="give --tls-cert and --tls-key")
        if not guarded:
            remedy = "give --client-ca or --token-file"
            warn_if_open(sock, option=OPTION, risk=NOT_GUARDED, remedy=remedy)

    async def drain(self) -> None:
        """Answer the requests that were received, then stop."""
        await self._server.drain(DRAIN_S)
        await self.page.stop()

    def reload(self) -> None:
        """Read the certificates again."""
        if self._fleet is not None:
            self._fleet.tls.refresh()
        elif self._tls is not None and self._listen.tls is not None:
            load(self._tls, self._listen.tls)

    def _handle(self, exchange: Exchange) -> None:
        head = exchange.head
        host = self._host(exchange)
        if isinstance(host, Reply):
            self._answer(exchange, host)
            return
        request = fleetlock_protocol.parse(head.method, head.target, head.fields, exchange.body)
        if isinstance(request, Reply):
            self._answer(exchange, request)
            return
        name = request.operation.name.lower()
        self._counts.requests[name] = self._counts.requests.get(name, 0) + 1
        spawn(exchange, self._serve(exchange, request, host))

    def _host(self, exchange: Exchange) -> str | Reply:
        """Return the host of a client, empty if it may ask for any; or the reply that refuses it.

        A client of a fleet shows a certificate, or the token where there is one.
        """
        token = self._listen.token
        given = exchange.head.fields.get(b"authorization", b"")
        has_token = bool(token) and hmac.compare_digest(given, b"Bearer " + token)
        if self._fleet is None:
            return "" if has_token or not token else fleetlock_protocol.UNAUTHORIZED
        who = exchange.identity
        if who is not None and who.kind == "host" and not who.daemon:
            return who.name
        if has_token or not (refusal := self._fleet.refusal(exchange, OPERATORS, host=False)):
            return ""
        if refusal.status == 403:
            return fleetlock_protocol.forbidden(refusal.reason)
        return fleetlock_protocol.UNAUTHORIZED if token else fleetlock_protocol.NO_CERTIFICATE

    async def _serve(self, exchange: Exchange, request: Request, host: str) -> None:
        try:
            reply = await asyncio.to_thread(self._slots.decide, request, exchange.peer[0], host)
            self._store_error = ""
        except StoreError as error:
            self._store_error = str(error)
            reply = fleetlock_protocol.store_failed(str(error))
        level = _log.info if reply.status == 200 else _log.warning
        level(request.operation.name.lower(), id=request.id, group=request.group, kind=reply.kind)
        self._answer(exchange, reply)

    def _answer(self, exchange: Exchange, reply: Reply) -> None:
        self._counts.replies[reply.kind] = self._counts.replies.get(reply.kind, 0) + 1
        body = reply.body()
        head = server.STATUS_LINES[reply.status] + b"Content-Type: application/json\r\n"
        head += b"Allow: POST\r\n" if reply.status == 405 else b""
        exchange.reply(head + b"Content-Length: %d\r\n" % len(body), body)

    def _samples(self) -> Iterator[Sample]:
        tables = (
            ("requests", "api", "Requests, by operation.", self._counts.requests),
            ("replies", "kind", "Replies, by kind.", self._counts.replies),
        )
        for what, label, text, counts in tables:
            name = f"locksmith_fleetlock_{what}_total"
            for value, count in counts.items():
                yield Sample(name, "counter", text, count, {label: value})


def _fleet(listen: ListenOptions) -> FleetListener | None:
    """Return the TLS of a fleet, if the certificate is of one; else clients have no identities."""
    tls = listen.tls
    if tls is None or tls.ca is None:
        return None
    made = FleetListener(IdentityFiles(tls.ca, tls.cert, tls.key, listen.revoked))
    return made if made.tls.fleet else None
