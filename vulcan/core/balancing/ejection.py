"""Whether a server is healthy: active checks, ejection after failures, slow start, panic.

Time is passed in as seconds, never read.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

# With fewer healthy servers than this part of a large fleet, the checks are more likely wrong than
# the servers, and the rest could not carry the load. Then all get requests, as in Envoy's panic
# mode. In a small fleet, two hosts that are off are such a part: there, none must be healthy.
PANIC_SHARE = 0.5
PANIC_SERVERS_MIN = 10
# A new server gets at least this share of its weight.
SLOW_START_SHARE_MIN = 0.1


@dataclass(frozen=True, slots=True)
class EjectionPolicy:
    """How many failed requests in a row eject a server, and for how long."""

    failures: int = 1
    penalty_s: float = 10.0


class ServerHealth:
    """What one worker knows of one server's health."""

    __slots__ = ("_ejected_until_s", "_failures", "_started_s", "down")

    def __init__(self, started_s: float) -> None:
        self.down = False  # by active checks
        self._started_s = started_s
        self._failures = 0
        self._ejected_until_s = 0.0

    def failed(self, now_s: float, policy: EjectionPolicy | None) -> None:
        """Count a request that the server did not answer."""
        self._failures += 1
        if policy is not None and self._failures >= policy.failures:
            self._failures = 0
            self._ejected_until_s = now_s + policy.penalty_s

    def answered(self) -> None:
        """Forget failures and ejection: the server has answered."""
        self._failures = 0
        self._ejected_until_s = 0.0

    def set_down(self, now_s: float, *, down: bool) -> None:
        """Take the result of active checks. A server that comes back starts slowly."""
        if self.down and not down:
            self._started_s = now_s
            self._ejected_until_s = 0.0
        self.down = down

    def is_healthy(self, now_s: float) -> bool:
        """Whether requests should go to the server."""
        return not self.down and now_s >= self._ejected_until_s

    @property
    def ejected_until_s(self) -> float:
        """When the ejection ends; in the past when the server is not ejected."""
        return self._ejected_until_s

    def share(self, now_s: float, slow_start_s: float) -> float:
        """Return which part of its weight the server carries now."""
        if slow_start_s <= 0:
            return 1.0
        age = (now_s - self._started_s) / slow_start_s
        return 1.0 if age >= 1.0 else max(SLOW_START_SHARE_MIN, age)


class WeightedServer(Protocol):
    """A server with its configured weight."""

    @property
    def configured_weight(self) -> float: ...

    def is_healthy(self, now_s: float) -> bool:
        """Whether requests should go to the server."""
        ...


S = TypeVar("S", bound=WeightedServer)


def in_rotation(servers: Sequence[S], now_s: float) -> tuple[S, ...]:
    """Return the servers to choose from: the healthy ones, or all when too few are healthy.

    Weight 0 drains a server: it gets no request while another server has a weight.
    """
    weighted = tuple(server for server in servers if server.configured_weight > 0)
    if not weighted:
        return ()
    healthy = tuple(server for server in weighted if server.is_healthy(now_s))
    enough = len(weighted) * PANIC_SHARE if len(weighted) >= PANIC_SERVERS_MIN else 1
    return healthy if healthy and len(healthy) >= enough else weighted


class CheckHistory:
    """Rise and fall: so many equal checks in a row change whether a server counts as down."""

    __slots__ = ("_fall", "_rise", "_streak", "down")

    def __init__(self, rise: int, fall: int) -> None:
        self._rise = rise
        self._fall = fall
        self._streak = 0
        self.down = False

    def record(self, *, ok: bool) -> bool:
        """Count one check; return whether `down` has changed."""
        if ok is not self.down:
            self._streak = 0
            return False
        self._streak += 1
        if self._streak < (self._rise if self.down else self._fall):
            return False
        self.down = not self.down
        self._streak = 0
        return True
