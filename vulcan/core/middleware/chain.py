"""A frontend's middlewares at work: what each remembers, and what it says to a request.

A chain is made anew when its keys change; a middleware whose key is as it was keeps what it
remembers. Time is told, never read.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import msgspec

from vulcan.core.config import documents
from vulcan.core.config.documents import RateDocument
from vulcan.core.config.model import Middleware
from vulcan.core.middleware import basic_auth, compiler
from vulcan.core.middleware.breaker import Breaker, State
from vulcan.core.middleware.compiler import (
    BasicAuth,
    CircuitBreaker,
    ConnLimit,
    Headers,
    IpAllow,
    RateLimit,
    Redirect,
    Rewrite,
    Trace,
    Variable,
    Webhook,
)
from vulcan.core.middleware.limiters import ConnectionLimiter, Rate, RateLimiter, go_duration
from vulcan.core.routing.route import Facts

# More periods than this in a request's header are not a rate any more.
RATES_MAX = 16

Memory = RateLimiter | ConnectionLimiter | Breaker | None


class Asked(msgspec.Struct, frozen=True, gc=False):
    """A request as middlewares see it."""

    facts: Facts  # with the peer
    scheme: bytes
    authority: bytes
    target: bytes


@dataclass(frozen=True, slots=True)
class Refusal:
    """An answer instead of a server's; `fields` are complete lines."""

    status: int
    body: bytes = b""
    fields: bytes = b""
    content_type: bytes = b"text/plain; charset=utf-8"
    by: str = ""  # the middleware's id


class Passage:
    """A request on its way through a chain: what to do with it, and whom to tell at its end."""

    __slots__ = ("_breakers", "_limiters", "target", "traces", "webhooks")

    def __init__(self, target: bytes) -> None:
        self.target = target
        self.traces: list[Trace] = []
        self.webhooks: list[Webhook] = []
        self._limiters: list[tuple[ConnectionLimiter, bytes]] = []
        self._breakers: list[tuple[Breaker, CircuitBreaker]] = []

    def entered(self, limiter: ConnectionLimiter, source: bytes) -> None:
        """Remember to tell the limiter when the request ends."""
        self._limiters.append((limiter, source))

    def watched(self, breaker: Breaker, work: CircuitBreaker) -> None:
        """Remember to tell the breaker how the request ended."""
        self._breakers.append((breaker, work))

    def finish(self, now_s: float, status: int, latency_s: float) -> None:
        """Tell everyone that the request has ended; `webhooks` may have become more."""
        for limiter, source in self._limiters:
            limiter.leave(source)
        for breaker, work in self._breakers:
            tripped = breaker.answered(now_s, status, latency_s)
            if tripped and work.on_tripped:
                self.webhooks.append(work.on_tripped)
        self._limiters, self._breakers = [], []


class Chain:
    """The middlewares of one frontend, the outermost first."""

    def __init__(self, links: Sequence[tuple[Middleware, Memory]]) -> None:
        self._links = tuple(links)
        self.edits = _edits(tuple(each for each, _ in links))

    def enter(self, asked: Asked, now_s: float) -> tuple[Passage, Refusal | None]:
        """Lead a request through; the first that refuses it answers."""
        passage = Passage(asked.target)
        for each, memory in self._links:
            refusal = _step(each, memory, asked, passage, now_s)
            if refusal is not None:
                return passage, refusal
        return passage, None

    def after(self, middlewares: Sequence[Middleware]) -> "Chain | None":
        """Return the chain of new keys with the memory of those that stay."""
        known = {each.id: (each.document, memory) for each, memory in self._links}
        links: list[tuple[Middleware, Memory]] = []
        for each in middlewares:
            document, memory = known.get(each.id, (None, None))
            links.append((each, memory if document == each.document else _memory(each)))
        return Chain(links) if links else None

    def states(self) -> Mapping[str, str]:
        """Return the state of every breaker, by middleware id."""
        return {
            each.id: memory.state.value
            for each, memory in self._links
            if isinstance(memory, Breaker)
        }


def _memory(each: Middleware) -> Memory:
    match each.work:
        case RateLimit(rate=rate):
            return RateLimiter((rate,))
        case ConnLimit(connections=connections):
            return ConnectionLimiter(connections)
        case CircuitBreaker(condition=condition, timing=timing):
            return Breaker(condition, timing)
        case _:
            return None


