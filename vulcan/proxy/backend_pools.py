"""The connection pools of all backends, as the keys have them.

A server that is removed takes no new request, but those in flight finish.
"""

import asyncio
from collections.abc import Iterable, Iterator, Mapping

from coordinator.client.core.view import Changes
from vulcan.core.balancing.retry_budget import RetryBudget
from vulcan.core.balancing.server_group import ServerGroup
from vulcan.core.config.table import Table
from vulcan.core.control.metrics import BackendStatus
from vulcan.proxy.pool import ConnectionPool

SWEEP_S = 0.25


class BackendPools:
    """A pool for each server of each backend."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self.groups: dict[str, ServerGroup[ConnectionPool]] = {}  # by backend
        self._retired: set[ConnectionPool] = set()  # with requests still in flight
        self._failing: frozenset[tuple[str, str]] = frozenset()
        self._cookie_salt = b""
        self._sweep()

    def follow(self, table: Table, changes: Changes) -> None:
        """Follow the table that these changes led to."""
        if changes.reset:
            backends = {*self.groups, *table.servers}
        else:
            backends = changed_backends(table.prefix, changes)
        for backend in backends:
            self._update(table, backend)

    def set_failing(self, failing: Iterable[tuple[str, str]]) -> None:
        """Take the servers, by backend and address, whose health checks fail: all of them."""
        self._failing = frozenset(failing)
        for backend in self.groups:
            self._update_health(backend)

    def salt_cookies(self, salt: bytes) -> None:
        """Take the salt of the names of servers in sticky cookies."""
        self._cookie_salt = salt
        for group in self.groups.values():
            for pool in group.servers.values():
                pool.salt_cookie(salt)

    def windows(self, now_s: float) -> Iterator[tuple[str, Mapping[int, int]]]:
        """Return what each server did of late, where it did anything."""
        for backend, group in self.groups.items():
            for address, pool in group.servers.items():
                pool.window.expire(now_s)
                if counts := pool.window.counts():
                    yield f"{backend} {address}", counts

    def status(self, now_s: float) -> Iterator[BackendStatus]:
        """Return the connections and the health of every backend."""
        for backend, group in self.groups.items():
            pools = list(group.servers.values())
            idle = sum(pool.idle for pool in pools)
            busy = sum(len(pool.connections) for pool in pools) - idle
            healthy = {pool.server.id: pool.is_healthy(now_s) for pool in pools}
            yield BackendStatus(backend, idle, busy, healthy)

    def close(self) -> None:
        """Close the idle connections."""
        for group in self.groups.values():
            for pool in group.servers.values():
                pool.retire()

    def _update(self, table: Table, backend_id: str) -> None:
        """Make a backend's pools what its keys say; a server that stays keeps its pool."""
        backend = table.backend(backend_id)
        before = self.groups.pop(backend_id, None)
        old = dict(before.servers) if before else {}
        new: dict[str, ConnectionPool] = {}
        for server in table.distinct_servers(backend_id) if backend is not None else ():
            assert backend is not None
            pool = old.get(server.address)
            if pool is None or pool.backend.tls != backend.tls:
                pool = ConnectionPool(self._loop, backend, server)
                pool.salt_cookie(self._cookie_salt)
            else:
                del old[server.address]
            pool.backend, pool.server = backend, server
            new[server.address] = pool
        for pool in old.values():
            pool.retire()
            self._retired.add(pool)
        if new and backend is not None:
            budget = before.budget if before else RetryBudget()
            self.groups[backend_id] = ServerGroup(backend, new, budget)
            self._update_health(backend_id)

    def _update_health(self, backend_id: str) -> None:
        group, now_s = self.groups[backend_id], self._loop.time()
        for address, pool in group.servers.items():
            pool.health.set_down(now_s, down=(backend_id, address) in self._failing)
        group.changed()

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for group in self.groups.values():
            for pool in group.servers.values():
                pool.sweep(now_s)
        for pool in tuple(self._retired):
            pool.sweep(now_s)
            if not pool.busy:
                self._retired.discard(pool)
        self._loop.call_later(SWEEP_S, self._sweep)


def changed_backends(prefix: str, changes: Changes) -> set[str]:
    """Return the backends of which a key, or a server's key, has changed."""
    below = prefix + "/"
    paths = (key.removeprefix(below).split("/") for key in changes.touched())
    return {path[1] for path in paths if path[0] == "backends" and len(path) > 1}
