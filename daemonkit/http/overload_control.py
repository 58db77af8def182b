"""What all clients of a server may hold together, and who has to give way at each limit.

One client must not take the place of the others. At a limit the client that has waited longest
without progress makes room: an idle connection, a body that began long ago, an answer that nobody
reads. An honest client is seldom that one, since it came later or makes progress.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Protocol

from daemonkit.core.http_limits import Limits
from daemonkit.observe import logs, process_counters

# At a limit this share of it is freed at once, so that the search for what to free stays rare.
FREED_SHARE = 0.05

_log = logs.get("http")


class Held(Protocol):
    """A connection, with what it holds of the server."""

    peer: tuple[str, int]
    unsent_bytes: int  # of its answers, when its client last stopped reading
    gathered_bytes: int  # of its request body, which is not complete

    def idle_since(self) -> float | None:
        """When it began to wait for a request; None if it has one in hand."""
        ...

    def stalled_since(self) -> float:
        """When its client last read a byte of an answer, or had nothing to read."""
        ...

    def body_since(self) -> float:
        """When its request body began."""
        ...

    def abort(self) -> None: ...

    def reset(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a new connection is refused."""

    status: int
    reason: str


class OverloadControl:
    """Counts what the connections of a server hold, and frees the most useless of it."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.connections: set[Held] = set()
        self.unsent_bytes = 0
        self.gathered_bytes = 0
        self._by_client: Counter[str] = Counter()

    def admit(self, connection: Held) -> Refusal | None:
        """Count a new connection, or return why there is no room for it."""
        limits, client = self._limits, self._client(connection)
        if client and self._by_client[client] >= limits.client_connections_max:
            own = [each for each in self.connections if self._client(each) == client]
            if not self._close_idle(own):
                return Refusal(429, "too many connections from this address")
        if len(self.connections) >= limits.connections_max and not self._close_idle(
            self.connections
        ):
            return Refusal(503, "too many connections")
        if client:
            self._by_client[client] += 1
        self.connections.add(connection)
        return None

    def leave(self, connection: Held) -> None:
        """Forget a connection that has ended."""
        self.hold_unsent(connection, 0)
        self.hold_body(connection, 0)
        if connection in self.connections and (client := self._client(connection)):
            self._by_client[client] -= 1
            if not self._by_client[client]:
                del self._by_client[client]
        self.connections.discard(connection)

    def hold_unsent(self, connection: Held, size_bytes: int) -> None:
        """Count the bytes of answers that a client does not read, and free some over the limit.

        The connection that is being written to is not freed: a large answer is in order if it is
        alone.
        """
        grows = size_bytes > connection.unsent_bytes
        self.unsent_bytes += size_bytes - connection.unsent_bytes
        connection.unsent_bytes = size_bytes
        if not grows:
            return
        limits, address = self._limits, connection.peer[0]
        if self.unsent_bytes > limits.client_unsent_bytes_max and address:
            own = [each for each in self.connections if each.peer[0] == address]
            excess = sum(each.unsent_bytes for each in own) - limits.client_unsent_bytes_max
            self._free_unsent(connection, own, excess, limits.client_unsent_bytes_max)
        excess = self.unsent_bytes - limits.unsent_bytes_max
        self._free_unsent(connection, self.connections, excess, limits.unsent_bytes_max)

    def hold_body(self, connection: Held, size_bytes: int) -> None:
        """Count the bytes of a body that is arriving, and free some over the limit."""
        self.gathered_bytes += size_bytes - connection.gathered_bytes
        connection.gathered_bytes = size_bytes
        if self.gathered_bytes <= self._limits.bodies_bytes_max:
            return
        arriving = [
            each for each in self.connections if each.gathered_bytes and each is not connection
        ]
        excess = self.gathered_bytes - self._limits.bodies_bytes_max
        self._free(
            sorted(arriving, key=lambda each: each.body_since()),
            lambda each: each.gathered_bytes,
            excess,
            "unfinished-body",
        )

    def _close_idle(self, among: Collection[Held]) -> bool:
        """Close those that have waited longest for a request; return whether there were any."""
        idle = [
            (since, id(each), each) for each in among if (since := each.idle_since()) is not None
        ]
        idle.sort()
        for _, _, each in idle[: max(1, int(len(among) * FREED_SHARE))]:
            process_counters.count_cut("idle")
            each.abort()
            self.leave(each)
        return bool(idle)

    def _free_unsent(
        self, writing: Held, among: Iterable[Held], excess: int, limit_bytes: int
    ) -> None:
        if excess <= 0:
            return
        stalled = [each for each in among if each.unsent_bytes and each is not writing]
        self._free(
            sorted(stalled, key=lambda each: each.stalled_since()),
            lambda each: each.unsent_bytes,
            excess + int(limit_bytes * FREED_SHARE),
            "unread-answer",
        )

    def _free(
        self, order: list[Held], size_of: Callable[[Held], int], excess: int, why: str
    ) -> None:
        """Cut connections in this order until the excess is gone."""
        cut = 0
        for each in order:
            if excess <= 0:
                break
            excess -= size_of(each)
            cut += 1
            process_counters.count_cut(why)
            self.leave(each)
            each.reset()
        if cut:
            _log.warning("connections-cut", why=why, count=cut)

    def _client(self, connection: Held) -> str:
        """Return the client that a connection counts for; "" if unlimited or on a Unix socket."""
        bounded = self._limits.client_connections_max and connection.peer[0]
        return client_of(connection.peer[0]) if bounded else ""


def client_of(address: str) -> str:
    """Return the client that connections count for: an address, or an IPv6 network of 64 bits."""
    address = address.partition("%")[0]
    if ":" not in address:
        return address
    if mapped := ipaddress.IPv6Address(address).ipv4_mapped:
        return str(mapped)
    return str(ipaddress.IPv6Network((address, 64), strict=False))
