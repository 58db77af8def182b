"""The servers of one backend, and which of them get requests now."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, TypeVar

from vulcan.core.balancing.ejection import in_rotation
from vulcan.core.balancing.retry_budget import RetryBudget
from vulcan.core.balancing.server_state import ServerState
from vulcan.core.config.backend import Backend

# While slow start raises the weights of new servers, the rotation is computed this often.
SLOW_START_STEP_S = 0.1
_NEVER_S = float("inf")

S = TypeVar("S", bound=ServerState)


@dataclass(slots=True)
class ServerGroup(Generic[S]):
    """A backend's servers by address. The rotation is cached until a server's health changes."""

    backend: Backend
    servers: Mapping[str, S]
    budget: RetryBudget
    _rotation: tuple[S, ...] = ()
    _valid_until_s: float = 0.0

    def rotation(self, now_s: float) -> tuple[S, ...]:
        """Return the servers to choose from."""
        if now_s < self._valid_until_s:
            return self._rotation
        slow_start_s, growing = self.backend.slow_start_s, False
        for server in self.servers.values():
            share = server.health.share(now_s, slow_start_s)
            growing |= share < 1.0
            server.weight = server.server.weight * share
        self._rotation = in_rotation(tuple(self.servers.values()), now_s)
        ends = [server.health.ejected_until_s for server in self.servers.values()]
        changes = [end for end in ends if end > now_s]
        if growing:
            changes.append(now_s + SLOW_START_STEP_S)
        self._valid_until_s = min(changes, default=_NEVER_S)
        return self._rotation

    def failed(self, server: S, now_s: float) -> None:
        """Count a request that a server did not answer."""
        server.health.failed(now_s, self.backend.passive)
        self._valid_until_s = 0.0

    def changed(self) -> None:
        """Compute the rotation again: a health check or a key has changed."""
        self._valid_until_s = 0.0

    def sticky_server(self, cookies: bytes, now_s: float) -> S | None:
        """Return the server that a client's cookie names, None when it is not in rotation."""
        sticky = self.backend.sticky
        assert sticky is not None
        wanted = _cookie_value(cookies, sticky.cookie.encode())
        if not wanted:
            return None
        rotation = self.rotation(now_s)
        return next((server for server in rotation if server.cookie_value == wanted), None)

    def cookie_line(self, server: S) -> bytes:
        """Return the line that makes a client stay with a server."""
        sticky = self.backend.sticky
        assert sticky is not None
        cookie, attributes = sticky.cookie.encode(), sticky.attributes.encode()
        return b"Set-Cookie: %b=%b%b\r\n" % (cookie, server.cookie_value, attributes)


def _cookie_value(cookies: bytes, name: bytes) -> bytes:
    for pair in cookies.split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return value
    return b""
