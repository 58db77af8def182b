"""One request on its way: to a server, perhaps to a second one, and the answer back.

A request is sent again only when no byte of its answer went to the client, and
- nothing of it was sent (the dial failed): any method;
- or it is idempotent, has no body, and no byte of its answer came;
- or the frontend's failover predicate says so, and all of its body is still there. Methods that
  are not idempotent only by a predicate that asks for the method.
Once the client has a byte of an answer, a failure cuts its connection: half an answer must not
look whole.
"""

from daemonkit.core.framing import Fields
from daemonkit.http.server import Exchange
from vulcan.core.balancing.frontend_state import Plan
from vulcan.core.balancing.server_group import Group
from vulcan.core.http import request_head
from vulcan.core.http.request_body import Upload
from vulcan.core.http.request_head import Incoming
from vulcan.core.middleware.chain import MiddlewareRequest, MiddlewareResponse, MiddlewareRun
from vulcan.core.middleware.conditions import Attempt
from vulcan.proxy.connection import Broken, Pool, Upstream
from vulcan.proxy.error_responses import refuse
from vulcan.proxy.site import Site
from vulcan.proxy.tunnel import Tunnel

# Servers tried when none can be dialled; each try may last a dial's time-out.
DIALS_MAX = 3
# Attempts in all, whatever a predicate says.
ATTEMPTS_MAX = 10
# Between two pieces of a body, from whichever side they are awaited.
BODY_IDLE_S = 60.0
# A server that does not say 100 by then is not going to: the client is told to send on.
CONTINUE_S = 1.0
# What the access log says of a client that left, as nginx does.
CLIENT_GONE = 499


