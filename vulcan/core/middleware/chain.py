"""The middlewares of a frontend at work: their state, and what they do to each request.

A chain is rebuilt when its keys change. A middleware whose key did not change keeps its state.
The caller passes the time in.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vulcan.core.config import documents
from vulcan.core.config.documents import RateDocument
from vulcan.core.config.frontend import Middleware
from vulcan.core.http.fields import cgi_name
from vulcan.core.middleware import compiler, ip_allow
from vulcan.core.middleware.basic_auth import Logins, Users
from vulcan.core.middleware.breaker import BreakerState, CircuitBreaker
from vulcan.core.middleware.limiters import (
    ConnectionLimiter,
    Rate,
    RateLimiter,
    format_wait,
    source_key,
)
from vulcan.core.middleware.specs import (
    BasicAuthSpec,
    BreakerSpec,
    ClosedSpec,
    ConnLimitSpec,
    FallbackRedirect,
    HeadersSpec,
    IpAllowSpec,
    RateLimitSpec,
    RewriteSpec,
    TraceSpec,
    Variable,
    WebhookSpec,
)
from vulcan.core.routing.request_view import RequestView

# A request's header with more rates than this is not taken.
RATES_MAX = 16

MiddlewareState = RateLimiter | ConnectionLimiter | CircuitBreaker | Logins | None


class MiddlewareRequest(msgspec.Struct, frozen=True, gc=False):
    """A request as middlewares see it."""

    view: RequestView  # with the client's address
    scheme: bytes
    authority: bytes
    target: bytes


@dataclass(frozen=True, slots=True)
class MiddlewareResponse:
    """A middleware's own response to a request that is not forwarded."""

    status: int
    body: bytes = b""
    fields: bytes = b""  # complete header lines
    content_type: bytes = b"text/plain; charset=utf-8"
    by: str = ""  # the middleware's id


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """The run waits for `users.admits(authorization)`, which takes long; then `resume` it."""

    users: Users
    authorization: bytes


Verdict = MiddlewareResponse | PasswordCheck | None  # None: the request may go to a server


class MiddlewareRun:
    """One request's run through a chain, and what is left to do when the request ends."""

    __slots__ = ("_breakers", "_limiters", "over", "position", "target", "traces", "webhooks")

    def __init__(self, target: bytes) -> None:
        self.target = target
        self.position = 0  # of the middleware that the request has come to
        self.over = False  # nothing more may be taken for the request
        self.traces: list[TraceSpec] = []
        self.webhooks: list[WebhookSpec] = []
        self._limiters: list[tuple[ConnectionLimiter, bytes]] = []
        self._breakers: list[tuple[CircuitBreaker, BreakerSpec]] = []

    def release_at_end(self, limiter: ConnectionLimiter, source: bytes) -> None:
        """Give the request's place back to the limiter when the request ends."""
        self._limiters.append((limiter, source))

    def record_at_end(self, breaker: CircuitBreaker, spec: BreakerSpec) -> None:
        """Record the response in the breaker when the request ends."""
        self._breakers.append((breaker, spec))

    def finish(self, now_s: float, status: int, latency_s: float) -> None:
        """Note the end of the request. This may add to `webhooks`."""
        self.over = True
        for limiter, source in self._limiters:
            limiter.release(source)
        for breaker, spec in self._breakers:
            tripped = breaker.record(now_s, status, latency_s)
            if tripped and spec.on_tripped:
                self.webhooks.append(spec.on_tripped)
        self._limiters, self._breakers = [], []


