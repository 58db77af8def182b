"""The proxy of one worker: the table in force, its pools, and every request's plan.

A table is swapped between two requests. A request keeps what it began with: the pool of a
server that is gone takes no connection back, but lets the ones under way finish.
"""

import asyncio
from collections.abc import Iterator

from coordinator.client.view import Changes
from daemonkit.http.framing import BadMessage, RequestHead
from daemonkit.http.server import Exchange
from daemonkit.metrics import Sample
from vulcan import headers
from vulcan.answers import refuse
from vulcan.balance import RoundRobin
from vulcan.forward import Forward, Plan, Tally
from vulcan.model import Frontend
from vulcan.table import Table
from vulcan.upstream import Pool

SWEEP_S = 0.25


class Proxy:
    """Answers exchanges by asking servers."""

    def __init__(self, loop: asyncio.AbstractEventLoop, prefix: str, *, turn: int) -> None:
        self._loop = loop
        self._turn = turn
        self._table = Table(prefix)
        self._generation = object()  # what plans are made for; heads outlive them
        self._pools: dict[str, dict[str, Pool]] = {}  # by backend, address
        self._rotations: dict[str, tuple[Pool, ...]] = {}  # by backend
        self._lanes: dict[str, tuple[RoundRobin, Tally]] = {}  # by frontend
        self._unrouted = Tally()
        self._leaving: set[Pool] = set()  # retired, with requests still under way
        self._sweep()

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request."""
        plan = self._plan(exchange)
        if plan is not None:
            Forward(exchange, plan, self._rotation).begin()

    def advance(self, changes: Changes) -> None:
        """Put changes of keys in force."""
        before, after = self._table, self._table.advanced(changes)
        self._table = after
        if after.frontends is not before.frontends:
            self._generation = object()
            for name in self._lanes.keys() - after.frontends.keys():
                del self._lanes[name]
        for backend in {*self._pools, *after.servers} if changes.reset else self._touched(changes):
            self._repool(backend)

    def samples(self) -> Iterator[Sample]:
        """Return what was counted, by frontend and backend."""
        yield from _tally_samples("", self._unrouted)
        for frontend, (_, tally) in self._lanes.items():
            yield from _tally_samples(frontend, tally)
        for backend, pools in self._pools.items():
            yield from _pool_samples(backend, list(pools.values()))

    def close(self) -> None:
        """Close idle connections to servers."""
        for pools in self._pools.values():
            for pool in pools.values():
                pool.retire()

    def _plan(self, exchange: Exchange) -> Plan | None:
        """Return what to do with a request; None when it is answered here."""
        head = exchange.head
        memo = "plan-tls" if exchange.secure else "plan"
        plan = head.memo.get(memo)
        if isinstance(plan, Plan) and plan.generation is self._generation:
            return plan
        try:
            origin = headers.origin_of(head)
            frontend = self._table.find(origin.facts)
            if frontend is None:
                self._unrouted.answer(404)
                refuse(exchange, 404)
                return None
            plan = self._made_plan(head, origin, frontend, secure=exchange.secure)
        except BadMessage as bad:
            self._unrouted.answer(bad.status)
            refuse(exchange, bad.status, bad.reason)
            return None
        head.memo[memo] = plan
        return plan

    def _made_plan(
        self, head: RequestHead, origin: headers.Origin, frontend: Frontend, *, secure: bool
    ) -> Plan:
        lane = self._lanes.get(frontend.id)
        if lane is None:
            lane = self._lanes[frontend.id] = (RoundRobin(self._turn), Tally())
        return Plan(
            generation=self._generation,
            frontend=frontend,
            outgoing=headers.outgoing(head, origin, frontend, secure=secure),
            replayable=headers.replayable(head),
            has_body=head.chunked or head.length > 0,
            turn=lane[0],
            tally=lane[1],
        )

    def _touched(self, changes: Changes) -> set[str]:
        """The backends whose own key or servers changed."""
        below = self._table.prefix + "/"
        paths = (key.removeprefix(below).split("/") for key in changes.touched())
        return {path[1] for path in paths if path[0] == "backends" and len(path) > 1}

    def _rotation(self, backend: str) -> tuple[Pool, ...]:
        return self._rotations.get(backend, ())

    def _repool(self, backend_id: str) -> None:
        """Make a backend's pools what its keys say; a server that stays keeps its pool."""
        table = self._table
        backend = table.backend(backend_id)
        old = self._pools.pop(backend_id, {})
        self._rotations.pop(backend_id, None)
        new: dict[str, Pool] = {}
        if backend is not None:
            for server in table.rotation(backend_id):
                address = server.authority
                pool = old.pop(address, None) or Pool(self._loop, backend, server)
                pool.backend = backend
                new[address] = pool
        for pool in old.values():
            pool.retire()
            self._leaving.add(pool)
        if new:
            self._pools[backend_id] = new
            self._rotations[backend_id] = tuple(new.values())

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for pools in self._pools.values():
            for pool in pools.values():
                pool.sweep(now_s)
        for pool in tuple(self._leaving):
            pool.sweep(now_s)
            if not pool.busy:
                self._leaving.discard(pool)
        self._loop.call_later(SWEEP_S, self._sweep)


def _tally_samples(frontend: str, tally: Tally) -> Iterator[Sample]:
    labels = {"frontend": frontend}
    for status, count in tally.answers.items():
        code = {**labels, "code": str(status)}
        yield Sample("vulcand_requests_total", "counter", "Requests answered.", count, code)
    for name, text, count in (
        ("dials_failed", "Connections to servers that could not be made.", tally.dials_failed),
        ("retries", "Requests sent a second time.", tally.retries),
        ("answers_cut", "Answers that broke off in their body.", tally.cut),
        ("clients_gone", "Clients that left before their answer ended.", tally.gone),
    ):
        if count:
            yield Sample(f"vulcand_{name}_total", "counter", text, count, labels)


def _pool_samples(backend: str, pools: list[Pool]) -> Iterator[Sample]:
    labels = {"backend": backend}
    idle = sum(pool.idle for pool in pools)
    busy = sum(len(pool.connections) for pool in pools) - idle
    name, text = "vulcand_server_connections", "Connections to servers."
    yield Sample(name, "gauge", text, idle, {**labels, "state": "idle"})
    yield Sample(name, "gauge", text, busy, {**labels, "state": "busy"})