def _step(
    each: Middleware, memory: Memory, asked: Asked, passage: Passage, now_s: float
) -> Refusal | None:
    match each.work, memory:
        case RateLimit() as work, RateLimiter() as limiter:
            return _limit_rate(work, limiter, each.id, asked, now_s)
        case ConnLimit() as work, ConnectionLimiter() as limiter:
            return _limit_connections(work, limiter, each.id, asked, passage)
        case CircuitBreaker() as work, Breaker() as breaker:
            return _break(work, breaker, each.id, passage, asked, now_s)
        case Rewrite() as work, _:
            return _rewrite(work, each.id, asked, passage)
        case Trace() as work, _:
            passage.traces.append(work)
        case BasicAuth(users, realm), _:
            if not users.admits(asked.facts.header(b"authorization")):
                field = f'WWW-Authenticate: Basic realm="{realm}", charset="UTF-8"\r\n'.encode()
                return Refusal(401, b"Unauthorized", field, by=each.id)
        case IpAllow(allow, deny), _:
            if not basic_auth.allowed(asked.facts.peer.decode("latin-1"), allow, deny):
                return Refusal(403, b"Forbidden", by=each.id)
        case _:
            pass
    return None


def _source(variable: Variable, facts: Facts) -> bytes:
    match variable.kind:
        case "peer":
            return facts.peer
        case "host":
            return facts.host
        case _:
            return facts.header(variable.name)


def _limit_rate(
    work: RateLimit, limiter: RateLimiter, by: str, asked: Asked, now_s: float
) -> Refusal | None:
    rates = _rates(asked.facts.header(work.rate_var)) if work.rate_var else None
    wait_s = limiter.wait_s(_source(work.variable, asked.facts), now_s, rates)
    if not wait_s:
        return None
    wait = go_duration(wait_s)
    fields = f"X-Retry-In: {wait}\r\nRetry-After: {int(wait_s) + 1}\r\n"
    return Refusal(429, f"max rate reached: retry-in {wait}".encode(), fields.encode(), by=by)


def _rates(value: bytes) -> tuple[Rate, ...] | None:
    """The rates that a request brings; None when they cannot be read."""
    if not value:
        return None
    try:
        given = msgspec.json.decode(value)
        if not isinstance(given, list) or not 0 < len(given) <= RATES_MAX:
            return None
        read = [documents.convert(each, RateDocument) for each in given]
        return tuple(compiler.rate(r.period_seconds, r.requests, r.burst) for r in read)
    except (msgspec.DecodeError, ValueError):
        return None


def _limit_connections(
    work: ConnLimit, limiter: ConnectionLimiter, by: str, asked: Asked, passage: Passage
) -> Refusal | None:
    source = _source(work.variable, asked.facts)
    if not limiter.enter(source):
        return Refusal(429, b"max connections reached: %d" % work.connections, by=by)
    passage.entered(limiter, source)
    return None


def _break(  # noqa: PLR0913, PLR0917
    work: CircuitBreaker,
    breaker: Breaker,
    by: str,
    passage: Passage,
    asked: Asked,
    now_s: float,
) -> Refusal | None:
    before = breaker.state
    admits = breaker.admits(now_s)
    if breaker.state is State.STANDBY and before is not State.STANDBY and work.on_standby:
        passage.webhooks.append(work.on_standby)
    if admits:
        passage.watched(breaker, work)
        return None
    fallback = work.fallback
    if isinstance(fallback, Redirect):
        location = fallback.url.encode()
        if fallback.preserve_path:
            location = location.rstrip(b"/") + asked.target
        return _redirect(302, location, by)
    return Refusal(
        fallback.status, fallback.body, content_type=fallback.content_type.encode(), by=by
    )


def _rewrite(work: Rewrite, by: str, asked: Asked, passage: Passage) -> Refusal | None:
    origin = b"%b://%b" % (asked.scheme, asked.authority)
    made = work.rewriting.apply(origin + passage.target, asked.facts)
    if made is None:
        return None
    if work.redirect:
        return _redirect(work.redirect, made, by)
    _, scheme, rest = made.partition(b"://")
    path = rest[rest.find(b"/") :] if scheme and b"/" in rest else (b"/" if scheme else made)
    passage.target = path.partition(b"#")[0] if path.startswith(b"/") else b"/" + path
    return None


def _redirect(status: int, location: bytes, by: str) -> Refusal:
    return Refusal(status, fields=b"Location: %b\r\n" % location, by=by)


def _edits(middlewares: Sequence[Middleware]) -> Headers | None:
    """Return what all `headers` middlewares do together; an inner one has the last word."""
    works = [each.work for each in middlewares if isinstance(each.work, Headers)]
    if not works:
        return None
    request = {name.lower(): (name, value) for work in works for name, value in work.request}
    response = {name.lower(): (name, value) for work in works for name, value in work.response}
    return Headers(
        tuple(request.values()),
        tuple(response.values()),
        frozenset(name for work in works for name in work.remove_request) | frozenset(request),
        frozenset(name for work in works for name in work.remove_response) | frozenset(response),
    )


EMPTY = Chain(())
