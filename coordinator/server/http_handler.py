"""Passes each request on the client port to the service that answers it."""

import asyncio
import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from coordinator.bootstrap import discovery_service
from coordinator.core.auth import auth_api
from coordinator.core.auth.decisions import BY_DISCOVERY_TOKEN, Rights
from coordinator.core.store.api_errors import UNAUTHORIZED, ApiError
from coordinator.core.v2api import keys_api, request_target, routes
from coordinator.core.v2api.info_pages import message, page
from coordinator.core.v2api.request_target import BadTarget
from coordinator.core.v2api.routes import Service
from coordinator.server.access import local_socket
from coordinator.server.access.access_control import NO_CREDENTIALS, AccessControl
from coordinator.server.access.audit_log import AuditLog
from coordinator.server.access.audit_stream import AuditService
from coordinator.server.access.auth_service import AuthService
from coordinator.server.access.authentication import PasswordUnverified, Unauthenticated
from coordinator.server.access.password_verifier import PasswordVerifier
from coordinator.server.access.token_service import TokenService
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
UNAUTHORIZED_STATUS = 401
Serve = Callable[[Exchange, str, bytes], None]  # the exchange, its path, its query


class HttpHandler:
    """Answers every request on the client port, now or when it is decided."""

    def __init__(self, loop: DriveLoop, telemetry: Telemetry, settings: Settings) -> None:
        self.responses = responses = Responses(loop.replica, telemetry.identity.cluster)
        self._loop = loop
        self._telemetry = telemetry
        self._requests = telemetry.requests
        self._verifier = verifier = PasswordVerifier(asyncio.get_running_loop())
        self._audit_log = audit_log = AuditLog(settings.data_dir)
        self.access = access = AccessControl(
            loop.replica, verifier, audit_log, enforces=settings.enforces_auth
        )
        telemetry.access = access
        loop.on_security = self._follow_rights
        self._audit = audit = AuditService(audit_log, responses)
        self._logins = TokenService(
            loop, responses, access.current, lambda exchange: access.record(exchange, "issue token")
        )
        self._keys = KeysService(loop, responses, access, settings.max_request_bytes)
        self.cluster = cluster = ClusterService(
            loop, responses, telemetry, access, grows=bool(settings.listen_peer)
        )
        health = HealthCheck(loop, responses, telemetry)
        self._services: dict[Service, Serve] = {
            Service.TOKEN: self._serve_token,
            Service.MEMBERS: cluster.members,
            Service.MEMBER_CHANGES: cluster.change_members,
            Service.LEADERSHIP: cluster.change_members,
            Service.AUTH: AuthService(loop, responses, access, verifier.hash).serve,
            Service.LOGIN: self._login,
            Service.AUDIT: audit.serve,
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
        rights = None
        if self.access.active and (rights := self.access.known(exchange)) is None:
            self._identify(exchange, method, target)
        elif method != b"OPTIONS" and target.startswith(keys_api.PREFIX):
            self._keys.serve(exchange, target, rights)
        else:
            self._dispatch(exchange, method, target, rights)

    def break_off_watches(self) -> None:
        """Break off every watch, so that its client asks another member or comes back."""
        self._keys.break_off_watches()
        self._audit.break_off()

    def close(self) -> None:
        """Check no more passwords, and write the rest of the audit log."""
        self._verifier.close()
        self._audit_log.close()

    def _follow_rights(self) -> None:
        """Judge what is open, because users or roles have changed."""
        self.access.refresh()
        self._keys.judge_watches()
        self._audit.judge(self._may_read_audit)

    def _may_read_audit(self, exchange: Exchange) -> bool:
        try:
            rights = self.access.rights_now(exchange)
        except ApiError:
            return False
        return rights is None or rights.has("audit")

    def _identify(self, exchange: Exchange, method: bytes, target: bytes) -> None:
        """Answer with the rights of the client."""
        access = self.access
        try:
            rights = access.identify(exchange)
        except Unauthenticated as refusal:
            self._refuse(exchange, target, refusal)
            return
        except PasswordUnverified as unverified:
            access.authenticator.verify(
                exchange,
                unverified,
                partial(self._identify, exchange, method, target),
                partial(self._wrong_password, exchange, method, target),
            )
            return
        self._answer(exchange, method, target, rights)

    def _answer(self, exchange: Exchange, method: bytes, target: bytes, rights: Rights) -> None:
        if method != b"OPTIONS" and target.startswith(keys_api.PREFIX):
            self._keys.serve(exchange, target, rights)
        else:
            self._dispatch(exchange, method, target, rights)

    def _wrong_password(
        self, exchange: Exchange, method: bytes, target: bytes, refusal: Unauthenticated
    ) -> None:
        try:
            rights = self.access.unknown(exchange, refusal)
        except Unauthenticated:
            self._refuse(exchange, target, refusal)
            return
        self._answer(exchange, method, target, rights)

    def _refuse(self, exchange: Exchange, target: bytes, refusal: Unauthenticated) -> None:
        """Answer that nobody is known by these credentials. It never says which part is wrong."""
        if refusal.status != UNAUTHORIZED_STATUS:
            retry = ((b"Retry-After", b"%d" % math.ceil(refusal.retry_s)),)
            page = message(refusal.status, str(refusal))
            self.responses.page(exchange, replace(page, headers=retry))
        elif target.startswith(keys_api.PREFIX):
            self.responses.error(exchange, ApiError(UNAUTHORIZED, NO_CREDENTIALS))
        else:
            self.responses.page(exchange, message(UNAUTHORIZED_STATUS, NO_CREDENTIALS))

    def _dispatch(
        self, exchange: Exchange, method: bytes, target: bytes, rights: Rights | None
    ) -> None:
        split = request_target.split(target)
        if isinstance(split, BadTarget):
            self.responses.refusal(exchange, split)
            return
        if request_target.clean(split.path) != split.path:
            self.responses.refusal(exchange, request_target.redirect(method, split))
            return
        if split.path.startswith(keys_api.PREFIX) and method != b"OPTIONS":
            self._keys.serve(exchange, target, rights)  # it hid behind escapes
            return
        path = split.path.decode(errors="replace")
        service = routes.service_of(method.decode(), path)
        if rights is not None and (refused := self.access.check_service(exchange, rights, service)):
            self.responses.page(exchange, message(401, refused))
            return
        self._services[service](exchange, path, split.query)

    def _serve_token(self, exchange: Exchange, path: str, query: bytes) -> None:
        place = discovery_service.keys_path(path).encode()
        target = place + b"?" + query if query else place
        self._keys.serve(exchange, target, BY_DISCOVERY_TOKEN)

    def _login(self, exchange: Exchange, _: str, __: bytes) -> None:
        rights = self.access.rights_now(exchange)
        if rights is None:
            words = "auth is not enabled: everybody may do everything without a token"
            self.responses.page(exchange, message(409, words))
        elif rights.principal.source == "guest":
            self.responses.page(exchange, message(UNAUTHORIZED_STATUS, NO_CREDENTIALS))
        else:
            self._logins.serve(exchange, rights.principal)

    def _page(self, exchange: Exchange, path: str, _: bytes) -> None:
        method = exchange.head.method.decode()
        found = auth_api.wrong_method(method, path) or page(
            method, path, self._telemetry.member_status()
        )
        self.responses.page(exchange, found)

    def _metrics(self, exchange: Exchange, _: str, __: bytes) -> None:
        body = metrics.exposition(samples(self._telemetry))
        self.responses.plain(exchange, 200, metrics.CONTENT_TYPE.encode(), body)
