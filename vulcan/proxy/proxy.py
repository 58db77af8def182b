"""The proxy of one worker: the table in force, its connection pools, and its requests.

The table is swapped between two requests. A request keeps what it began with.
"""

import asyncio
import random
from collections.abc import Iterable, Iterator, Mapping

from coordinator.client.core.view import Changes
from daemonkit.core.framing import BadMessage
from daemonkit.core.samples import Sample
from daemonkit.http.server import Exchange
from vulcan.core.balancing.frontend_state import FrontendStates
from vulcan.core.balancing.request_planner import RequestPlan, RequestPlanner
from vulcan.core.config.table import Table
from vulcan.core.control import metrics
from vulcan.core.http.request_body import ReplayMemory
from vulcan.core.http.request_head import HopsExhausted, client_address
from vulcan.core.http.traceparent import TraceparentSource
from vulcan.core.routing.route import Route
from vulcan.proxy.accesslog import AccessLog
from vulcan.proxy.backend_pools import BackendPools
from vulcan.proxy.error_responses import send_error
from vulcan.proxy.forward import ForwardContext, ForwardedRequest
from vulcan.proxy.password_checks import PasswordChecks
from vulcan.proxy.sinks import Sinks


class Proxy:
    """Answers requests by asking servers."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        table: Table,
        *,
        first_pick: int,
        access_log: AccessLog | None,
    ) -> None:
        self._now = loop.time
        self._access_log = access_log
        self._sinks = Sinks(loop)
        self._states = FrontendStates(first_pick, random.random)
        self._planner = RequestPlanner(table, self._states)
        self._pools = BackendPools(loop)
        self._password_checks = PasswordChecks(loop)
        self._context = ForwardContext(
            loop.time,
            self._pools.groups,
            TraceparentSource(random.getrandbits(64), random.getrandbits(64)),
            self._password_checks,
            ReplayMemory(),
            self._finished,
        )

    @property
    def table(self) -> Table:
        """The table in force."""
        return self._planner.table

    def serve(self, exchange: Exchange, scope: Route | None) -> None:
        """Answer one request that came to a listener with this scope."""
        plan = None
        if scope is None:
            plan = self._planner.cached(exchange.head, secure=exchange.secure)
        if plan is None:
            plan = self._plan(exchange, scope)
        if plan is not None:
            ForwardedRequest(exchange, plan, self._context).begin()

    def __call__(self, exchange: Exchange) -> None:
        """Answer one request of a listener without a scope."""
        self.serve(exchange, None)

    def apply(self, changes: Changes) -> None:
        """Put changes of keys in force."""
        table = self._planner.table.advanced(changes)
        self._planner.follow(table)
        self._pools.follow(table, changes)

    def set_failing(self, failing: Iterable[tuple[str, str]]) -> None:
        """Take the servers, by backend and address, whose health checks fail: all of them."""
        self._pools.set_failing(failing)

    def salt_cookies(self, salt: bytes) -> None:
        """Take the salt of the names of servers in sticky cookies."""
        self._pools.salt_cookies(salt)

    def windows(self) -> Iterator[tuple[str, str, Mapping[int, int]]]:
        """Return what happened of late where anything did: kind, name, a window's counts."""
        now_s = self._now()
        for name, state in self._states.by_id.items():
            state.window.expire(now_s)
            if counts := state.window.counts():
                yield "frontend", name, counts
        for server, window in self._pools.windows(now_s):
            yield "server", server, window

    def samples(self) -> Iterator[Sample]:
        """Return what was counted, by frontend and backend."""
        yield from metrics.of_frontends(self._states)
        yield from metrics.of_backends(self._pools.status(self._now()))
        if self._access_log is not None:
            text = "Lines of the access log that could not be written."
            dropped = self._access_log.dropped
            yield Sample("vulcand_log_lines_dropped_total", "counter", text, dropped)

    def close(self) -> None:
        """Close idle connections to servers."""
        self._pools.close()
        self._sinks.close()
        self._password_checks.close()
        if self._access_log is not None:
            self._access_log.close()

    def reopen(self) -> None:
        """Write the access log to a new file."""
        if self._access_log is not None:
            self._access_log.reopen()

    def _plan(self, exchange: Exchange, scope: Route | None) -> RequestPlan | None:
        """Make a request's plan; return None when it is answered here."""

        def peer() -> bytes:
            return client_address(exchange.peer[0])

        try:
            plan = self._planner.plan(exchange.head, scope, peer, secure=exchange.secure)
        except BadMessage as bad:
            self._states.unrouted.count_response(bad.status)
            exchange.be_last()  # a client that sends a doubtful message has no second request
            send_error(exchange, bad.status, bad.reason)
            return None
        except HopsExhausted as end:
            self._states.unrouted.count_response(end.status)
            send_error(exchange, end.status, str(end))
            return None
        if plan is None:
            self._states.unrouted.count_response(404)
            send_error(exchange, 404)
        return plan

    def _finished(self, request: ForwardedRequest, status: int, outcome: str) -> None:
        """Take note of a request that is over."""
        now_s = self._now()
        latency_s = now_s - request.began_s
        state = request.plan.state
        state.counters.add_latency(state.window.record(now_s, status, latency_s), latency_s)
        if request.gate is not None:
            run = request.gate.run
            run.finish(now_s, status, latency_s)
            for webhook in run.webhooks:
                self._sinks.call(webhook)
            for trace in run.traces:
                self._sinks.record(trace, request, status, latency_s)
        if self._access_log is not None:
            self._access_log.write(request, status, outcome, latency_s)
