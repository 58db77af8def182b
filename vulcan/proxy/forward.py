"""Forwards one request: runs what its exchange decides on the client's and the server's connection.

The decisions are in `core/balancing/exchange.py`; the ends of both connections meet here.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from daemonkit.core.framing import LENGTH_MAX, Fields, RequestHead
from daemonkit.http.server import Exchange
from vulcan.core.balancing.exchange import (
    ENDED,
    Abort,
    Action,
    Connect,
    ProxyExchange,
    ReportFailure,
    Respond,
    SendContinue,
    Wait,
)
from vulcan.core.balancing.request_planner import RequestPlan
from vulcan.core.balancing.server_group import ServerGroup
from vulcan.core.http.fields import trailer_section
from vulcan.core.http.request_body import ReplayMemory, RequestBody
from vulcan.core.http.request_head import client_address
from vulcan.core.http.response_head import ClientHead, edit_head
from vulcan.core.http.traceparent import TraceparentSource
from vulcan.core.middleware.chain import MiddlewareRequest, MiddlewareResponse
from vulcan.proxy.connection import UpstreamConnection, UpstreamFailure
from vulcan.proxy.error_responses import send_error
from vulcan.proxy.middleware_gate import MiddlewareGate
from vulcan.proxy.password_checks import PasswordChecks
from vulcan.proxy.pool import ConnectionPool
from vulcan.proxy.tunnel import Tunnel

# Between two pieces of a body, whichever side sends it.
BODY_IDLE_S = 60.0
# A server that has not sent 100 by then will not: the proxy sends 100 itself.
CONTINUE_S = 1.0


@dataclass(frozen=True, slots=True)
class ForwardContext:
    """What every request of a worker shares."""

    now: Callable[[], float]
    groups: Mapping[str, ServerGroup[ConnectionPool]]  # by backend, as they are now
    traceparents: TraceparentSource
    password_checks: PasswordChecks
    replay_memory: ReplayMemory
    # Called when a request is over, with its status and what went wrong (empty: nothing).
    finished: "Callable[[ForwardedRequest, int, str], None]"


class ForwardedRequest:
    """One request between a client and a server."""

    __slots__ = (
        "began_s",
        "client",
        "connection",
        "context",
        "exchange",
        "gate",
        "plan",
        "sent_bytes",
        "sent_head",
        "status",
        "trace",
    )

    def __init__(self, client: Exchange, plan: RequestPlan, context: ForwardContext) -> None:
        self.client = client
        self.plan = plan
        self.context = context
        self.connection: UpstreamConnection | None = None
        self.began_s = now_s = context.now()
        self.exchange: ProxyExchange[ConnectionPool] = ProxyExchange(
            plan, client.head, context.groups, now_s
        )
        self.gate: MiddlewareGate | None = None
        self.status = 0  # of the response that the client has a part of
        self.sent_bytes = 0
        self.trace = b""
        self.sent_head = b""

    def begin(self) -> None:
        """Send the request to a server, or answer it when that is not possible."""
        plan, client, exchange = self.plan, self.client, self.exchange
        client.lost = self._client_lost
        client.ends_with_client = True  # nobody works for a client that has left
        if plan.has_body:
            memory = self.context.replay_memory
            body = exchange.body = _request_body(client.head, plan, memory)
            client.receiver = Upload(self, body)
            if client.head.length > body.bytes_max and not client.head.chunked:
                self.apply((exchange.respond(413),))
                return
        if plan.state.chain is None:
            _ask_server(self)
            return
        if plan.has_body:
            client.pause()
        request, now = _middleware_request(client, plan), self.context.now
        self.gate = MiddlewareGate(
            plan.state.chain, request, self.context.password_checks, now, self
        )
        self.gate.enter()

    def decided(self, refusal: MiddlewareResponse | None) -> None:
        """Act on the verdict of the middlewares, which may come when the client has left."""
        if self.exchange.state is ENDED:
            return
        if refusal is None:
            _ask_server(self)
            return
        self.plan.state.counters.refused += 1
        response = self.exchange.respond(refusal.status, f"middleware:{refusal.by}")
        self.apply((response,), refusal)

    def send(self, pool: ConnectionPool, connection: UpstreamConnection) -> None:
        """Send the request head, and what has come of the body."""
        plan, client, body, context = self.plan, self.client, self.exchange.body, self.context
        self.connection = connection
        head, gate = plan.upstream_head, self.gate
        if gate is not None and gate.run.target != plan.target.origin_form:
            head = head.with_target(client.head.method, gate.run.target)
        self.trace = context.traceparents.next(head.trace)
        request = head.render(pool.host_line, client_address(client.peer[0]), self.trace)
        if complete := body is None or body.complete:
            wait_s = pool.backend.read_s
        else:
            wait_s = CONTINUE_S if body.awaits_continue else BODY_IDLE_S
        now_s = context.now()
        self.exchange.request_sent(now_s)
        connection.deadline_s = now_s + wait_s
        connection.send_request(
            self, client.head.method, request, more=not complete, upgrade=bool(head.upgrade)
        )
        if body is not None:
            _send_pending(client, body, connection)

    # the server's side

    def connected(self, connection: UpstreamConnection) -> None:
        """Use the new connection; if the client has left, keep it for another request."""
        pool = self.exchange.server
        assert pool is not None
        if self.exchange.state is ENDED:
            pool.give(connection)
        else:
            self.send(pool, connection)

    def connect_failed(self, failure: UpstreamFailure) -> None:
        """Try the next server."""
        now_s = self.context.now()
        self.apply(self.exchange.connect_failed(failure.status, failure.reason, now_s))

    def interim_response(self, status: int, head: bytes) -> None:
        """Pass a 1xx response on."""
        if status != 100:
            self.client.interim(head)
            return
        _send_continue(self)

    def upgraded(self, head: bytes, rest: bytes) -> None:
        """Join client and server in a tunnel."""
        connection, self.connection = self.connection, None
        assert connection is not None
        self.exchange.upgraded()
        self.status = 101

        def ended(sent_bytes: int) -> None:
            self.sent_bytes = sent_bytes
            self._end(101, "")

        tunnel = Tunnel(self.client, connection, self.context.now, ended)
        connection.start_tunnel(tunnel)
        self.client.switch(head, tunnel)
        if rest:
            tunnel.server_data(rest)

    def whole_response(self, head: ClientHead, body: bytes) -> None:
        """Give the client the whole response. The connection is back in its pool by now."""
        client, exchange = self.client, self.exchange
        self.connection = None
        now_s = self.context.now()
        if self.plan.frontend.failover and _fails_over(self, head.status, now_s):
            return
        client.lost = client.receiver = None
        self.sent_bytes = len(body)
        exchange.response_came(head.status, now_s)
        if exchange.needs_cookie or self.plan.state.chain is not None:
            head = _edited(self, head)
        self.sent_head = head.head
        client.reply(head.head, body, dated=head.dated)
        self._end(head.status, "")

    def response_head(self, head: ClientHead) -> None:
        """Begin the client's response; its body follows."""
        now_s = self.context.now()
        if self.plan.frontend.failover and _fails_over(self, head.status, now_s):
            return
        connection = self.connection
        assert connection is not None
        exchange = self.exchange
        self.status = head.status
        exchange.response_came(head.status, now_s)
        exchange.response_started()
        if exchange.needs_cookie or self.plan.state.chain is not None:
            head = _edited(self, head)
        self.sent_head = head.head
        self.client.start(head.head, chunked=head.chunked, dated=head.dated)
        connection.deadline_s = now_s + BODY_IDLE_S

    def response_data(self, pieces: list[bytes]) -> None:
        """Pass on a part of the response's body."""
        client, connection = self.client, self.connection
        assert connection is not None  # the client must not get a byte of another response
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.sent_bytes += len(data)
        client.write(data)
        connection.deadline_s = self.context.now() + BODY_IDLE_S
        if not client.writable:
            connection.pause()
            client.resumed = connection.resume

    def response_end(self, trailers: Fields) -> None:
        """End the client's response. The connection is back in its pool by now."""
        client = self.client
        client.lost = client.resumed = client.receiver = None
        self.connection = None
        edits = self.plan.state.edits
        removed = edits.remove_response if edits is not None else frozenset[bytes]()
        client.finish(trailer_section(trailers, removed) if trailers else b"")
        self._end(self.status, "")

    def connection_failed(self, connection: UpstreamConnection, failure: UpstreamFailure) -> None:
        """Retry where that is safe, else send an error to the client."""
        self.connection = None
        actions = self.exchange.connection_failed(
            failure.status,
            failure.reason,
            self.context.now(),
            reused=connection.reused,
            heard=connection.heard,
        )
        self.apply(actions)

    def deadline_passed(self) -> None:
        """Act on the deadline of the connection."""
        connection = self.connection
        assert connection is not None
        actions = self.exchange.deadline_passed(
            self.context.now(),
            client_writable=self.client.writable,
            server_writable=not connection.write_paused,
            server_reads=connection.takes_bytes(),
        )
        self.apply(actions)

    def server_writable(self) -> None:
        """Read the request's body on."""
        self.client.resume()

    def broken(self, error: Exception) -> None:
        """End this request because of an error of ours."""
        self.client.fail(error)
        self._drop_connection()
        self._end(self.status or 500, "refused")  # unless `_client_lost` has ended it

    # what the exchange decides

    def apply(
        self, actions: Iterable[Action[ConnectionPool]], refusal: MiddlewareResponse | None = None
    ) -> None:
        """Do what the exchange says; `refusal` is a middleware's response."""
        for action in actions:
            match action:
                case ReportFailure(server, reason):
                    server.report_failure(reason)
                case Connect(server):
                    self._drop_connection()
                    _connect(self, server)
                case SendContinue() | Wait():
                    if isinstance(action, SendContinue):
                        _send_continue(self)
                    assert self.connection is not None
                    self.connection.deadline_s = self.context.now() + BODY_IDLE_S
                case Respond(status, outcome):
                    self._drop_connection()
                    send_error(self.client, status, response=refusal)
                    _release(self.client, self.exchange.body)
                    self._end(status, outcome)
                case Abort(outcome):
                    self._drop_connection()
                    self.client.lost = None
                    self.client.abort()
                    _release(self.client, self.exchange.body)
                    self._end(self.status, outcome)

    def _client_lost(self) -> None:
        self.client.lost = None
        self._drop_connection()
        status, outcome = self.exchange.client_lost(self.client.refusal)
        self._end(self.status or status, outcome)

    def _drop_connection(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.drop()

    def _end(self, status: int, outcome: str) -> None:
        """The request is over, however it went."""
        if self.exchange.finish():
            self.context.finished(self, status, outcome)


class Upload:
    """Takes the client's body, and sends it to the server."""

    __slots__ = ("_body", "_request")

    def __init__(self, request: ForwardedRequest, body: RequestBody) -> None:
        self._request = request
        self._body = body

    def body_data(self, data: bytes) -> None:
        """Send a piece of the body on, or keep it until there is a connection."""
        request, body = self._request, self._body
        if request.exchange.state is ENDED:
            return
        framed = body.add(data)
        if body.received_bytes > body.bytes_max:
            request.apply((request.exchange.respond(413),))
            return
        body.awaits_continue = False
        connection = request.connection
        if connection is None:
            body.pending.append(framed)
            return
        connection.send(framed)
        connection.deadline_s = request.context.now() + BODY_IDLE_S
        if connection.write_paused:
            request.client.pause()

    def body_end(self) -> None:
        """The body is complete."""
        request, body = self._request, self._body
        if request.exchange.state is ENDED:
            return
        end, connection = body.end(request.client.trailers), request.connection
        if connection is None:
            body.pending.append(end)
            return
        if end:
            connection.send(end)
        connection.request_sent = True
        pool = request.exchange.server
        assert pool is not None
        connection.deadline_s = request.context.now() + pool.backend.read_s


def received_bytes(request: ForwardedRequest) -> int:
    """Return how many bytes of the request's body came from the client."""
    body = request.exchange.body
    return body.received_bytes if body is not None else 0


def _ask_server(request: ForwardedRequest) -> None:
    """Send the request to the first server, on an idle connection if there is one."""
    exchange = request.exchange
    pool = exchange.choose_server(request.context.now())
    if pool is None:
        request.apply((exchange.respond(503),))
        return
    connection = pool.take(repeatable=request.plan.idempotent and not request.plan.has_body)
    if connection is None:
        _connect(request, pool)
    else:
        request.send(pool, connection)


def _connect(request: ForwardedRequest, pool: ConnectionPool) -> None:
    request.exchange.connecting()
    if request.exchange.body is not None:
        request.client.pause()
    pool.dial(request)


def _middleware_request(client: Exchange, plan: RequestPlan) -> MiddlewareRequest:
    target = plan.target
    view = target.view.with_peer(client_address(client.peer[0]))
    scheme = b"https" if plan.secure else b"http"
    return MiddlewareRequest(view, scheme, target.authority, target.origin_form)


def _request_body(head: RequestHead, plan: RequestPlan, memory: ReplayMemory) -> RequestBody:
    """Return the body of a request that has one; it is kept where a predicate may need it."""
    frontend, edits = plan.frontend, plan.state.edits
    return RequestBody(
        head.chunked,
        awaits_continue=head.expects_continue,
        bytes_max=frontend.body_bytes_max or LENGTH_MAX,
        replay_bytes_max=frontend.replay_bytes_max,
        replayable=[] if frontend.failover else None,
        memory=memory,
        removed_trailers=edits.remove_request if edits is not None else frozenset(),
    )


def _send_pending(client: Exchange, body: RequestBody, connection: UpstreamConnection) -> None:
    """Send what has come of the body while there was no connection."""
    for piece in body.pending:
        connection.send(piece)
    body.pending = []
    if not connection.write_paused:
        client.resume()


def _send_continue(request: ForwardedRequest) -> None:
    """Tell the client to send its body."""
    if request.exchange.body is not None:
        request.exchange.body.awaits_continue = False
    request.client.proceed()


def _fails_over(request: ForwardedRequest, status: int, now_s: float) -> bool:
    """Send the request again instead of giving the client this response, if that is wanted."""
    pool = request.exchange.fail_over(status, now_s, network=False)
    if pool is None:
        return False
    request.apply((Connect(pool),))
    return True


def _edited(request: ForwardedRequest, head: ClientHead) -> ClientHead:
    """Return a response's head with the middlewares' edits and the sticky cookie."""
    exchange, cookie = request.exchange, b""
    if exchange.needs_cookie and exchange.group is not None and exchange.server is not None:
        cookie = exchange.group.cookie_line(exchange.server)
    return edit_head(head, request.plan.state.edits, cookie)


def _release(client: Exchange, body: RequestBody | None) -> None:
    """Hear no more of the client."""
    client.lost = client.resumed = client.receiver = None
    if body is not None:
        body.pending = []
