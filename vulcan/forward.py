"""One request on its way: to a server, perhaps to a second one, and the answer back.

A request is sent again only when no byte of its answer came, and either nothing of it was
sent (the dial failed) or it can be repeated (idempotent, without a body) and the connection
had served before, so that it may have been closed just then. Once the client has a byte of
an answer, a failure cuts its connection: half an answer must not look whole.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from daemonkit.http.framing import Fields
from daemonkit.http.server import Exchange
from vulcan import headers
from vulcan.answers import refuse
from vulcan.balance import RoundRobin
from vulcan.headers import Incoming, Outgoing
from vulcan.model import Frontend
from vulcan.upstream import Broken, Pool, Upstream

# Servers tried when none can be dialled; each try may last a dial's time-out.
DIALS_MAX = 3
# Between two pieces of a body, from whichever side they are awaited.
BODY_IDLE_S = 60.0
# A server that does not say 100 by then is not going to: the client is told to send on.
CONTINUE_S = 1.0


@dataclass(slots=True)
class Tally:
    """What happened to one frontend's requests."""

    answers: dict[int, int] = field(default_factory=dict)  # by status
    dials_failed: int = 0
    retries: int = 0
    cut: int = 0  # answers that broke off after their head
    gone: int = 0  # clients that left before the end of their answer

    def answer(self, status: int) -> None:
        """Count an answer by its status."""
        self.answers[status] = self.answers.get(status, 0) + 1


class Plan(msgspec.Struct, frozen=True):
    """What a request head means under one table; remembered beside the head."""

    generation: object
    frontend: Frontend
    outgoing: Outgoing
    replayable: bool
    has_body: bool
    turn: RoundRobin
    tally: Tally