class Forward:
    """One exchange between a client and a server."""

    __slots__ = (
        "_asked_s",
        "_dials",
        "_group",
        "_over",
        "_reused",
        "_site",
        "_sticky_missed",
        "_tried",
        "_upstream",
        "_waits_for_continue",
        "answer_head",
        "attempts",
        "began_s",
        "exchange",
        "middleware_run",
        "plan",
        "sent_bytes",
        "server",
        "started",
        "status",
        "trace",
        "upload",
    )

    def __init__(self, exchange: Exchange, plan: Plan, site: Site) -> None:
        self.exchange = exchange
        self.plan = plan
        self._site = site
        self._upstream: Upstream | None = None
        self.server: Pool | None = None  # the one that was asked last
        self._group: Group | None = None
        self.middleware_run: MiddlewareRun | None = None
        self.started = False
        self._reused = False
        self._over = False
        self._sticky_missed = False
        self.upload = Upload(
            chunked=exchange.head.chunked,
            has_body=plan.has_body,
            keeps_max=plan.frontend.replay_bytes_max if plan.frontend.failover else None,
        )
        self._dials = 0
        self.attempts = 0
        self._tried: tuple[Pool, ...] = ()
        self._waits_for_continue = False
        self.began_s = self._asked_s = site.now()
        self.status = 0
        self.sent_bytes = 0
        self.trace = b""
        self.answer_head = b""

    def begin(self) -> None:
        """Send the request to the next server, or answer when that is not to be."""
        plan, exchange = self.plan, self.exchange
        exchange.lost = self._client_lost
        if plan.has_body:
            exchange.receiver = self
            limit = plan.frontend.body_bytes_max
            if limit and exchange.head.length > limit and not exchange.head.chunked:
                self._refuse(413)
                return
            self._waits_for_continue = exchange.head.expects_continue
        if plan.lane.chain is not None and not self._passes():
            return
        self._group = group = self._site.group(plan.frontend.backend)
        pools = group.rotation(self.began_s) if group is not None else ()
        if group is None or not pools:
            self._refuse(503)
            return
        group.budget.asked()
        self._send(self._first(group, pools))

    def _passes(self) -> bool:
        """Whether the middlewares let the request through; if not, it is answered."""
        plan = self.plan
        origin, chain = plan.origin, plan.lane.chain
        assert chain is not None
        peer = request_head.address_of(self.exchange.peer[0])
        scheme = b"https" if plan.secure else b"http"
        view = origin.view.with_peer(peer)
        asked = MiddlewareRequest(view, scheme, origin.authority, origin.target)
        self.middleware_run, refusal = chain.enter(asked, self.began_s)
        if refusal is None:
            return True
        plan.lane.tally.refused += 1
        self._refuse(refusal.status, refusal)
        return False

    def _first(self, group: Group, pools: tuple[Pool, ...]) -> Pool:
        if group.backend.sticky is not None:
            cookies = self.exchange.head.fields.get(b"cookie", b"")
            if pool := group.sticky(cookies, self.began_s):
                return pool
            self._sticky_missed = True
        return self.plan.lane.balance.pick(pools, group.backend.balance)

    def _send(self, pool: Pool) -> None:
        """Ask a server, on a connection that is there or a new one."""
        self._use(pool)
        upstream = pool.take()
        if upstream is None:
            self._dial()
        else:
            self._reused = True
            self._ask(upstream)

    def _use(self, pool: Pool) -> None:
        if self.server is not None:
            self.server.under_way -= 1
        pool.under_way += 1
        self.server = pool

    def _ask(self, upstream: Upstream) -> None:
        plan, pool = self.plan, self.server
        assert pool is not None
        self._upstream = upstream
        self.attempts += 1
        outgoing = plan.outgoing
        if self.middleware_run is not None and self.middleware_run.target != plan.origin.target:
            outgoing = outgoing.to(self.exchange.head.method, self.middleware_run.target)
        peer = request_head.address_of(self.exchange.peer[0])
        self.trace = self._site.trace(outgoing.trace)
        request = outgoing.render(pool.host_line, peer, self.trace)
        if self.upload.complete:
            wait_s = pool.backend.read_s
        else:
            wait_s = CONTINUE_S if self._waits_for_continue else BODY_IDLE_S
        self._asked_s = self._site.now()
        upstream.deadline_s = self._asked_s + wait_s
        upstream.ask(
            self,
            self.exchange.head.method,
            request,
            more=not self.upload.complete,
            upgrade=bool(outgoing.upgrade),
        )
        if plan.has_body:
            self._release_held()

    def _dial(self) -> None:
        pool = self.server
        assert pool is not None
        self._reused = False
        self._dials += 1
        self._tried += (pool,)
        if self.plan.has_body:
            self.exchange.pause()
        pool.dial(self)

    # the request's body

    def body_data(self, data: bytes) -> None:
        """Take a piece of the request body."""
        if self.exchange.finished:
            return
        framed = self.upload.piece(data)
        limit = self.plan.frontend.body_bytes_max
        if limit and self.upload.bytes > limit:
            self._drop_upstream()
            self._refuse(413)
            return
        self._waits_for_continue = False
        upstream = self._upstream
        if upstream is None:
            self.upload.held.append(framed)
            return
        upstream.send(framed)
        self._extend(upstream, BODY_IDLE_S)
        if upstream.write_paused:
            self.exchange.pause()

    def body_end(self) -> None:
        """The request body is complete."""
        if self.exchange.finished:
            return
        end, upstream = self.upload.end(self.exchange.trailers), self._upstream
        if upstream is None:
            self.upload.held.append(end)
            return
        if end:
            upstream.send(end)
        upstream.request_sent = True
        self._extend(upstream, upstream.pool.backend.read_s)

    def _release_held(self) -> None:
        upstream = self._upstream
        assert upstream is not None
        for piece in self.upload.held:
            upstream.send(piece)
        self.upload.held = []
        if not upstream.write_paused:
            self.exchange.resume()

    # the server's side

    def connected(self, upstream: Upstream) -> None:
        """Use the connection that was dialled; without a client it waits for the next one."""
        if self.exchange.finished or self._over:
            upstream.pool.give(upstream)
        else:
            self._ask(upstream)

    def dial_failed(self, failure: Broken) -> None:
        """Try the next server: nothing of the request was sent."""
        self._note_failure(failure)
        self.plan.lane.tally.dials_failed += 1
        if self.exchange.finished or self._over:
            return
        other = self._other()
        if other is None or self._dials >= DIALS_MAX:
            self._refuse(failure.status, ended="server-unreachable")
            return
        self.plan.lane.tally.retries += 1
        self._use(other)
        self._dial()

    def _other(self) -> Pool | None:
        """A server that was not tried yet."""
        group = self._site.group(self.plan.frontend.backend)
        if group is None:
            return None
        pools = group.rotation(self._site.now())
        return self.plan.lane.balance.pick_other(pools, self._tried, group.backend.balance)

    def interim(self, status: int, head: bytes) -> None:
        """Pass a 1xx answer on."""
        if status == 100:
            self._proceed()
        else:
            self.exchange.interim(head)

    def switched(self, head: bytes, rest: bytes) -> None:
        """Join client and server: from here on their bytes are their own."""
        upstream, self._upstream = self._upstream, None
        assert upstream is not None
        self.started = True
        self.status = 101
        tally = self.plan.lane.tally
        tally.upgrades += 1
        tally.answer(101)
        tunnel = Tunnel(self.exchange, upstream, self._tunnel_ended)
        upstream.tunnel(tunnel)
        self.exchange.switch(head, tunnel)
        if rest:
            tunnel.tunnel_data(rest)

    def _tunnel_ended(self, sent_bytes: int) -> None:
        self.sent_bytes = sent_bytes
        self._end(101, "")

    def answer_whole(self, incoming: Incoming, body: bytes) -> None:
        """Give the client the whole answer. The connection is back in its pool by now."""
        exchange = self.exchange
        self._upstream = None
        if self.plan.frontend.failover and self._fails_over(incoming.status, network=False):
            return
        exchange.lost = exchange.receiver = None
        self.sent_bytes = len(body)
        self._answered(incoming.status)
        incoming = self._edited(incoming)
        exchange.reply(incoming.head, body, dated=incoming.dated)
        self._end(incoming.status, "")

    def answer_begins(self, incoming: Incoming) -> None:
        """Begin the client's answer; its body follows."""
        if self.plan.frontend.failover and self._fails_over(incoming.status, network=False):
            return
        self.started = True
        self.status = incoming.status
        self._answered(incoming.status)
        incoming = self._edited(incoming)
        self.exchange.start(incoming.head, chunked=incoming.chunked, dated=incoming.dated)
        upstream = self._upstream
        assert upstream is not None
        self._extend(upstream, BODY_IDLE_S)

    def _answered(self, status: int) -> None:
        self.plan.lane.tally.answer(status)
        pool = self.server
        assert pool is not None
        pool.fitness.answered()
        now_s = self._site.now()
        pool.window.record(now_s, status, now_s - self._asked_s)

    def _edited(self, incoming: Incoming) -> Incoming:
        """Add what middlewares and stickiness have to say."""
        chain = self.plan.lane.chain
        cookie = b""
        if self._sticky_missed and self._group is not None and self.server is not None:
            cookie = self._group.cookie(self.server)
        made = request_head.edited(incoming, chain.edits if chain else None, cookie)
        self.answer_head = made.head
        return made

    def answer_data(self, pieces: list[bytes]) -> None:
        """Pass on a part of the answer's body."""
        exchange, upstream = self.exchange, self._upstream
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.sent_bytes += len(data)
        exchange.write(data)
        if upstream is None:
            return
        self._extend(upstream, BODY_IDLE_S)
        if not exchange.writable:
            upstream.pause()
            exchange.resumed = upstream.resume

    def answer_end(self, trailers: Fields) -> None:
        """End the client's answer. The connection is back in its pool by now."""
        exchange = self.exchange
        exchange.lost = exchange.resumed = exchange.receiver = None
        self._upstream = None
        exchange.finish(request_head.trailers(trailers) if trailers else b"")
        self._end(self.status, "")

    # when it goes wrong

    def broken(self, upstream: Upstream, failure: Broken) -> None:
        """Ask again where that is safe, else tell the client."""
        self._upstream = None
        if self.exchange.finished:
            return
        stale = self._reused and not upstream.heard  # closed just as it was taken
        if not stale:
            self._note_failure(failure)
        if self.started:
            self._cut("server-cut")
        elif not (self._repeats(upstream, stale=stale) or self._fails_over(failure.status)):
            if stale:
                self._note_failure(failure)
            self._refuse(failure.status, ended="server-cut")

    def _repeats(self, upstream: Upstream, *, stale: bool) -> bool:
        """Send an idempotent request again of whose answer no byte came; False when it is not."""
        plan, group = self.plan, self._group
        if upstream.heard or not plan.idempotent or plan.has_body or group is None:
            return False
        if self.attempts >= DIALS_MAX:
            return False
        self._tried += (upstream.pool,)
        other = self._other()
        if other is None and stale:
            # The same server, on a connection that is certainly fresh.
            pools = group.rotation(self._site.now())
            other = plan.lane.balance.pick(pools, group.backend.balance) if pools else None
        if other is None or not group.budget.take():
            return False
        plan.lane.tally.retries += 1
        self._use(other)
        self._dial()
        return True

    def _fails_over(self, status: int, *, network: bool = True) -> bool:
        """Send the request again if the frontend's predicate says so; False when it does not."""
        plan, group, failover = self.plan, self._group, self.plan.frontend.failover
        if failover is None or group is None or self.upload.kept is None:
            return False
        if self.attempts >= ATTEMPTS_MAX or not (plan.idempotent or failover.asks_method):
            return False
        method = self.exchange.head.method.decode()
        attempt = Attempt(network, max(self.attempts, 1), status, method)
        if not failover.holds(attempt) or not group.budget.take():
            return False
        pools = group.rotation(self._site.now())
        if not pools:
            return False
        self._drop_upstream()
        plan.lane.tally.retries += 1
        if self.server is not None:
            self._tried += (self.server,)
        self.upload.again()
        self._use(self._other() or plan.lane.balance.pick(pools, group.backend.balance))
        self._dial()
        return True

    def overdue(self) -> None:
        """Act on the deadline that passed."""
        upstream = self._upstream
        assert upstream is not None
        if self._waits_for_continue:
            self._proceed()
            self._extend(upstream, BODY_IDLE_S)
            return
        client_is_slow = (
            not self.exchange.writable
            if self.started
            else not self.upload.complete and not upstream.write_paused
        )
        if not client_is_slow:
            self._note_failure(Broken(504, "nothing came in time"))
        self._drop_upstream()
        ended = "client-timeout" if client_is_slow else "server-timeout"
        if self.started:
            self._cut(ended)
        elif client_is_slow or not self._fails_over(504):
            self._refuse(408 if client_is_slow else 504, ended=ended)

    def _note_failure(self, failure: Broken) -> None:
        pool = self.server
        assert pool is not None
        pool.report(failure.reason)
        now_s = self._site.now()
        pool.window.record(now_s, failure.status, now_s - self._asked_s)
        if self._group is not None:
            self._group.failed(pool, now_s)

    def upstream_writable(self) -> None:
        """Read the request's body on."""
        self.exchange.resume()

    # the client's side

    def _proceed(self) -> None:
        self._waits_for_continue = False
        self.exchange.proceed()

    def _client_lost(self) -> None:
        self.plan.lane.tally.gone += 1
        self.exchange.lost = None
        self._drop_upstream()
        self._end(self.status or CLIENT_GONE, "client-gone")

    def _refuse(
        self, status: int, refusal: MiddlewareResponse | None = None, *, ended: str = ""
    ) -> None:
        self.plan.lane.tally.answer(status)
        refuse(self.exchange, status, refusal=refusal)
        self._let_go()
        self._end(status, ended or (f"middleware:{refusal.by}" if refusal else "refused"))

    def _cut(self, ended: str) -> None:
        self.plan.lane.tally.cut += 1
        exchange = self.exchange
        exchange.lost = None
        exchange.abort()
        self._let_go()
        self._end(self.status, ended)

    def _let_go(self) -> None:
        exchange = self.exchange
        exchange.lost = exchange.resumed = exchange.receiver = None
        self.upload.held = []

    def _drop_upstream(self) -> None:
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.drop()

    def _extend(self, upstream: Upstream, seconds: float) -> None:
        upstream.deadline_s = self._site.now() + seconds

    def _end(self, status: int, ended: str) -> None:
        """The request is over, however it went."""
        if self._over:
            return
        self._over = True
        self.upload.kept = None
        if self.server is not None:
            self.server.under_way -= 1
        self._site.ended(self, status, ended)
