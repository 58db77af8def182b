"""Who makes a request: a bearer token, a password, a certificate, root on this host, or a guest."""

from collections.abc import Callable
from functools import partial

from coordinator.core.auth import principal, session_tokens
from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.documents import GUEST
from coordinator.core.auth.principal import ANYBODY, LOCAL_ROOT, Principal
from coordinator.core.auth.session_tokens import BadToken
from coordinator.server.access.password_verifier import Login, PasswordVerifier, Verdict
from daemonkit.core import passwords
from daemonkit.core.tls.certificate import Certificate
from daemonkit.http.server import Exchange

BEARER = b"bearer "
UNAUTHORIZED, TOO_MANY_REQUESTS, BUSY = 401, 429, 503


class Unauthenticated(Exception):  # noqa: N818 - it says what the caller is
    """The credentials of a request show nobody; the message continues a sentence about them.

    `user` is who the caller says to be. With `retry_s` another try is useful after that time.
    """

    def __init__(
        self, why: str, user: str = "", *, status: int = UNAUTHORIZED, retry_s: float = 0.0
    ) -> None:
        super().__init__(why)
        self.user = user
        self.status = status
        self.retry_s = retry_s


class PasswordUnverified(Exception):  # noqa: N818 - a fact
    """The password of a request has to be checked first: see `Authenticator.verify`."""

    def __init__(self, login: Login) -> None:
        super().__init__(login.user)
        self.login = login


class Authenticator:
    """Finds out who makes a request. `state` returns the users of this moment.

    `now_ns` is the time of the cluster.
    """

    def __init__(
        self, state: Callable[[], AuthState], verifier: PasswordVerifier, now_ns: Callable[[], int]
    ) -> None:
        self._state = state
        self._verifier = verifier
        self._now_ns = now_ns

    def principal(self, exchange: Exchange) -> Principal:
        """Return who makes a request.

        Raises Unauthenticated for credentials that are wrong, and PasswordUnverified.
        """
        authorization = exchange.head.fields.get(b"authorization")
        if authorization:
            if authorization[: len(BEARER)].lower() == BEARER:
                return self._bearer(authorization[len(BEARER) :])
            return self._password(authorization, exchange.peer[0])
        if exchange.peer_uid == 0:
            return LOCAL_ROOT
        if exchange.certificate is not None:
            return self._certified(exchange.certificate)
        return ANYBODY

    def verify(
        self,
        exchange: Exchange,
        unverified: PasswordUnverified,
        resume: Callable[[], None],
        refuse: Callable[[Unauthenticated], None],
    ) -> None:
        """Check a password on a thread. Then `resume` takes the request up again, or `refuse`.

        Neither is called if the client has left.
        """
        login = unverified.login

        def decided(verdict: Verdict, retry_s: float) -> None:
            if exchange.finished:
                return
            try:
                if verdict is Verdict.RIGHT:
                    resume()
                else:
                    refuse(_refusal(verdict, login.user, retry_s))
            except Exception as error:  # noqa: BLE001 - the boundary of one client's requests
                exchange.fail(error)

        self._verifier.verify(login, decided)

    def _password(self, authorization: bytes, address: str) -> Principal:
        if (found := passwords.basic_credentials(authorization)) is None:
            raise Unauthenticated("the Authorization field has no name and password, and no token")
        name, password = found[0].decode(errors="replace"), found[1]
        user = self._state().user(name)
        secret = user.password if user is not None else ""
        if user is None or not self._verifier.is_verified(name, password, secret):
            raise PasswordUnverified(Login(address, name, password, secret))
        return principal.of_user(user, "password")

    def _certified(self, certificate: Certificate) -> Principal:
        """Return the user that a verified certificate is for.

        Without a record it has the rights of a guest, and still a name for the audit log.
        """
        identity, name = certificate.identity, ""
        if identity is not None:
            name = identity.user
        elif not certificate.claims_identity:
            name = certificate.common_name
        user = self._state().user(name)
        if user is None:
            return Principal(name, frozenset((GUEST,)), "cert") if name else ANYBODY
        if certificate.not_before_s <= user.not_before:
            raise Unauthenticated(f"the certificate of {name} has been revoked", name)
        return principal.of_user(user, "cert")

    def _bearer(self, text: bytes) -> Principal:
        state = self._state()
        try:
            token = session_tokens.opened(
                text.strip().decode("latin-1"), state.token_key, self._now_ns()
            )
        except BadToken as error:
            raise Unauthenticated(f"the bearer token {error}") from None
        user = state.user(token.user)
        if user is None:
            raise Unauthenticated(f"user {token.user} of the token was removed", token.user)
        if session_tokens.fingerprint(user.password, user.not_before) != token.fingerprint:
            why = f"the token of user {token.user} has ended: ask for another one"
            raise Unauthenticated(why, token.user)
        return principal.of_user(
            user, "token", write_prefixes=token.prefixes, expires_ns=token.expires_ns
        )


def _refusal(verdict: Verdict, user: str, retry_s: float) -> Unauthenticated:
    make = partial(Unauthenticated, user=user, retry_s=retry_s)
    match verdict:
        case Verdict.TOO_MANY:
            why = f"too many passwords were tried: try again in {retry_s:.0f} s"
            return make(why, status=TOO_MANY_REQUESTS)
        case Verdict.BUSY:
            return make("too many passwords are being checked: try again", status=BUSY)
        case _:
            return make("no user has this name and this password")