class Forward:
    """One exchange between a client and a server."""

    __slots__ = (
        "_body_bytes",
        "_dials",
        "_exchange",
        "_held",
        "_plan",
        "_pool",
        "_reused",
        "_rotation",
        "_sent_all",
        "_started",
        "_tried",
        "_upstream",
        "_waits_for_continue",
    )

    def __init__(
        self, exchange: Exchange, plan: Plan, rotation: Callable[[str], tuple[Pool, ...]]
    ) -> None:
        self._exchange = exchange
        self._plan = plan
        self._rotation = rotation
        self._upstream: Upstream | None = None
        self._pool: Pool | None = None
        self._started = False
        self._reused = False
        self._sent_all = not plan.has_body
        self._held: list[bytes] = []
        self._body_bytes = 0
        self._dials = 0
        self._tried: tuple[Pool, ...] = ()
        self._waits_for_continue = False

    def begin(self) -> None:
        """Send the request to the next server, or answer 503 when there is none."""
        plan, exchange = self._plan, self._exchange
        pools = self._rotation(plan.frontend.backend)
        if not pools:
            self._refuse(503)
            return
        exchange.lost = self._client_lost
        self._pool = pool = plan.turn.pick(pools)
        if plan.has_body:
            limit = plan.frontend.body_bytes_max
            if limit and exchange.head.length > limit and not exchange.head.chunked:
                self._refuse(413)
                return
            exchange.receiver = self
            self._waits_for_continue = exchange.head.expects_continue
        upstream = pool.take()
        if upstream is None:
            self._dial(pool)
        else:
            self._reused = True
            self._ask(upstream)

    def _ask(self, upstream: Upstream) -> None:
        plan, pool = self._plan, self._pool
        assert pool is not None
        self._upstream = upstream
        peer = headers.address_of(self._exchange.peer[0])
        request = plan.outgoing.render(pool.host_line, peer)
        if self._sent_all:
            wait_s = pool.backend.read_s
        else:
            wait_s = CONTINUE_S if self._waits_for_continue else BODY_IDLE_S
        upstream.deadline_s = pool.loop.time() + wait_s
        upstream.ask(self, self._exchange.head.method, request, more=not self._sent_all)
        if self._plan.has_body:
            self._release_held()

    def _dial(self, pool: Pool) -> None:
        self._pool = pool
        self._reused = False
        self._dials += 1
        self._tried += (pool,)
        if self._plan.has_body:
            self._exchange.pause()
        pool.dial(self)

    # the request's body

    def body_data(self, data: bytes) -> None:
        """Take a piece of the request body."""
        if self._exchange.finished:
            return
        self._body_bytes += len(data)
        limit = self._plan.frontend.body_bytes_max
        if limit and self._body_bytes > limit:
            self._drop_upstream()
            self._refuse(413)
            return
        self._waits_for_continue = False
        framed = b"%x\r\n%b\r\n" % (len(data), data) if self._exchange.head.chunked else data
        upstream = self._upstream
        if upstream is None:
            self._held.append(framed)
            return
        upstream.send(framed)
        self._extend(upstream, BODY_IDLE_S)
        if upstream.write_paused:
            self._exchange.pause()

    def body_end(self) -> None:
        """The request body is complete."""
        if self._exchange.finished:
            return
        self._sent_all = True
        upstream = self._upstream
        if self._exchange.head.chunked:
            if upstream is None:
                self._held.append(b"0\r\n\r\n")
            else:
                upstream.send(b"0\r\n\r\n")
        if upstream is not None:
            upstream.request_sent = True
            self._extend(upstream, upstream.pool.backend.read_s)

    def _release_held(self) -> None:
        upstream = self._upstream
        assert upstream is not None
        for piece in self._held:
            upstream.send(piece)
        self._held = []
        if not upstream.write_paused:
            self._exchange.resume()

    # the server's side

    def connected(self, upstream: Upstream) -> None:
        """Use the connection that was dialled; without a client it waits for the next one."""
        if self._exchange.finished:
            upstream.pool.give(upstream)
        else:
            self._ask(upstream)

    def dial_failed(self, failure: Broken) -> None:
        """Try the next server: nothing of the request was sent."""
        assert self._pool is not None
        self._pool.report(failure.reason)
        self._plan.tally.dials_failed += 1
        if self._exchange.finished:
            return
        pools = self._rotation(self._plan.frontend.backend)
        other = self._plan.turn.pick_other(pools, self._tried) if pools else None
        if other is None or self._dials >= DIALS_MAX:
            self._refuse(failure.status)
            return
        self._plan.tally.retries += 1
        self._dial(other)

    def interim(self, status: int) -> None:
        """Pass 100 on; other interim answers are for this hop alone."""
        if status == 100:
            self._proceed()

    def answer_whole(self, incoming: Incoming, body: bytes) -> None:
        """Give the client the whole answer. The connection is back in its pool by now."""
        exchange = self._exchange
        self._upstream = None
        self._plan.tally.answer(incoming.status)
        exchange.lost = exchange.receiver = None
        exchange.reply(incoming.head, body, dated=incoming.dated)

    def answer_begins(self, incoming: Incoming) -> None:
        """Begin the client's answer; its body follows."""
        self._started = True
        self._plan.tally.answer(incoming.status)
        self._exchange.start(incoming.head, chunked=incoming.chunked, dated=incoming.dated)
        upstream = self._upstream
        assert upstream is not None
        self._extend(upstream, BODY_IDLE_S)

    def answer_data(self, pieces: list[bytes]) -> None:
        """Pass on a part of the answer's body."""
        exchange, upstream = self._exchange, self._upstream
        exchange.write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if upstream is None:
            return
        self._extend(upstream, BODY_IDLE_S)
        if not exchange.writable:
            upstream.pause()
            exchange.resumed = upstream.resume

    def answer_end(self, trailers: Fields) -> None:
        """End the client's answer. The connection is back in its pool by now."""
        exchange = self._exchange
        exchange.lost = exchange.resumed = exchange.receiver = None
        self._upstream = None
        exchange.finish(headers.trailers(trailers) if trailers else b"")

    def broken(self, upstream: Upstream, failure: Broken) -> None:
        """Ask again where that is safe, else tell the client."""
        self._upstream = None
        if self._exchange.finished:
            return
        if not self._started and self._reused and not upstream.heard and self._plan.replayable:
            self._retry(failure)
            return
        upstream.pool.report(failure.reason)
        if self._started:
            self._cut()
        else:
            self._refuse(failure.status)

    def _retry(self, failure: Broken) -> None:
        """Ask on a connection that is certainly fresh, of any server still in rotation."""
        pools = self._rotation(self._plan.frontend.backend)
        if not pools:
            self._refuse(failure.status)
            return
        self._plan.tally.retries += 1
        self._dial(self._plan.turn.pick(pools))

    def overdue(self) -> None:
        """Act on the deadline that passed."""
        upstream = self._upstream
        assert upstream is not None
        if self._waits_for_continue:
            self._proceed()
            self._extend(upstream, BODY_IDLE_S)
            return
        client_is_slow = (
            not self._exchange.writable
            if self._started
            else not self._sent_all and not upstream.write_paused
        )
        if not client_is_slow:
            upstream.pool.report("nothing came in time")
        self._drop_upstream()
        if self._started:
            self._cut()
        else:
            self._refuse(408 if client_is_slow else 504)

    def upstream_writable(self) -> None:
        """Read the request's body on."""
        self._exchange.resume()

    # the client's side

    def _proceed(self) -> None:
        self._waits_for_continue = False
        self._exchange.proceed()

    def _client_lost(self) -> None:
        self._plan.tally.gone += 1
        self._exchange.lost = None
        self._drop_upstream()

    def _refuse(self, status: int) -> None:
        self._plan.tally.answer(status)
        refuse(self._exchange, status)
        self._let_go()

    def _cut(self) -> None:
        self._plan.tally.cut += 1
        exchange = self._exchange
        exchange.lost = None
        exchange.abort()
        self._let_go()

    def _let_go(self) -> None:
        exchange = self._exchange
        exchange.lost = exchange.resumed = exchange.receiver = None
        self._held = []

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.drop()

    def _extend(self, upstream: Upstream, seconds: float) -> None:
        upstream.deadline_s = upstream.pool.loop.time() + seconds