class Chain:
    """The middlewares of one frontend, the outermost first."""

    def __init__(self, links: Sequence[tuple[Middleware, MiddlewareState]]) -> None:
        self._links = tuple(links)
        self.edits = _header_edits(tuple(each for each, _ in links))

    def advance(self, request: MiddlewareRequest, run: MiddlewareRun, now_s: float) -> Verdict:
        """Run a request through the rest of the chain, until a middleware has a verdict."""
        for each, state in self._links[run.position :]:
            verdict = _step(each, state, request, run, now_s)
            if verdict is not None:
                return verdict
            run.position += 1
        return None

    def resume(
        self, request: MiddlewareRequest, run: MiddlewareRun, now_s: float, *, admitted: bool
    ) -> Verdict:
        """Go on with a run that waited for a password's check."""
        each, state = self._links[run.position]
        assert isinstance(each.spec, BasicAuthSpec)
        assert isinstance(state, Logins)
        if not admitted:
            return _unauthorized(each.spec, each.id)
        state.remember(request.view.header(b"authorization"))
        run.position += 1
        return self.advance(request, run, now_s)

    def after(self, middlewares: Sequence[Middleware]) -> "Chain | None":
        """Return the chain for changed keys; middlewares that stay keep their state."""
        known = {each.id: (each.document, state) for each, state in self._links}
        links: list[tuple[Middleware, MiddlewareState]] = []
        for each in middlewares:
            document, state = known.get(each.id, (None, None))
            links.append((each, state if document == each.document else _initial_state(each)))
        return Chain(links) if links else None

    def states(self) -> Mapping[str, str]:
        """Return the state of every breaker, by middleware id."""
        return {
            each.id: state.state.value
            for each, state in self._links
            if isinstance(state, CircuitBreaker)
        }


def _initial_state(each: Middleware) -> MiddlewareState:
    match each.spec:
        case RateLimitSpec(rate=rate):
            return RateLimiter((rate,))
        case ConnLimitSpec(connections=connections):
            return ConnectionLimiter(connections)
        case BreakerSpec(condition=condition, timing=timing):
            return CircuitBreaker(condition, timing)
        case BasicAuthSpec():
            return Logins()
        case _:
            return None


def _step(
    each: Middleware,
    state: MiddlewareState,
    request: MiddlewareRequest,
    run: MiddlewareRun,
    now_s: float,
) -> Verdict:
    match each.spec, state:
        case RateLimitSpec() as spec, RateLimiter() as limiter:
            return _limit_rate(spec, limiter, each.id, request, now_s)
        case ConnLimitSpec() as spec, ConnectionLimiter() as limiter:
            return _limit_connections(spec, limiter, each.id, request, run)
        case BreakerSpec() as spec, CircuitBreaker() as breaker:
            return _break(spec, breaker, each.id, run, request, now_s)
        case RewriteSpec() as spec, _:
            return _rewrite(spec, each.id, request, run)
        case TraceSpec() as spec, _:
            run.traces.append(spec)
        case BasicAuthSpec() as spec, Logins() as logins:
            return _log_in(spec, logins, each.id, request)
        case IpAllowSpec(allow, deny), _:
            if not ip_allow.allowed(request.view.peer.decode("latin-1"), allow, deny):
                return MiddlewareResponse(403, b"Forbidden", by=each.id)
        case ClosedSpec(), _:
            return MiddlewareResponse(503, b"Service Unavailable", by=each.id)
        case _:
            pass
    return None


def _log_in(spec: BasicAuthSpec, logins: Logins, by: str, request: MiddlewareRequest) -> Verdict:
    authorization = request.view.header(b"authorization")
    if spec.users.takes_long(authorization):
        if logins.admitted(authorization):
            return None
        return PasswordCheck(spec.users, authorization)
    return None if spec.users.admits(authorization) else _unauthorized(spec, by)


def _unauthorized(spec: BasicAuthSpec, by: str) -> MiddlewareResponse:
    field = f'WWW-Authenticate: Basic realm="{spec.realm}", charset="UTF-8"\r\n'
    return MiddlewareResponse(401, b"Unauthorized", field.encode(), by=by)


def _source(variable: Variable, view: RequestView) -> bytes:
    match variable.kind:
        case "peer":
            return view.peer
        case "host":
            return view.host
        case _:
            return source_key(view.header(variable.name))


