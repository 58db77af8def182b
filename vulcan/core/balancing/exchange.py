"""One request between a client and the servers of a backend, without I/O.

The shell (`proxy/forward.py`) tells the exchange what has happened; the exchange answers what to
do. A request is sent again only while the client has no byte of a response, and
- nothing of it was sent (the connection could not be made): any method;
- or it is idempotent, has no body, and no byte of its response came;
- or the frontend's failover predicate says so, and all of its body can be sent again. A method
  that is not idempotent needs a predicate that asks for the method.
The retry budget pays for the second and third: they make servers work more than once. It pays
neither for a connection that could not be made nor for an idle one that was closed as it was taken.
Once the client has a byte of the response, a failure cuts the client's connection: half a
response must not look whole.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, auto
from typing import Generic

import msgspec

from daemonkit.core.framing import BadMessage, RequestHead
from vulcan.core.balancing.request_planner import RequestPlan
from vulcan.core.balancing.server_group import S, ServerGroup
from vulcan.core.http.request_body import RequestBody
from vulcan.core.middleware.conditions import Attempt

# Servers that are tried when none can be connected to; each try may last a whole dial time-out.
DIALS_MAX = 3
# Attempts in all, whatever a predicate says.
ATTEMPTS_MAX = 10
# What the access log says of a client that left, as in nginx.
CLIENT_GONE = 499


class ExchangeState(IntEnum):  # IntEnum, because other members hash by a call of Python
    """How far an exchange has come."""

    RECEIVED = auto()  # the request is here, nothing was sent
    CONNECTING = auto()  # a connection to `server` is being made
    AWAITING = auto()  # `server` has the request, or a part of it; no response yet
    RESPONDING = auto()  # the client has a part of the response
    TUNNELING = auto()  # the connection has left HTTP
    ENDED = auto()


# A member of an Enum costs 200 ns when it is looked up in its class, and each request needs five.
RECEIVED, CONNECTING, AWAITING, RESPONDING, TUNNELING, ENDED = ExchangeState

MAY_BECOME: Mapping[ExchangeState, frozenset[ExchangeState]] = {
    RECEIVED: frozenset((CONNECTING, AWAITING, ENDED)),
    CONNECTING: frozenset((CONNECTING, AWAITING, ENDED)),
    AWAITING: frozenset((CONNECTING, RESPONDING, TUNNELING, ENDED)),
    RESPONDING: frozenset((ENDED,)),
    TUNNELING: frozenset((ENDED,)),
    ENDED: frozenset(),
}


@dataclass(frozen=True, slots=True)
class ReportFailure(Generic[S]):
    """Tell the operator that a request failed at a server."""

    server: S
    reason: str


@dataclass(frozen=True, slots=True)
class Connect(Generic[S]):
    """Drop the connection in use, make a new one to this server, and send the request."""

    server: S


@dataclass(frozen=True, slots=True)
class Respond:
    """Answer the client with an error of our own; `outcome` goes to the access log."""

    status: int
    outcome: str


@dataclass(frozen=True, slots=True)
class Abort:
    """Cut the client's connection in the middle of the response."""

    outcome: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Set the deadline again: the side that holds up the other one makes progress."""


@dataclass(frozen=True, slots=True)
class SendContinue:
    """Tell the client to send its body."""


Action = ReportFailure[S] | Connect[S] | Respond | Abort | SendContinue | Wait


class ProxyExchange(msgspec.Struct, Generic[S], eq=False):
    """The state of one exchange. Methods for failures return what to do, in order."""

    plan: RequestPlan
    head: RequestHead
    groups: Mapping[str, ServerGroup[S]]  # by backend, as they are now
    sent_s: float  # when the request was sent last; at first when it came
    body: RequestBody | None = None
    state: ExchangeState = RECEIVED
    group: ServerGroup[S] | None = None  # as it was when the request came
    server: S | None = None  # the one that was chosen last
    tried: tuple[S, ...] = ()
    dials: int = 0
    attempts: int = 0
    needs_cookie: bool = False

    def choose_server(self, now_s: float) -> S | None:
        """Choose the first server to ask; None when the backend has none."""
        self.group = group = self.groups.get(self.plan.frontend.backend)
        if group is None or not (rotation := group.rotation(now_s)):
            return None
        group.budget.deposit()
        server = None
        if group.backend.sticky is not None:
            server = group.sticky_server(self.head.fields.get(b"cookie", b""), now_s)
            self.needs_cookie = server is None
        if server is None:
            server = self.plan.state.balancer.pick(rotation, group.backend.balance)
        server.in_flight += 1
        self.server = server
        return server

    def connecting(self) -> None:
        """A new connection to the server is being made."""
        self._become(CONNECTING)
        assert self.server is not None
        self.dials += 1
        self.tried += (self.server,)

    def request_sent(self, now_s: float) -> None:
        """The request head went to the server."""
        self._become(AWAITING)
        self.attempts += 1
        self.sent_s = now_s

    def response_came(self, status: int, now_s: float) -> None:
        """The server's final response head came, and goes to the client."""
        self.plan.state.counters.count_response(status)
        server = self.server
        assert server is not None
        server.health.answered()
        server.window.record(now_s, status, now_s - self.sent_s)

    def response_started(self) -> None:
        """The client has a part of the response."""
        self._become(RESPONDING)

    def upgraded(self) -> None:
        """The server has switched protocols."""
        self._become(TUNNELING)
        counters = self.plan.state.counters
        counters.upgrades += 1
        counters.count_response(101)

    def finish(self) -> bool:
        """The exchange is over; return False when it was before."""
        if self.state is ENDED:
            return False
        self._become(ENDED)
        if self.body is not None:
            self.body.forget()
        if self.server is not None:
            self.server.in_flight -= 1
        return True

    def client_lost(self, refusal: BadMessage | None) -> tuple[int, str]:
        """The client cannot get its response; return status and outcome for the access log.

        `refusal` is what it was told instead, for example because of a malformed body.
        """
        counters = self.plan.state.counters
        if refusal is None:
            counters.clients_gone += 1
            return CLIENT_GONE, "client-gone"
        if self.state < RESPONDING:
            counters.count_response(refusal.status)
        return refusal.status, "refused"

    def respond(self, status: int, outcome: str = "refused") -> Respond:
        """Count a response of our own, and return it."""
        self.plan.state.counters.count_response(status)
        return Respond(status, outcome)

    def connect_failed(self, status: int, reason: str, now_s: float) -> list[Action[S]]:
        """No connection could be made: try the next server, for nothing was sent."""
        actions = self._record_failure(status, reason, now_s)
        counters = self.plan.state.counters
        counters.dials_failed += 1
        if self.state is ENDED:
            return actions
        other = self._untried_server(now_s)
        if other is None or self.dials >= DIALS_MAX:
            return [*actions, self.respond(status, "server-unreachable")]
        return [*actions, Connect(self._retry_at(other))]

    def connection_failed(
        self, status: int, reason: str, now_s: float, *, reused: bool, heard: bool
    ) -> list[Action[S]]:
        """The connection failed before the response was complete.

        `reused` says that the connection served requests before, `heard` that a part of the
        response came. A reused connection that was closed just as it was taken says nothing
        about the server.
        """
        if self.state is ENDED:
            return []
        stale = reused and not heard
        actions = [] if stale else self._record_failure(status, reason, now_s)
        if self.state is RESPONDING:
            return [*actions, self._abort("server-cut")]
        server = None if heard else self._repeat(now_s, stale=stale)
        server = server or self.fail_over(status, now_s)
        if server is not None:
            return [*actions, Connect(server)]
        if stale:
            actions = self._record_failure(status, reason, now_s)
        return [*actions, self.respond(status, "server-cut")]

    def fail_over(self, status: int, now_s: float, *, network: bool = True) -> S | None:
        """Return the server to send the request to again, if the frontend's predicate says so.

        `network` says that the attempt ended without a response.
        """
        if not wants_failover(self, status, network=network):
            return None
        assert self.server is not None
        self.tried += (self.server,)
        server = self._untried_server(now_s) or self._any_server(now_s)
        assert self.group is not None
        if server is None or not self.group.budget.withdraw():
            return None
        if self.body is not None:
            self.body.replay()
        return self._retry_at(server)

    def deadline_passed(
        self, now_s: float, *, client_writable: bool, server_writable: bool, server_reads: bool
    ) -> list[Action[S]]:
        """Nothing has come for too long: decide whose fault it is.

        A side that is not `writable` holds up the other one. The listener cuts a client that reads
        nothing of its response; `server_reads` says that the server has read of the request.
        """
        body = self.body
        if body is not None and body.awaits_continue:
            return [SendContinue()]
        if self.state is RESPONDING:
            if not client_writable:
                return [Wait()]
            actions = self._record_failure(504, "no response in time", now_s)
            return [*actions, self._abort("server-timeout")]
        if body is not None and not body.complete:
            if server_writable:
                return [self.respond(408, "client-timeout")]
            if server_reads:
                return [Wait()]
        actions = self._record_failure(504, "no response in time", now_s)
        server = self.fail_over(504, now_s)
        if server is not None:
            return [*actions, Connect(server)]
        return [*actions, self.respond(504, "server-timeout")]

    def _become(self, state: ExchangeState) -> None:
        assert state in MAY_BECOME[self.state], f"{self.state!r} cannot become {state!r}"
        self.state = state

    def _repeat(self, now_s: float, *, stale: bool) -> S | None:
        """Return the server to send an idempotent request to again, of whose response none came."""
        if not is_repeatable(self.plan, self.attempts):
            return None
        assert self.group is not None
        assert self.server is not None
        self.tried += (self.server,)
        other = self._untried_server(now_s)
        if stale:
            other = other or self._any_server(now_s)  # the connection is certainly a fresh one
        elif other is not None and not self.group.budget.withdraw():
            return None
        return None if other is None else self._retry_at(other)

    def _retry_at(self, server: S) -> S:
        """Choose a server for another attempt."""
        assert self.server is not None
        self.plan.state.counters.retries += 1
        self.server.in_flight -= 1
        server.in_flight += 1
        self.server = server
        return server

    def _untried_server(self, now_s: float) -> S | None:
        """Return a server that was not tried yet, out of those that the keys have now."""
        group = self.groups.get(self.plan.frontend.backend)
        if group is None:
            return None
        rotation = group.rotation(now_s)
        return self.plan.state.balancer.pick_other(rotation, self.tried, group.backend.balance)

    def _any_server(self, now_s: float) -> S | None:
        """Return one of the servers that the keys have now."""
        group = self.groups.get(self.plan.frontend.backend)
        if group is None or not (rotation := group.rotation(now_s)):
            return None
        return self.plan.state.balancer.pick(rotation, group.backend.balance)

    def _record_failure(self, status: int, reason: str, now_s: float) -> list[Action[S]]:
        # The rotation that leaves the server out is that of the group that the keys have now.
        group, server = self.groups.get(self.plan.frontend.backend) or self.group, self.server
        assert group is not None
        assert server is not None
        server.window.record(now_s, status, now_s - self.sent_s)
        group.failed(server, now_s)
        return [ReportFailure(server, reason)]

    def _abort(self, outcome: str) -> Abort:
        self.plan.state.counters.truncated += 1
        return Abort(outcome)


def is_repeatable(plan: RequestPlan, attempts: int) -> bool:
    """Whether a request may be sent again when no byte of its response has come."""
    return plan.idempotent and not plan.has_body and attempts < DIALS_MAX


def wants_failover(exchange: ProxyExchange[S], status: int, *, network: bool) -> bool:
    """Whether the frontend's predicate asks for another attempt, and one is possible."""
    plan, body, failover = exchange.plan, exchange.body, exchange.plan.frontend.failover
    if failover is None or (body is not None and body.replayable is None):
        return False
    if exchange.attempts >= ATTEMPTS_MAX or not (plan.idempotent or failover.asks_method):
        return False
    method = exchange.head.method.decode()
    return failover.holds(Attempt(network, max(exchange.attempts, 1), status, method))
