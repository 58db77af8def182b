"""One server of a backend, as one worker knows it."""

import hashlib

from vulcan.core.balancing.ejection import ServerHealth
from vulcan.core.balancing.sliding_window import SlidingWindow
from vulcan.core.config.backend import Backend, Server


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
        # The name in cookies: the same in every worker and on every node, without a shared secret.
        name = f"{server.backend}\0{server.address}".encode()
        self.cookie_value = hashlib.sha256(name).hexdigest()[:16].encode()

    @property
    def configured_weight(self) -> float:
        """The weight in the server's key."""
        return float(self.server.weight)

    def is_healthy(self, now_s: float) -> bool:
        """Whether requests should go to the server."""
        return self.health.is_healthy(now_s)
