"""The order in which servers are asked: in rotation, with those that do not answer at the end."""

from collections.abc import Sequence

from skydns.core.config import ServerAddress

FAILURES_MAX = 2
BACKOFF_S_MIN, BACKOFF_S_MAX = 1.0, 30.0
# The flags and stub zones name a few servers. With more than this, all failures are forgotten.
SERVERS_MAX = 1000


class UpstreamHealth:
    """The failures in a row of each server, and until when it is asked last."""

    def __init__(self) -> None:
        self._failures: dict[ServerAddress, int] = {}
        self._backoff_until_s: dict[ServerAddress, float] = {}

    def order(
        self, servers: Sequence[ServerAddress], rotation: int, now_s: float
    ) -> list[ServerAddress]:
        """Return all servers, those in backoff last. When none seems healthy, any may be."""
        first = rotation % len(servers) if servers else 0
        rotated = [*servers[first:], *servers[:first]]
        return sorted(rotated, key=lambda server: self.in_backoff(server, now_s))

    def in_backoff(self, server: ServerAddress, now_s: float) -> bool:
        """Return whether a server has failed too often lately."""
        return self._backoff_until_s.get(server, 0.0) > now_s

    def answered(self, server: ServerAddress) -> None:
        """Note that a server answered: it is healthy."""
        self._failures.pop(server, None)
        self._backoff_until_s.pop(server, None)

    def failed(self, server: ServerAddress, now_s: float) -> None:
        """Count a failure. From FAILURES_MAX in a row on, each doubles the backoff."""
        if len(self._failures) >= SERVERS_MAX:
            self._failures.clear()
            self._backoff_until_s.clear()
        failures = self._failures[server] = self._failures.get(server, 0) + 1
        if failures >= FAILURES_MAX:
            doublings = min(failures - FAILURES_MAX, 10)
            self._backoff_until_s[server] = now_s + min(BACKOFF_S_MIN * 2**doublings, BACKOFF_S_MAX)
