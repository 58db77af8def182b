"""One backend in a worker: the pools of its servers, and which of them are asked now."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from vulcan.core.balancing import ejection
from vulcan.core.balancing.frontend_state import RetryBudget
from vulcan.core.config.backend import Backend
from vulcan.proxy.connection import Pool

# While shares of servers that have just come grow, the choice is made anew this often.
SLOW_START_STEP_S = 0.1
_FAR_S = float("inf")


@dataclass(slots=True)
class Group:
    """A backend's pools by address. `rotation` is remembered until a server's fitness changes."""

    backend: Backend
    pools: Mapping[str, Pool]
    budget: RetryBudget
    _rotation: tuple[Pool, ...] = ()
    _until_s: float = 0.0

    def rotation(self, now_s: float) -> tuple[Pool, ...]:
        """Return the servers to choose from."""
        if now_s < self._until_s:
            return self._rotation
        slow_s, growing = self.backend.slow_start_s, False
        for pool in self.pools.values():
            share = pool.fitness.share(now_s, slow_s)
            growing |= share < 1.0
            pool.weight = pool.server.weight * share
        self._rotation = ejection.in_rotation(tuple(self.pools.values()), now_s)
        ends = [p.fitness.aside_until_s for p in self.pools.values()]
        coming = [end for end in ends if end > now_s]
        if growing:
            coming.append(now_s + SLOW_START_STEP_S)
        self._until_s = min(coming, default=_FAR_S)
        return self._rotation

    def failed(self, pool: Pool, now_s: float) -> None:
        """Count a request that a server did not answer."""
        pool.fitness.failed(now_s, self.backend.passive)
        self._until_s = 0.0

    def changed(self) -> None:
        """Choose anew: a verdict or a key has changed."""
        self._until_s = 0.0

    def sticky(self, cookies: bytes, now_s: float) -> Pool | None:
        """Return the server that a client's cookie names, None when it is not to be asked."""
        sticky = self.backend.sticky
        assert sticky is not None
        wanted = _cookie(cookies, sticky.cookie.encode())
        if not wanted:
            return None
        return next((p for p in self.rotation(now_s) if token(p).encode() == wanted), None)

    def cookie(self, pool: Pool) -> bytes:
        """Return the line that keeps a client with a server."""
        sticky = self.backend.sticky
        assert sticky is not None
        return f"Set-Cookie: {sticky.cookie}={token(pool)}{sticky.attributes}\r\n".encode()


def token(pool: Pool) -> str:
    """Return what stands for a server in cookies; its address is nobody's business."""
    named = f"{pool.server.backend}\0{pool.server.address}".encode()
    return hashlib.sha256(named).hexdigest()[:16]


def _cookie(cookies: bytes, name: bytes) -> bytes:
    for pair in cookies.split(b";"):
        key, _, value = pair.strip().partition(b"=")
        if key == name:
            return value
    return b""
