"""Which of several servers to ask first: turns, and rest for those that do not answer."""

from collections.abc import Sequence

from skydns.core.config import Address

FAILURES_MAX = 2
REST_S_MIN, REST_S_MAX = 1.0, 30.0
# The operator and the stub zones name a handful; one that is gone is forgotten with the rest.
SERVERS_MAX = 1000


class Health:
    """What is known of each server: failures in a row, and until when it rests."""

    def __init__(self) -> None:
        self._failures: dict[Address, int] = {}
        self._rests_until_s: dict[Address, float] = {}

    def order(self, servers: Sequence[Address], turn: int, now_s: float) -> list[Address]:
        """Return all servers from the `turn`th on, those that rest last: when nobody seems
        well, anybody may be."""
        first = turn % len(servers) if servers else 0
        turned = [*servers[first:], *servers[:first]]
        return sorted(turned, key=lambda server: self.rests(server, now_s))

    def rests(self, server: Address, now_s: float) -> bool:
        """Say whether a server has failed too often lately."""
        return self._rests_until_s.get(server, 0.0) > now_s

    def answered(self, server: Address) -> None:
        """Take a server for well."""
        self._failures.pop(server, None)
        self._rests_until_s.pop(server, None)

    def failed(self, server: Address, now_s: float) -> None:
        """Count a failure; after FAILURES_MAX in a row each lets it rest twice as long."""
        if len(self._failures) >= SERVERS_MAX:
            self._failures.clear()
            self._rests_until_s.clear()
        failures = self._failures[server] = self._failures.get(server, 0) + 1
        if failures >= FAILURES_MAX:
            doublings = min(failures - FAILURES_MAX, 10)
            self._rests_until_s[server] = now_s + min(REST_S_MIN * 2**doublings, REST_S_MAX)
