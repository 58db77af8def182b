"""Which server answers next."""

from collections.abc import Collection, Sequence
from typing import TypeVar

T = TypeVar("T")


class RoundRobin:
    """One frontend's turn among its backend's servers.

    Workers begin at different turns, so that together they do not favour the first server.
    """

    __slots__ = ("_turn",)

    def __init__(self, turn: int) -> None:
        self._turn = turn

    def pick(self, servers: Sequence[T]) -> T:
        """Return the next of at least one server."""
        turn = self._turn
        self._turn = turn + 1
        return servers[turn % len(servers)]

    def pick_other(self, servers: Sequence[T], tried: Collection[T]) -> T | None:
        """Return the next server that was not tried yet, None when all were."""
        for _ in servers:
            if (server := self.pick(servers)) not in tried:
                return server
        return None
