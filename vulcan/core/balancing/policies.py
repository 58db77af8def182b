"""Which server gets the next request: round robin, two choices, or least connections.

Pure: randomness arrives as an argument. A server says what it weighs now (slow start and health
have changed its weight already) and how many requests it has in flight.
"""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol, TypeVar

BALANCES = ("rr", "p2c", "leastconn")


class Candidate(Protocol):
    """A server to choose."""

    @property
    def weight(self) -> float:
        """Its share, relative to the others'."""
        ...

    @property
    def in_flight(self) -> int:
        """Requests that it has not answered yet."""
        ...


C = TypeVar("C", bound=Candidate)


class LoadBalancer:
    """Chooses among the servers of one frontend's backend.

    Workers begin at different servers, so that together they do not favour the first one.
    """

    __slots__ = ("_credits", "_draw", "_next")

    def __init__(self, first: int, draw: Callable[[], float]) -> None:
        self._next = first  # counts the choices; modulo the servers it is the next one
        self._draw = draw  # uniform in [0, 1)
        self._credits: dict[object, float] = {}

    def pick(self, servers: Sequence[C], policy: str = "rr") -> C:
        """Return the next of at least one server."""
        if len(servers) == 1:
            return servers[0]
        if policy == "p2c":
            return self._two_choices(servers)
        if policy == "leastconn":
            return self._least_connections(servers)
        if all(server.weight == 1.0 for server in servers):
            number = self._next
            self._next = number + 1
            return servers[number % len(servers)]
        return self._weighted_round_robin(servers)

    def pick_other(self, servers: Sequence[C], tried: Collection[C], policy: str) -> C | None:
        """Return the next server that was not tried yet, None when all were."""
        left = [server for server in servers if server not in tried]
        return self.pick(left, policy) if left else None

    def _weighted_round_robin(self, servers: Sequence[C]) -> C:
        """Give each server its weight as credit; the richest is picked and pays for all (nginx)."""
        before, total = self._credits, 0.0
        earned: dict[object, float] = {}
        best = servers[0]
        for server in servers:
            weight = server.weight
            total += weight
            earned[server] = before.get(server, 0.0) + weight
            if earned[server] > earned[best]:
                best = server
        earned[best] -= total
        self._credits = earned
        return best

    def _two_choices(self, servers: Sequence[C]) -> C:
        first = int(self._draw() * len(servers))
        second = int(self._draw() * (len(servers) - 1))
        second += second >= first
        return min(servers[first], servers[second], key=_load)

    def _least_connections(self, servers: Sequence[C]) -> C:
        first = self._next % len(servers)
        self._next += 1
        return min((*servers[first:], *servers[:first]), key=_load)


def _load(server: Candidate) -> float:
    return (server.in_flight + 1) / server.weight if server.weight > 0 else float("inf")
