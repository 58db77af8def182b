"""The proxy of one worker: the table in force, its pools, and every request's plan.

A table is swapped between two requests. A request keeps what it began with: the pool of a
server that is gone takes no connection back, but lets the ones under way finish.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping

from coordinator.client.core.view import Changes
from daemonkit.core.framing import BadMessage, RequestHead
from daemonkit.core.samples import Sample
from daemonkit.http.server import Exchange
from vulcan.core.balancing.frontend_state import Lane, Plan, RetryBudget, Tally
from vulcan.core.balancing.policies import Balance
from vulcan.core.balancing.server_group import Group
from vulcan.core.config.table import Table
from vulcan.core.control import metrics
from vulcan.core.http import request_head
from vulcan.core.middleware.chain import EMPTY
from vulcan.core.routing.request_view import RequestView
from vulcan.core.routing.route import Route
from vulcan.proxy.accesslog import AccessLog
from vulcan.proxy.connection import Pool
from vulcan.proxy.error_responses import refuse
from vulcan.proxy.forward import Forward
from vulcan.proxy.sinks import Outlets

SWEEP_S = 0.25


class Proxy:
    """Answers exchanges by asking servers."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, table: Table, *, turn: int, log: AccessLog | None
    ) -> None:
        self._loop = loop
        self.now = loop.time
        self._turn = turn
        self._table = table
        self._log = log
        self._outlets = Outlets(loop)
        self._generation = object()  # what plans are made for; heads outlive them
        self._needs_peer = False
        self._groups: dict[str, Group] = {}  # by backend
        self._lanes: dict[str, Lane] = {}  # by frontend
        self._unrouted = Tally()
        self._others = Tally()  # of the frontends that have no series of their own
        self._leaving: set[Pool] = set()  # retired, with requests still under way
        self._down: frozenset[tuple[str, str]] = frozenset()
        self._trace_seed = random.getrandbits(64)
        self._trace_start = b"%016x" % random.getrandbits(64)
        self._traced = 0
        self._sweep()

    @property
    def table(self) -> Table:
        """The table in force."""
        return self._table

    def serve(self, exchange: Exchange, scope: Route | None) -> None:
        """Answer one request that came to a listener of this scope."""
        plan = self._plan(exchange, scope)
        if plan is not None:
            Forward(exchange, plan, self).begin()

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request of a listener without a scope."""
        self.serve(exchange, None)

    def advance(self, changes: Changes) -> None:
        """Put changes of keys in force."""
        before, after = self._table, self._table.advanced(changes)
        self._table = after
        if after.frontends is not before.frontends or after.middlewares is not before.middlewares:
            self._relane(before)
        for backend in {*self._groups, *after.servers} if changes.reset else self._touched(changes):
            self._repool(backend)

    def judge(self, down: Iterable[tuple[str, str]]) -> None:
        """Take the verdicts of active checks: the servers, by backend and address, that fail."""
        self._down = frozenset(down)
        for name in self._groups:
            self._apply_verdicts(name)

    # for requests under way

    def group(self, backend: str) -> Group | None:
        """Return the servers of a backend, None without one."""
        return self._groups.get(backend)

    def trace(self, given: bytes) -> bytes:
        """Return the traceparent of a request upstream: in its client's trace, or a new one."""
        self._traced += 1
        span = (self._trace_seed + self._traced) & 0xFFFFFFFFFFFFFFFF or 1
        if given:
            return b"00-%b-%016x-%b" % (given[:32], span, given[33:])
        digits = b"%016x" % span
        return b"00-%b%b-%b-00" % (self._trace_start, digits, digits)

    def ended(self, forward: Forward, status: int, ended: str) -> None:
        """Take note of a request that is over."""
        now_s = self.now()
        latency_s = now_s - forward.began_s
        lane = forward.plan.lane
        lane.tally.took(lane.window.record(now_s, status, latency_s), latency_s)
        run = forward.middleware_run
        if run is not None:
            run.finish(now_s, status, latency_s)
            for webhook in run.webhooks:
                self._outlets.call(webhook)
            for trace in run.traces:
                self._outlets.record(trace, forward, status, latency_s)
        if self._log is not None:
            self._log.write(forward, status, ended, latency_s)

    # for the worker

    def windows(self) -> Iterator[tuple[str, str, Mapping[int, int]]]:
        """Return what happened of late where anything did: kind, name, a window's counts."""
        now_s = self.now()
        for name, lane in self._lanes.items():
            lane.window.forget(now_s)
            if counts := lane.window.counts():
                yield "frontend", name, counts
        for backend, group in self._groups.items():
            for address, pool in group.pools.items():
                pool.window.forget(now_s)
                if counts := pool.window.counts():
                    yield "server", f"{backend} {address}", counts

    def samples(self) -> Iterator[Sample]:
        """Return what was counted, by frontend and backend."""
        yield from metrics.of_tally("", self._unrouted)
        yield from metrics.of_tally(metrics.OTHERS, self._others)
        for frontend, lane in self._lanes.items():
            if lane.tally is not self._others:
                yield from metrics.of_tally(frontend, lane.tally)
        yield from metrics.of_pools(self._groups, self.now())
        if self._log is not None:
            text = "Lines of the access log that could not be written."
            yield Sample("vulcand_log_lines_dropped_total", "counter", text, self._log.dropped)

    def close(self) -> None:
        """Close idle connections to servers."""
        for group in self._groups.values():
            for pool in group.pools.values():
                pool.retire()
        self._outlets.close()
        if self._log is not None:
            self._log.close()

    def reopen(self) -> None:
        """Write the access log to a new file."""
        if self._log is not None:
            self._log.reopen()

    def _plan(self, exchange: Exchange, scope: Route | None) -> Plan | None:
        """Return what to do with a request; None when it is answered here."""
        head = exchange.head
        # A head means the same on every listener of one protocol, unless a scope has its say.
        remember = scope is None and not self._needs_peer
        memo = "plan-tls" if exchange.secure else "plan"
        plan = head.memo.get(memo) if remember else None
        if isinstance(plan, Plan) and plan.generation is self._generation:
            return plan
        try:
            plan = self._found_plan(exchange, scope)
        except BadMessage as bad:
            self._unrouted.answer(bad.status)
            exchange.be_last()  # who sends what is in doubt has no second request
            refuse(exchange, bad.status, bad.reason)
            return None
        except request_head.EndsHere as end:
            self._unrouted.answer(end.status)
            refuse(exchange, end.status, str(end))
            return None
        if plan is None:
            self._unrouted.answer(404)
            refuse(exchange, 404)
        elif remember:
            head.memo[memo] = plan
        return plan

    def _found_plan(self, exchange: Exchange, scope: Route | None) -> Plan | None:
        head, secure = exchange.head, exchange.secure
        origin = request_head.origin_of(head)
        view = origin.view
        if self._needs_peer or scope is not None:
            view = view.with_peer(request_head.address_of(exchange.peer[0]))
        if scope is not None and not scope.holds(view):
            return None
        return self._made_plan(head, origin, view, secure=secure)

    def _made_plan(
        self, head: RequestHead, origin: request_head.Origin, view: RequestView, *, secure: bool
    ) -> Plan | None:
        frontend = self._table.find(view)
        if frontend is None:
            return None
        lane = self._lanes[frontend.id]
        edits = lane.chain.edits if lane.chain else None
        return Plan(
            generation=self._generation,
            index=self._table.index,
            lane=lane,
            frontend=frontend,
            origin=origin,
            outgoing=request_head.outgoing(head, origin, frontend, secure=secure, edits=edits),
            idempotent=request_head.idempotent(head),
            has_body=head.chunked or head.length > 0,
            secure=secure,
        )

    def _relane(self, before: Table) -> None:
        """Give every frontend its lane; what its middlewares remember stays with them."""
        table = self._table
        self._generation = object()
        self._needs_peer = table.needs_peer()
        for name in self._lanes.keys() - table.frontends.keys():
            del self._lanes[name]
        named = sum(lane.tally is not self._others for lane in self._lanes.values())
        for name, frontend in table.frontends.items():
            lane = self._lanes.get(name)
            if lane is None:
                lane = Lane(frontend, Balance(self._turn, random.random))
                self._lanes[name] = lane
                named += 1
                if named > metrics.FRONTENDS_MAX:
                    lane.tally = self._others
                lane.chain = EMPTY.after(table.chain(name))
            elif table.middlewares.get(name) is not before.middlewares.get(name):
                lane.chain = (lane.chain or EMPTY).after(table.chain(name))
            lane.frontend = frontend

    def _touched(self, changes: Changes) -> set[str]:
        """The backends whose own key or servers changed."""
        below = self._table.prefix + "/"
        paths = (key.removeprefix(below).split("/") for key in changes.touched())
        return {path[1] for path in paths if path[0] == "backends" and len(path) > 1}

    def _repool(self, backend_id: str) -> None:
        """Make a backend's pools what its keys say; a server that stays keeps its pool."""
        table = self._table
        backend = table.backend(backend_id)
        before = self._groups.pop(backend_id, None)
        old = dict(before.pools) if before else {}
        new: dict[str, Pool] = {}
        for server in table.distinct_servers(backend_id) if backend is not None else ():
            assert backend is not None
            pool = old.get(server.address)
            if pool is None or pool.backend.tls != backend.tls:
                pool = Pool(self._loop, backend, server)
            else:
                del old[server.address]
            pool.backend, pool.server = backend, server
            new[server.address] = pool
        for pool in old.values():
            pool.retire()
            self._leaving.add(pool)
        if new and backend is not None:
            budget = before.budget if before else RetryBudget()
            self._groups[backend_id] = Group(backend, new, budget)
            self._apply_verdicts(backend_id)

    def _apply_verdicts(self, backend_id: str) -> None:
        group, now_s = self._groups[backend_id], self.now()
        for address, pool in group.pools.items():
            pool.fitness.set_down(now_s, down=(backend_id, address) in self._down)
        group.changed()

    def _sweep(self) -> None:
        now_s = self._loop.time()
        for group in self._groups.values():
            for pool in group.pools.values():
                pool.sweep(now_s)
        for pool in tuple(self._leaving):
            pool.sweep(now_s)
            if not pool.busy:
                self._leaving.discard(pool)
        self._loop.call_later(SWEEP_S, self._sweep)
