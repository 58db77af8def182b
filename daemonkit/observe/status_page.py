"""The status page of every daemon: /health /ready /metrics /debug/state.

In a fleet it requires TLS, and answers to the host's own identities and to whoever may look.
"""

import socket
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import msgspec

from daemonkit.core.addresses import parse_address
from daemonkit.core.api_routes import ApiRoute
from daemonkit.core.request_origin import OriginPolicy
from daemonkit.core.samples import Sample
from daemonkit.http.fleet_listener import VIEWERS, FleetListener
from daemonkit.http.server import STATUS_LINES, Exchange, Server
from daemonkit.observe import logs, metrics
from daemonkit.options import IdentityFiles
from daemonkit.process.listening_socket import listening_socket, warn_if_open

DRAIN_S = 0.5
RISK = "every host can read the daemon's state, and nothing is encrypted"
REMEDY = "use --status-tls require, or 127.0.0.1"
ROUTES = (
    ApiRoute("GET", "/health", "200 while the process can do its job, else 503; JSON"),
    ApiRoute(
        "GET", "/ready", "200 once it serves with data, else 503; JSON with what that depends on"
    ),
    ApiRoute("GET", "/metrics", "Prometheus text"),
    ApiRoute("GET", "/debug/state", "the daemon's internal state, as JSON"),
)
Answer = tuple[int, str, bytes]  # status, content type, body

_log = logs.get("status")


@dataclass(frozen=True, slots=True)
class Probe:
    """The answer to a health question, and the facts that it is based on."""

    ok: bool
    detail: dict[str, object] = field(default_factory=dict)


class StatusPage:
    """Serves a daemon's state on a separate address, loopback by default."""

    def __init__(  # noqa: PLR0913 - four of them are pages
        self,
        addr: str,
        *,
        health: Callable[[], Probe],
        ready: Callable[[], Probe],
        state: Callable[[], object],
        samples: Callable[[], Iterable[Sample]],
        tls: IdentityFiles | None = None,
    ) -> None:
        self._addr = addr
        self._files = tls
        self._fleet: FleetListener | None = None
        # Prometheus may reach us under our name in any domain; nothing here changes anything.
        host = socket.gethostname().partition(".")[0]
        self._server = Server(self._answer, origins=OriginPolicy((f"{host}.*",)))
        self._pages: dict[bytes, Callable[[], Answer]] = {
            b"/health": lambda: _probe(health()),
            b"/ready": lambda: _probe(ready()),
            b"/metrics": lambda: (200, metrics.CONTENT_TYPE, metrics.exposition(samples())),
            b"/debug/state": lambda: (200, "application/json", _json(state())),
        }
        self.port = 0
        self.socket: socket.socket | None = None  # passed to the next process in a hot upgrade

    async def start(self, inherited: socket.socket | None = None) -> None:
        """Listen, on the inherited socket if there is one; do nothing without an address."""
        if not self._addr:
            return
        option = "--status-addr"
        address = parse_address(self._addr)
        self._fleet = FleetListener(self._files) if self._files else None
        sock = inherited or listening_socket(address, socket.SOCK_STREAM, option=option)
        if self._fleet is None:
            warn_if_open(sock, option=option, risk=RISK, remedy=REMEDY)
        self.socket = sock.dup()
        self.port = int(sock.getsockname()[1])
        await self._server.listen(sock, tls=self._fleet.tls if self._fleet else None)

    async def stop(self) -> None:
        """Stop listening."""
        await self._server.drain(DRAIN_S)
        if self.socket is not None:
            self.socket.close()

    def _answer(self, exchange: Exchange) -> None:
        page = self._pages.get(exchange.head.target.partition(b"?")[0])
        if self._fleet is not None and (refusal := self._fleet.refusal(exchange, VIEWERS)):
            respond(exchange, refusal.status, "text/plain", refusal.reason.encode() + b"\n")
        elif exchange.head.method not in {b"GET", b"HEAD"}:
            allow = b"Allow: GET, HEAD\r\n"
            respond(exchange, 405, "text/plain", b"only GET and HEAD here\n", allow)
        elif page is None:
            names = b" ".join(self._pages)
            respond(exchange, 404, "text/plain", b"no such page; there are " + names + b"\n")
        else:
            respond(exchange, *self._made(page, exchange.head.target))

    def _made(self, page: Callable[[], Answer], target: bytes) -> Answer:
        try:
            return page()
        except Exception as error:  # noqa: BLE001 - looking at a broken daemon must not end it
            _log.error("page-failed", exc=error, page=target.decode(errors="replace"))
            return 500, "text/plain", b"this page failed; the daemon's log says why\n"


def respond(
    exchange: Exchange, status: int, content_type: str, body: bytes, fields: bytes = b""
) -> None:
    """Answer with a whole body; `fields` are more complete header lines."""
    exchange.reply(
        STATUS_LINES[status]
        + b"Content-Type: %b\r\nContent-Length: %d\r\n" % (content_type.encode(), len(body))
        + fields,
        body,
    )


def _probe(probe: Probe) -> Answer:
    return 200 if probe.ok else 503, "application/json", _json({"ok": probe.ok, **probe.detail})


def _json(value: object) -> bytes:
    return msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
