"""Passes each request on the client port to the service that answers it."""

from collections.abc import Callable

from coordinator.bootstrap import discovery_service
from coordinator.core.store.api_errors import UNAUTHORIZED, ApiError
from coordinator.core.v2api import keys_api, request_target, routes
from coordinator.core.v2api.info_pages import page
from coordinator.core.v2api.request_target import BadTarget
from coordinator.core.v2api.routes import Service
from coordinator.server.access import local_socket
from coordinator.server.cluster_service import ClusterService
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.health_check import HealthCheck
from coordinator.server.keys_service import KeysService
from coordinator.server.metrics import samples
from coordinator.server.responses import Responses
from coordinator.server.telemetry import Telemetry
from coordinator.settings import Settings
from daemonkit.http.server import Exchange
from daemonkit.observe import metrics

# Those of RFC 9110 and PATCH. A client may invent others, and each would be a time series.
METHODS = frozenset(b"GET HEAD POST PUT DELETE CONNECT OPTIONS TRACE PATCH".split())
Serve = Callable[[Exchange, str, bytes], None]  # the exchange, its path, its query


class HttpHandler:
    """Answers every request on the client port, now or when it is decided."""

    def __init__(self, loop: DriveLoop, telemetry: Telemetry, settings: Settings) -> None:
        self.responses = responses = Responses(loop.replica, telemetry.identity.cluster)
        self._loop = loop
        self._telemetry = telemetry
        self._requests = telemetry.requests
        self._keys = KeysService(loop, responses, settings.max_request_bytes)
        self.cluster = cluster = ClusterService(
            loop, responses, telemetry, grows=bool(settings.listen_peer)
        )
        health = HealthCheck(loop, responses, telemetry)
        self._services: dict[Service, Serve] = {
            Service.TOKEN: self._serve_token,
            Service.MEMBERS: cluster.members,
            Service.MEMBER_CHANGES: cluster.change_members,
            Service.BACKUP: cluster.backup,
            Service.NEW_TOKEN: cluster.new_token,
            Service.HEALTH: health.serve,
            Service.METRICS: self._metrics,
            Service.PAGE: self._page,
        }

    def __call__(self, exchange: Exchange) -> None:
        """Answer one exchange."""
        head = exchange.head
        method, target = head.method, head.target
        if exchange.peer_uid:  # of a Unix socket, and not root's
            refused = ApiError(UNAUTHORIZED, local_socket.refusal(exchange.peer_uid))
            self.responses.error(exchange, refused)
            return
        # What waited while the process was stopped must not be answered by the time before.
        self._loop.advance_time()
        self._requests[method if method in METHODS else b"other"] += 1
        if method != b"OPTIONS" and target.startswith(keys_api.PREFIX):
            self._keys.serve(exchange, target)
        else:
            self._dispatch(exchange, method, target)

    def break_off_watches(self) -> None:
        """Break off every watch, so that its client asks another member or comes back."""
        self._keys.break_off_watches()

    def _dispatch(self, exchange: Exchange, method: bytes, target: bytes) -> None:
        split = request_target.split(target)
        if isinstance(split, BadTarget):
            self.responses.refusal(exchange, split)
            return
        if request_target.clean(split.path) != split.path:
            self.responses.refusal(exchange, request_target.redirect(method, split))
            return
        if split.path.startswith(keys_api.PREFIX) and method != b"OPTIONS":
            self._keys.serve(exchange, target)  # it hid behind escapes
            return
        path = split.path.decode(errors="replace")
        serve = self._services[routes.service_of(method.decode(), path)]
        serve(exchange, path, split.query)

    def _serve_token(self, exchange: Exchange, path: str, query: bytes) -> None:
        place = discovery_service.keys_path(path).encode()
        self._keys.serve(exchange, place + b"?" + query if query else place)

    def _page(self, exchange: Exchange, path: str, _: bytes) -> None:
        found = page(exchange.head.method.decode(), path, self._telemetry.member_status())
        self.responses.page(exchange, found)

    def _metrics(self, exchange: Exchange, _: str, __: bytes) -> None:
        body = metrics.exposition(samples(self._telemetry))
        self.responses.plain(exchange, 200, metrics.CONTENT_TYPE.encode(), body)
