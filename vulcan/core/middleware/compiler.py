"""Middlewares of frontends, compiled from their keys: one row of `_TYPES` a type.

What they are told to do is here; what they remember is in `chain`.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from vulcan.core.balancing.sliding_window import Window
from vulcan.core.config import documents, go_durations
from vulcan.core.config.documents import (
    ActionDocument,
    BasicAuthDocument,
    BreakerDocument,
    ConnLimitDocument,
    HeadersDocument,
    IpAllowDocument,
    MiddlewareDocument,
    RateLimitDocument,
    RewriteDocument,
    TraceDocument,
    TypedActionDocument,
)
from vulcan.core.middleware import basic_auth
from vulcan.core.middleware.breaker import Timing
from vulcan.core.middleware.conditions import compile_condition
from vulcan.core.middleware.limiters import Rate
from vulcan.core.middleware.rewrite import Rewriting, compile_rewrite
from vulcan.core.middleware.syslog import Target, parse_target
from vulcan.core.routing.expression import ExpressionError

FALLBACK_S = RECOVERY_S = 10.0
CHECK_S = 0.1
REDIRECTS = frozenset((301, 302, 303, 307, 308))

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
# What frames and routes a message is not for operators to set.
_OURS = frozenset(
    ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding",
     "upgrade", "proxy-connection")
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Variable:
    """Whose share a limit counts: the client's address, the host, or a header."""

    kind: str
    name: bytes = b""


@dataclass(frozen=True, slots=True)
class RateLimit:
    """`ratelimit`."""

    rate: Rate
    variable: Variable
    rate_var: bytes  # the header that brings rates; empty without one


@dataclass(frozen=True, slots=True)
class ConnLimit:
    """`connlimit`."""

    connections: int
    variable: Variable


@dataclass(frozen=True, slots=True)
class Rewrite:
    """`rewrite`."""

    rewriting: Rewriting
    redirect: int  # the status; 0: the request goes on


@dataclass(frozen=True, slots=True)
class Response:
    """An answer instead of a server's."""

    status: int
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Redirect:
    """Another place to ask."""

    url: str
    preserve_path: bool


@dataclass(frozen=True, slots=True)
class Webhook:
    """A request that tells somebody."""

    url: str
    method: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass(frozen=True, slots=True)
class CircuitBreaker:
    """`cbreaker`."""

    condition: Callable[[Window], bool]
    timing: Timing
    fallback: Response | Redirect
    on_tripped: Webhook | None
    on_standby: Webhook | None


@dataclass(frozen=True, slots=True)
class Trace:
    """`trace`."""

    target: Target
    request_headers: tuple[bytes, ...]
    response_headers: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class BasicAuth:
    """`basicauth`."""

    users: basic_auth.Users
    realm: str


@dataclass(frozen=True, slots=True)
class Headers:
    """`headers`."""

    request: tuple[tuple[bytes, bytes], ...]
    response: tuple[tuple[bytes, bytes], ...]
    remove_request: frozenset[bytes]
    remove_response: frozenset[bytes]


@dataclass(frozen=True, slots=True)
class IpAllow:
    """`ipallow`."""

    allow: tuple[basic_auth.Network, ...]
    deny: tuple[basic_auth.Network, ...]


Work = RateLimit | ConnLimit | Rewrite | CircuitBreaker | Trace | BasicAuth | Headers | IpAllow


def compile_middleware(document: MiddlewareDocument) -> Work:
    """Compile what an envelope holds. ValueError says which field is wrong and why."""
    kind = _TYPES.get(document.type)
    if kind is None:
        raise ValueError(f'Type is "{document.type}": use one of {", ".join(_TYPES)}')
    shape, build = kind
    try:
        work: Work = build(documents.convert(document.middleware, shape))
    except (ExpressionError, documents.DocumentError) as error:
        raise ValueError(f"Middleware: {error}") from None
    return work


def _rate_limit(document: RateLimitDocument) -> RateLimit:
    rate_var = b""
    if document.rate_var:
        variable = _variable(document.rate_var)
        if variable.kind != "header":
            raise ValueError(f'RateVar is "{document.rate_var}": use request.header.NAME')
        rate_var = variable.name
    return RateLimit(
        rate(document.period_seconds, document.requests, document.burst),
        _variable(document.variable),
        rate_var,
    )


def rate(period_s: int, requests: int, burst: int) -> Rate:
    """Return a rate; ValueError when it lets nothing pass. No burst is as many as a period has."""
    if period_s <= 0 or requests <= 0:
        raise ValueError("PeriodSeconds and Requests have to be above 0")
    if burst < 0:
        raise ValueError("Burst is negative")
    return Rate(float(period_s), requests, burst or requests)


def _conn_limit(document: ConnLimitDocument) -> ConnLimit:
    if document.connections < 0:
        raise ValueError("Connections is negative")
    return ConnLimit(document.connections, _variable(document.variable))


def _variable(text: str) -> Variable:
    match text.split(".", 2):
        case ["client", "ip"]:
            return Variable("peer")
        case ["request", "host"]:
            return Variable("host")
        case ["request", "header", name] if _TOKEN.fullmatch(name):
            return Variable("header", name.lower().encode())
        case _:
            choice = "client.ip, request.host or request.header.NAME"
            raise ValueError(f'Variable is "{text}": use {choice}')


def _rewrite(document: RewriteDocument) -> Rewrite:
    if document.rewrite_body:
        raise ValueError("RewriteBody is not supported: a server's text is not a template")
    if document.code not in REDIRECTS:
        raise ValueError(f"Code is {document.code}: use one of {sorted(REDIRECTS)}")
    rewriting = compile_rewrite(document.regexp, document.replacement)
    return Rewrite(rewriting, document.code if document.redirect else 0)


