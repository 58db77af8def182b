"""Who makes a request."""

from collections.abc import Callable

from coordinator.core.auth.auth_state import AuthState
from coordinator.core.auth.principal import ANYBODY, Principal
from daemonkit.http.server import Exchange


class Unauthenticated(Exception):  # noqa: N818 - it says what the caller is
    """The credentials of a request show nobody; the message continues a sentence about them."""


class Authenticator:
    """Finds out who makes a request. `state` returns the users of this moment."""

    def __init__(self, state: Callable[[], AuthState]) -> None:
        self._state = state

    def principal(self, exchange: Exchange) -> Principal:
        """Return who makes a request. Raises Unauthenticated for credentials that are wrong."""
        if b"authorization" in exchange.head.fields:
            raise Unauthenticated("this member takes no passwords")
        return ANYBODY
