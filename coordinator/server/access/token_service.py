"""`POST /v2/auth/token`: a bearer token for who asks, that every member verifies."""

import secrets
from collections.abc import Callable
from functools import partial

import msgspec

from coordinator.core.auth import session_tokens
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.documents import TOKEN_KEY
from coordinator.core.auth.principal import Principal
from coordinator.core.auth.session_tokens import KEY_BYTES, SessionToken, TokenRequest
from coordinator.core.replica.pending import Outcome
from coordinator.core.store.api_errors import ClusterUnavailable
from coordinator.core.store.commands import Put
from coordinator.core.v2api.info_pages import Page
from coordinator.server.drive_loop import DriveLoop
from coordinator.server.responses import Responses
from daemonkit.http.server import Exchange

JSON = b"application/json"
_NS_PER_S = 1_000_000_000


class TokenService:
    """Issues tokens. `state` returns the users of this moment; `issued` is told of each token."""

    def __init__(
        self,
        loop: DriveLoop,
        responses: Responses,
        state: Callable[[], AuthState],
        issued: Callable[[Exchange], None],
    ) -> None:
        self._loop = loop
        self._responses = responses
        self._state = state
        self._issued = issued

    def serve(self, exchange: Exchange, principal: Principal) -> None:
        """Answer with a token of the caller, who is no guest."""
        try:
            asked = session_tokens.parse_request(exchange.body)
        except ValueError as error:
            self._refuse(exchange, 400, str(error))
            return
        issue = partial(self._issue, exchange, principal, asked)
        if self._state().token_key:
            issue()
            return
        # Enabling makes one. If another member makes one now, that one counts.
        try:
            self._loop.replica.propose(new_key(), PendingKey(exchange, issue))
        except ClusterUnavailable as refusal:
            self._responses.unavailable(exchange, refusal.cause)
        self._loop.wake()

    def _issue(self, exchange: Exchange, principal: Principal, asked: TokenRequest) -> None:
        state, now_ns = self._state(), self._loop.replica.clock.now_ns()
        user = state.user(principal.user)
        if user is None:
            self._refuse(exchange, 403, f"there is no user {principal.user}: create one first")
            return
        if not state.token_key:
            self._responses.unavailable(exchange, "the cluster has no key for tokens yet")
            return
        parent = None
        if principal.source == "token":
            prefixes = principal.write_prefixes
            parent = SessionToken(user.user, now_ns, principal.expires_ns, b"", prefixes)
        mark = session_tokens.fingerprint(user.password, user.not_before)
        try:
            token = session_tokens.issue(user.user, asked, now_ns, mark, parent)
            text = session_tokens.sealed(token, state.token_key)
        except ValueError as error:
            self._refuse(exchange, 400, str(error))
            return
        self._issued(exchange)
        ttl_s = (token.expires_ns - now_ns) // _NS_PER_S
        answer = {"user": user.user, "token": text, "ttl_s": ttl_s, "prefixes": token.prefixes}
        self._responses.page(exchange, Page(200, JSON, msgspec.json.encode(answer)))

    def _refuse(self, exchange: Exchange, status: int, why: str) -> None:
        self._responses.page(exchange, Page(status, JSON, msgspec.json.encode({"message": why})))


def new_key() -> Put:
    """Return the command that makes a key for the tokens of a cluster that has none."""
    return Put(TOKEN_KEY, secrets.token_hex(KEY_BYTES).encode(), prev_exist=False)


class PendingKey:
    """A token that waits for the key of all tokens."""

    __slots__ = ("_exchange", "_issue")

    def __init__(self, exchange: Exchange, issue: Callable[[], None]) -> None:
        self._exchange = exchange
        self._issue = issue

    def answer(self, _: Outcome) -> None:
        """Issue the token, if there is a key now."""
        if self._exchange.finished:
            return
        try:
            self._issue()
        except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
            self._exchange.fail(error)
