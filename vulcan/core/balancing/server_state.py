"""One server of a backend, as one worker knows it."""

import hashlib
import hmac

from vulcan.core.balancing.ejection import ServerHealth
from vulcan.core.balancing.sliding_window import SlidingWindow
from vulcan.core.config.backend import Backend, Server

# Enough for the servers of a backend to have different names.
COOKIE_BYTES = 8


class ServerState:
    """What a worker knows of a server: its keys, its health, and its load."""

    def __init__(self, backend: Backend, server: Server, now_s: float) -> None:
        self.backend = backend
        self.server = server
        self.health = ServerHealth(now_s)
        self.weight = float(server.weight)  # as slow start has it now
        self.in_flight = 0
        self.window = SlidingWindow()
        self.host_line = f"Host: {server.authority}\r\n".encode()
        self.salt_cookie(b"")

    def salt_cookie(self, salt: bytes) -> None:
        """Make the server's name in cookies; with a salt, it tells nobody the address."""
        name = f"{self.server.backend}\0{self.server.address}".encode()
        digest = hmac.digest(salt, name, "sha256") if salt else hashlib.sha256(name).digest()
        self.cookie_value = digest[:COOKIE_BYTES].hex().encode()

    @property
    def configured_weight(self) -> float:
        """The weight in the server's key."""
        return float(self.server.weight)

    def is_healthy(self, now_s: float) -> bool:
        """Whether requests should go to the server."""
        return self.health.is_healthy(now_s)
