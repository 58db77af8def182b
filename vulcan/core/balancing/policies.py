"""Which server answers next: smooth weighted round robin, two choices, least connections.

Pure: what is random arrives as an argument. A candidate says what it weighs now (slow start
and health have had their say) and how many requests it has under way.
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
    def under_way(self) -> int:
        """Requests that it has not answered yet."""
        ...


C = TypeVar("C", bound=Candidate)


class Balance:
    """One frontend's turn among its backend's servers.

    Workers begin at different turns, so that together they do not favour the first server.
    """

    __slots__ = ("_credits", "_draw", "_turn")

    def __init__(self, turn: int, draw: Callable[[], float]) -> None:
        self._turn = turn
        self._draw = draw  # uniform in [0, 1)
        self._credits: dict[object, float] = {}

    def pick(self, servers: Sequence[C], policy: str = "rr") -> C:
        """Return the next of at least one server."""
        if len(servers) == 1:
            return servers[0]
        if policy == "p2c":
            return self._two_choices(servers)
        if policy == "leastconn":
            return self._least(servers)
        if all(server.weight == 1.0 for server in servers):
            turn = self._turn
            self._turn = turn + 1
            return servers[turn % len(servers)]
        return self._smooth(servers)

    def pick_other(self, servers: Sequence[C], tried: Collection[C], policy: str) -> C | None:
        """Return the next server that was not tried yet, None when all were."""
        left = [server for server in servers if server not in tried]
        return self.pick(left, policy) if left else None

    def _smooth(self, servers: Sequence[C]) -> C:
        """Every server earns its weight, the richest is picked and pays for all (nginx)."""
        before, total = self._credits, 0.0
        wealth: dict[object, float] = {}
        best = servers[0]
        for server in servers:
            weight = server.weight
            total += weight
            wealth[server] = before.get(server, 0.0) + weight
            if wealth[server] > wealth[best]:
                best = server
        wealth[best] -= total
        self._credits = wealth
        return best

    def _two_choices(self, servers: Sequence[C]) -> C:
        first = int(self._draw() * len(servers))
        second = int(self._draw() * (len(servers) - 1))
        second += second >= first
        return min(servers[first], servers[second], key=_load)

    def _least(self, servers: Sequence[C]) -> C:
        turn = self._turn % len(servers)
        self._turn += 1
        return min((*servers[turn:], *servers[:turn]), key=_load)


def _load(server: Candidate) -> float:
    return (server.under_way + 1) / server.weight if server.weight > 0 else float("inf")