def _limit_rate(
    spec: RateLimitSpec, limiter: RateLimiter, by: str, request: MiddlewareRequest, now_s: float
) -> MiddlewareResponse | None:
    rates = _request_rates(request.view.header(spec.rate_var)) if spec.rate_var else None
    wait_s = limiter.wait_s(_source(spec.variable, request.view), now_s, rates)
    if not wait_s:
        return None
    wait = format_wait(wait_s)
    fields = f"X-Retry-In: {wait}\r\nRetry-After: {int(wait_s) + 1}\r\n"
    body = f"max rate reached: retry-in {wait}"
    return MiddlewareResponse(429, body.encode(), fields.encode(), by=by)


def _request_rates(value: bytes) -> tuple[Rate, ...] | None:
    """Return the rates that a request's header brings; None when they are invalid."""
    if not value:
        return None
    try:
        given = documents.parse_json(value)
        if not isinstance(given, list) or not 0 < len(given) <= RATES_MAX:
            return None
        read = [documents.convert(each, RateDocument) for each in given]
        return tuple(compiler.rate(r.period_seconds, r.requests, r.burst) for r in read)
    except ValueError:
        return None


def _limit_connections(
    spec: ConnLimitSpec,
    limiter: ConnectionLimiter,
    by: str,
    request: MiddlewareRequest,
    run: MiddlewareRun,
) -> MiddlewareResponse | None:
    source = _source(spec.variable, request.view)
    if not limiter.acquire(source):
        return MiddlewareResponse(429, b"max connections reached: %d" % spec.connections, by=by)
    run.release_at_end(limiter, source)
    return None


def _break(  # noqa: PLR0913, PLR0917
    spec: BreakerSpec,
    breaker: CircuitBreaker,
    by: str,
    run: MiddlewareRun,
    request: MiddlewareRequest,
    now_s: float,
) -> MiddlewareResponse | None:
    before = breaker.state
    admits = breaker.admits(now_s)
    closed = breaker.state is BreakerState.STANDBY and before is not BreakerState.STANDBY
    if closed and spec.on_standby:
        run.webhooks.append(spec.on_standby)
    if admits:
        run.record_at_end(breaker, spec)
        return None
    fallback = spec.fallback
    if isinstance(fallback, FallbackRedirect):
        location = fallback.url.encode()
        if fallback.preserve_path:
            location = location.rstrip(b"/") + request.target
        return _redirect(302, location, by)
    return MiddlewareResponse(
        fallback.status, fallback.body, content_type=fallback.content_type.encode(), by=by
    )


def _rewrite(
    spec: RewriteSpec, by: str, request: MiddlewareRequest, run: MiddlewareRun
) -> MiddlewareResponse | None:
    origin = b"%b://%b" % (request.scheme, request.authority)
    view = request.view.with_path(request.target.partition(b"?")[0])  # encoded, as in a URL
    url = spec.rewrite.apply(origin + run.target, view)
    if url is None:
        return None
    if spec.redirect:
        return _redirect(spec.redirect, url, by)
    _, scheme, rest = url.partition(b"://")
    path = rest[rest.find(b"/") :] if scheme and b"/" in rest else (b"/" if scheme else url)
    run.target = path.partition(b"#")[0] if path.startswith(b"/") else b"/" + path
    return None


def _redirect(status: int, location: bytes, by: str) -> MiddlewareResponse:
    return MiddlewareResponse(status, fields=b"Location: %b\r\n" % location, by=by)


def _header_edits(middlewares: Sequence[Middleware]) -> HeadersSpec | None:
    """Return the combined edits of all `headers` middlewares; an inner one overrides an outer."""
    specs = [each.spec for each in middlewares if isinstance(each.spec, HeadersSpec)]
    if not specs:
        return None
    request = {cgi_name(name): (name, value) for spec in specs for name, value in spec.request}
    response = {cgi_name(name): (name, value) for spec in specs for name, value in spec.response}
    return HeadersSpec(
        tuple(request.values()),
        tuple(response.values()),
        frozenset(name for spec in specs for name in spec.remove_request) | frozenset(request),
        frozenset(name for spec in specs for name in spec.remove_response) | frozenset(response),
    )


EMPTY = Chain(())