def _breaker(document: BreakerDocument) -> CircuitBreaker:
    return CircuitBreaker(
        condition=compile_condition(document.condition),
        timing=Timing(
            _seconds("FallbackDuration", document.fallback_duration, FALLBACK_S),
            _seconds("RecoveryDuration", document.recovery_duration, RECOVERY_S),
            _seconds("CheckPeriod", document.check_period, CHECK_S),
        ),
        fallback=_fallback(_action(document.fallback)),
        on_tripped=_webhook("OnTripped", _action(document.on_tripped)),
        on_standby=_webhook("OnStandby", _action(document.on_standby)),
    )


def _seconds(field: str, value: int | str, default_s: float) -> float:
    try:
        seconds = value / 1e9 if isinstance(value, int) else go_durations.parse(value or "0")
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    if seconds < 0:
        raise ValueError(f"{field} is negative")
    return seconds or default_s


def _action(given: TypedActionDocument | str | None) -> TypedActionDocument | None:
    """An action, which some tools write as JSON in a string."""
    if isinstance(given, str):
        return documents.decode(given, TypedActionDocument) if given else None
    return given


def _fallback(given: TypedActionDocument | None) -> Response | Redirect:
    if given is None:
        return Response(503, "text/plain; charset=utf-8", b"Service Unavailable")
    action = given.action
    if given.type == "response":
        status = action.status_code or 503
        if not 200 <= status <= 599:
            raise ValueError(f"Fallback: StatusCode is {status}: use 200 to 599")
        kind = action.content_type or "text/plain; charset=utf-8"
        if _FIELD_VALUE.fullmatch(kind) is None:
            raise ValueError("Fallback: ContentType does not fit a header")
        return Response(status, kind, _body(action))
    if given.type == "redirect":
        _http_url("Fallback", action.url)
        return Redirect(action.url, action.preserve_path)
    raise ValueError(f'Fallback: Type is "{given.type}": use response or redirect')


def _webhook(field: str, given: TypedActionDocument | None) -> Webhook | None:
    if given is None:
        return None
    if given.type != "webhook":
        raise ValueError(f'{field}: Type is "{given.type}": use webhook')
    action = given.action
    _http_url(field, action.url)
    if _TOKEN.fullmatch(action.method) is None:
        raise ValueError(f"{field}: Method is missing")
    headers = [(name, value) for name, values in action.headers.items() for value in values]
    body = _body(action)
    if action.form:
        body = urlencode(action.form, doseq=True).encode()
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    return Webhook(action.url, action.method, tuple(_fields(headers)), body)


def _http_url(field: str, url: str) -> None:
    if urlsplit(url).scheme not in {"http", "https"} or _FIELD_VALUE.fullmatch(url) is None:
        raise ValueError(f'{field}: URL is "{url}": expected http:// or https://')


def _body(action: ActionDocument) -> bytes:
    """A body: base64 if it reads as that, as vulcand has it, else the text; an object as JSON."""
    match action.body:
        case None:
            return b""
        case str(text):
            try:
                return base64.b64decode(text, validate=True)
            except (binascii.Error, ValueError):
                return text.encode()
        case tree:
            return msgspec.json.encode(tree)


def _trace(document: TraceDocument) -> Trace:
    return Trace(
        parse_target(document.addr),
        tuple(name.lower().encode() for name in document.req_headers),
        tuple(name.lower().encode() for name in document.resp_headers),
    )


def _basic_auth(document: BasicAuthDocument) -> BasicAuth:
    users = dict(document.users)
    if document.username:
        users[document.username] = document.password
    if not users:
        raise ValueError("Users is empty: nobody could pass")
    if _FIELD_VALUE.fullmatch(document.realm) is None or '"' in document.realm:
        raise ValueError("Realm does not fit a header")
    return BasicAuth(basic_auth.Users(users), document.realm)


def _headers(document: HeadersDocument) -> Headers:
    def encoded(fields: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((k.encode(), v.encode()) for k, v in _fields(list(fields.items())))

    def names(given: tuple[str, ...]) -> frozenset[bytes]:
        return frozenset(name.lower().encode() for name, _ in _fields([(n, "") for n in given]))

    return Headers(
        encoded(document.request),
        encoded(document.response),
        names(document.remove_request),
        names(document.remove_response),
    )


def _fields(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for name, value in fields:
        if _TOKEN.fullmatch(name) is None or _FIELD_VALUE.fullmatch(value) is None:
            raise ValueError(f"{name!r} with {value!r} does not fit a header")
        if name.lower() in _OURS:
            raise ValueError(f"{name} is the proxy's own to write")
    return fields


def _ip_allow(document: IpAllowDocument) -> IpAllow:
    if not document.allow and not document.deny:
        raise ValueError("Allow and Deny are both empty")
    try:
        return IpAllow(basic_auth.networks(document.allow), basic_auth.networks(document.deny))
    except (ValueError, ipaddress.AddressValueError) as error:
        raise ValueError(str(error)) from None


_TYPES: dict[str, tuple[type[Any], Callable[[Any], Work]]] = {
    "ratelimit": (RateLimitDocument, _rate_limit),
    "connlimit": (ConnLimitDocument, _conn_limit),
    "rewrite": (RewriteDocument, _rewrite),
    "cbreaker": (BreakerDocument, _breaker),
    "trace": (TraceDocument, _trace),
    "basicauth": (BasicAuthDocument, _basic_auth),
    "auth": (BasicAuthDocument, _basic_auth),
    "headers": (HeadersDocument, _headers),
    "ipallow": (IpAllowDocument, _ip_allow),
}
