"""`/v2/auth`: shows and changes users and roles, and explains decisions."""

from collections.abc import Callable
from dataclasses import replace

import msgspec

from coordinator.core.auth import auth_api, enabling, explanation
from coordinator.core.auth.auth_api import AuthRequest, Change, UserRequest
from coordinator.core.auth.decisions import Rights
from coordinator.core.replica.pending import Outcome
from coordinator.core.store.api_errors import (
    COMPARE_FAILED,
    KEY_EXISTS,
    KEY_NOT_FOUND,
    ApiError,
    ClusterUnavailable,
)
from coordinator.core.store.commands import Delete, Note, Put
from coordinator.core.store.event import KeyEvent
from coordinator.core.v2api.info_pages import Page, as_json, message
from coordinator.server.access.access_control import NO_CREDENTIALS, AccessControl, Attempt
from coordinator.server.access.token_service import new_key
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.responses import Responses
from daemonkit.http.server import Exchange

# How often a change begins again because another one was faster.
TRIES_MAX = 10
RACED = frozenset((COMPARE_FAILED, KEY_EXISTS, KEY_NOT_FOUND))
# Calls its second argument with the hash of a password, later; False when too many wait.
Hash = Callable[[bytes, Callable[[str], None]], bool]


class AuthService:
    """Answers requests about users and roles."""

    def __init__(
        self, loop: DriveLoop, responses: Responses, access: AccessControl, hashed: Hash
    ) -> None:
        self._loop = loop
        self._replica = loop.replica
        self._responses = responses
        self._access = access
        self._hash = hashed

    def serve(self, exchange: Exchange, path: str, query: bytes) -> None:
        """Answer a request, once it is decided."""
        rights = self._access.rights_now(exchange)
        method = exchange.head.method.decode()
        if path == auth_api.WHY:
            self._explain(exchange, query, rights)
            return
        # Whether auth is enabled is what every refusal says anyway.
        is_open = path == "/v2/auth/enable" and method == "GET"
        if rights is not None and not is_open and not rights.has("auth"):
            why = "no role has the capability auth"
            words = self._access.refusal(
                exchange, rights, Attempt(f"{method} {path}"), why, always=True
            )
            self._responses.page(exchange, message(401, words))
            return
        request = auth_api.parse(method, path, exchange.body)
        if isinstance(request, Page):
            self._responses.page(exchange, request)
        elif isinstance(request.body, UserRequest) and request.body.password:
            self._hash_password(exchange, request, request.body)
        else:
            self._begin(exchange, request)

    def _hash_password(self, exchange: Exchange, request: AuthRequest, body: UserRequest) -> None:
        def hashed(secret: str) -> None:
            with_hash = msgspec.structs.replace(body, password=secret)
            self._begin(exchange, replace(request, body=with_hash))

        if not self._hash((body.password or "").encode(errors="replace"), hashed):
            self._responses.unavailable(exchange, "too many passwords are being set: try again")

    def _begin(self, exchange: Exchange, request: AuthRequest) -> None:
        """Decide, once this member knows what any has acknowledged."""
        pending = PendingAuth(self, exchange, request)
        try:
            self._replica.read(pending)
        except ClusterUnavailable as refusal:
            self._responses.unavailable(exchange, refusal.cause)
        self._loop.wake()

    def decide(self, pending: "PendingAuth") -> None:
        """Answer a request, or begin the changes that it takes."""
        access = self._access
        access.refresh()
        keyspace = self._replica.keyspace
        decided = auth_api.decide(pending.request, access.state, keyspace.tree)
        if isinstance(decided, Change) and decided.enables:
            if why := enabling.problem(keyspace.notes, self._replica.node.configuration):
                decided = message(409, f"auth: {why}")
            else:
                pending.commands = [*enabling.preparation(keyspace.notes)]
                if not access.state.token_key:  # now, so that every member has it before any token
                    pending.commands.append(new_key())
        if isinstance(decided, Page):
            self._responses.page(pending.exchange, decided)
            return
        pending.commands += decided.commands
        pending.page = decided.page
        self.propose(pending)

    def propose(self, pending: "PendingAuth") -> None:
        """Carry out the next command of a change, or answer after the last one."""
        if not pending.commands:
            method, path = pending.request.method, pending.request.path
            self._access.record(pending.exchange, f"{method} {path}", index=pending.index)
            self._responses.page(pending.exchange, pending.page)
            return
        try:
            self._replica.propose(pending.commands.pop(0), pending)
        except ClusterUnavailable as refusal:
            self._responses.unavailable(pending.exchange, refusal.cause)
        self._loop.wake()

    def failed(self, pending: "PendingAuth", refusal: ApiError) -> None:
        """Begin again if another change was faster; else answer."""
        pending.tries += 1
        pending.commands = []
        if refusal.code in RACED and pending.tries < TRIES_MAX:
            self.decide(pending)
        else:
            self._responses.unavailable(pending.exchange, refusal.cause or refusal.message)

    def _explain(self, exchange: Exchange, query: bytes, rights: Rights | None) -> None:
        try:
            asked = explanation.asked(query)
        except ValueError as error:
            self._responses.page(exchange, message(400, str(error)))
            return
        own = rights.principal.user if rights is not None else ""
        user = asked.get("user", own)
        if rights is not None and not rights.has("auth") and user != own:
            why = "it may ask only about itself"
            words = self._access.refusal(exchange, rights, Attempt("ask why"), why, always=True)
            self._responses.page(exchange, message(401, words))
            return
        if rights is not None and rights.principal.source == "guest":
            self._responses.page(exchange, message(401, NO_CREDENTIALS))
            return
        state, tree = self._access.state, self._replica.keyspace.tree
        try:
            shown = explanation.explain(
                state, user, asked.get("op", "read"), asked.get("key", ""), tree
            )
        except ValueError as error:
            self._responses.page(exchange, message(400, str(error)))
            return
        self._responses.page(exchange, as_json(shown))


class PendingAuth:
    """A request about users and roles that waits: first to be decided, then for its changes."""

    def __init__(self, service: AuthService, exchange: Exchange, request: AuthRequest) -> None:
        self.exchange = exchange
        self.request = request
        self.page = auth_api.EMPTY
        self.commands: list[Put | Delete | Note] = []
        self.tries = 0
        self.index = 0  # of the last change
        self._service = service
        self._decided = False

    def answer(self, outcome: Outcome) -> None:
        """Go on with the next step."""
        service = self._service
        try:
            if isinstance(outcome, KeyEvent):
                self.index = outcome.index
            if isinstance(outcome, ApiError):
                service.failed(self, outcome)
            elif self._decided:
                service.propose(self)
            else:
                self._decided = True
                service.decide(self)
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self.exchange.fail(error)
