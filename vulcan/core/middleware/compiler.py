"""Middleware settings, checked and compiled from their documents.

`_COMPILERS` has one row for each type. What a middleware remembers is in `chain`.
"""

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode, urlsplit

import msgspec

from daemonkit.core import durations
from vulcan.core.config import documents
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
from vulcan.core.config.field_checks import TOKEN
from vulcan.core.http.fields import cgi_name
from vulcan.core.middleware import ip_allow
from vulcan.core.middleware.basic_auth import Users
from vulcan.core.middleware.breaker import BreakerTiming
from vulcan.core.middleware.conditions import compile_condition
from vulcan.core.middleware.limiters import Rate
from vulcan.core.middleware.rewrite import compile_rewrite
from vulcan.core.middleware.specs import (
    BasicAuthSpec,
    BreakerSpec,
    ConnLimitSpec,
    FallbackRedirect,
    FallbackResponse,
    HeadersSpec,
    IpAllowSpec,
    MiddlewareSpec,
    RateLimitSpec,
    RewriteSpec,
    TraceSpec,
    Variable,
    WebhookSpec,
)
from vulcan.core.middleware.syslog import parse_target
from vulcan.core.routing.expression import ExpressionError

FALLBACK_S = RECOVERY_S = 10.0
CHECK_S = 0.1
# Larger numbers are a mistake, and some of them are no floating point number.
RATE_MAX = 1_000_000_000
NANOSECONDS_MAX = 2**63 - 1
REDIRECTS = frozenset((301, 302, 303, 307, 308))

_FIELD_VALUE = re.compile(r"[\t\x20-\x7e]*", re.ASCII)
# The proxy writes these fields itself: they frame or route a message.
_RESERVED = frozenset(
    ("connection", "content-length", "host", "keep-alive", "te", "trailer", "transfer-encoding",
     "upgrade", "proxy-connection")
)  # fmt: skip


def compile_middleware(document: MiddlewareDocument) -> MiddlewareSpec:
    """Compile the settings of a middleware. ValueError says which field is wrong and why."""
    row = _COMPILERS.get(document.type)
    if row is None:
        raise ValueError(f'Type is "{document.type}": use one of {", ".join(_COMPILERS)}')
    settings, build = row
    try:
        spec: MiddlewareSpec = build(documents.convert(document.middleware, settings))
    except (ExpressionError, documents.DocumentError) as error:
        raise ValueError(f"Middleware: {error}") from None
    return spec


def _rate_limit(document: RateLimitDocument) -> RateLimitSpec:
    rate_var = b""
    if document.rate_var:
        variable = _variable(document.rate_var)
        if variable.kind != "header":
            raise ValueError(f'RateVar is "{document.rate_var}": use request.header.NAME')
        rate_var = variable.name
    return RateLimitSpec(
        rate(document.period_seconds, document.requests, document.burst),
        _variable(document.variable),
        rate_var,
    )


def rate(period_s: int, requests: int, burst: int) -> Rate:
    """Return a rate. Without a burst, a whole period's requests may come at once.

    ValueError for a rate that lets nothing pass.
    """
    if not 0 < period_s <= RATE_MAX or not 0 < requests <= RATE_MAX:
        raise ValueError(f"PeriodSeconds and Requests must be 1 to {RATE_MAX}")
    if not 0 <= burst <= RATE_MAX:
        raise ValueError(f"Burst must be 0 to {RATE_MAX}")
    return Rate(float(period_s), requests, burst or requests)


def _conn_limit(document: ConnLimitDocument) -> ConnLimitSpec:
    if document.connections < 0:
        raise ValueError("Connections is negative")
    return ConnLimitSpec(document.connections, _variable(document.variable))


def _variable(text: str) -> Variable:
    match text.split(".", 2):
        case ["client", "ip"]:
            return Variable("peer")
        case ["request", "host"]:
            return Variable("host")
        case ["request", "header", name] if TOKEN.fullmatch(name):
            return Variable("header", name.lower().encode())
        case _:
            choice = "client.ip, request.host or request.header.NAME"
            raise ValueError(f'Variable is "{text}": use {choice}')


def _rewrite(document: RewriteDocument) -> RewriteSpec:
    if document.rewrite_body:
        raise ValueError("RewriteBody is not supported: response bodies are passed on unchanged")
    if document.code not in REDIRECTS:
        raise ValueError(f"Code is {document.code}: use one of {sorted(REDIRECTS)}")
    rewrite = compile_rewrite(document.regexp, document.replacement)
    return RewriteSpec(rewrite, document.code if document.redirect else 0)


def _breaker(document: BreakerDocument) -> BreakerSpec:
    try:
        condition = compile_condition(document.condition)
    except ExpressionError as error:
        raise ValueError(f"Condition: {error}") from None
    return BreakerSpec(
        condition=condition,
        timing=BreakerTiming(
            _seconds("FallbackDuration", document.fallback_duration, FALLBACK_S),
            _seconds("RecoveryDuration", document.recovery_duration, RECOVERY_S),
            _seconds("CheckPeriod", document.check_period, CHECK_S),
        ),
        fallback=_fallback(_action(document.fallback)),
        on_tripped=_webhook("OnTripped", _action(document.on_tripped)),
        on_standby=_webhook("OnStandby", _action(document.on_standby)),
    )


def _seconds(field: str, value: int | str, default_s: float) -> float:
    if isinstance(value, int) and value > NANOSECONDS_MAX:
        raise ValueError(f'{field} has more nanoseconds than 63 bits: write it like "10s"')
    try:
        seconds = value / 1e9 if isinstance(value, int) else durations.parse(value or "0")
    except ValueError as error:
        raise ValueError(f"{field}: {error}") from None
    if seconds < 0:
        raise ValueError(f"{field} is negative")
    return seconds or default_s


def _action(given: TypedActionDocument | str | None) -> TypedActionDocument | None:
    """Read an action; some tools write it as JSON in a string."""
    if isinstance(given, str):
        return documents.decode(given, TypedActionDocument) if given else None
    return given


def _fallback(given: TypedActionDocument | None) -> FallbackResponse | FallbackRedirect:
    if given is None:
        return FallbackResponse(503, "text/plain; charset=utf-8", b"Service Unavailable")
    action = given.action
    if given.type == "response":
        status = action.status_code or 503
        if not 200 <= status <= 599:
            raise ValueError(f"Fallback: StatusCode is {status}: use 200 to 599")
        kind = action.content_type or "text/plain; charset=utf-8"
        if _FIELD_VALUE.fullmatch(kind) is None:
            raise ValueError("Fallback: ContentType is not valid in a header")
        return FallbackResponse(status, kind, _body(action))
    if given.type == "redirect":
        _http_url("Fallback", action.url)
        return FallbackRedirect(action.url, action.preserve_path)
    raise ValueError(f'Fallback: Type is "{given.type}": use response or redirect')


def _webhook(field: str, given: TypedActionDocument | None) -> WebhookSpec | None:
    if given is None:
        return None
    if given.type != "webhook":
        raise ValueError(f'{field}: Type is "{given.type}": use webhook')
    action = given.action
    _http_url(field, action.url)
    if TOKEN.fullmatch(action.method) is None:
        raise ValueError(f"{field}: Method is missing")
    headers = [(name, value) for name, values in action.headers.items() for value in values]
    body = _body(action)
    if action.form:
        body = urlencode(action.form, doseq=True).encode()
        headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    return WebhookSpec(action.url, action.method, tuple(_fields(headers)), body)


def _http_url(field: str, url: str) -> None:
    try:
        scheme = urlsplit(url).scheme
    except ValueError as error:
        raise ValueError(f'{field}: URL is "{url}": {error}') from None
    if scheme not in {"http", "https"} or _FIELD_VALUE.fullmatch(url) is None:
        raise ValueError(f'{field}: URL is "{url}": expected http:// or https://')


def _body(action: ActionDocument) -> bytes:
    """Return a body. As in vulcand, a text that is valid base64 is decoded; an object is JSON."""
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


def _trace(document: TraceDocument) -> TraceSpec:
    return TraceSpec(
        parse_target(document.addr),
        tuple(name.lower().encode() for name in document.req_headers),
        tuple(name.lower().encode() for name in document.resp_headers),
    )


def _basic_auth(document: BasicAuthDocument) -> BasicAuthSpec:
    users = dict(document.users)
    if document.username:
        users[document.username] = document.password
    if not users:
        raise ValueError("Users is empty: nobody could log in")
    if missing := [name for name, password in users.items() if not password]:
        raise ValueError(f"the password of {missing[0]} is missing: the API does not show it")
    if _FIELD_VALUE.fullmatch(document.realm) is None or '"' in document.realm:
        raise ValueError("Realm is not valid in a header")
    return BasicAuthSpec(Users(users), document.realm)


def _headers(document: HeadersDocument) -> HeadersSpec:
    def encoded(fields: dict[str, str]) -> tuple[tuple[bytes, bytes], ...]:
        return tuple((k.encode(), v.encode()) for k, v in _fields(list(fields.items())))

    def names(given: tuple[str, ...]) -> frozenset[bytes]:
        return frozenset(cgi_name(name.encode()) for name, _ in _fields([(n, "") for n in given]))

    return HeadersSpec(
        encoded(document.request),
        encoded(document.response),
        names(document.remove_request),
        names(document.remove_response),
    )


def _fields(fields: list[tuple[str, str]]) -> list[tuple[str, str]]:
    for name, value in fields:
        if TOKEN.fullmatch(name) is None or _FIELD_VALUE.fullmatch(value) is None:
            raise ValueError(f"{name!r} or its value is not valid in a header")
        if name.lower() in _RESERVED:
            raise ValueError(f"{name} is written by the proxy: you cannot set or remove it")
    return fields


def _ip_allow(document: IpAllowDocument) -> IpAllowSpec:
    if not document.allow and not document.deny:
        raise ValueError("Allow and Deny are both empty")
    try:
        return IpAllowSpec(ip_allow.networks(document.allow), ip_allow.networks(document.deny))
    except (ValueError, ipaddress.AddressValueError) as error:
        raise ValueError(str(error)) from None


_COMPILERS: dict[str, tuple[type[Any], Callable[[Any], MiddlewareSpec]]] = {
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
_GUARDS = frozenset(("basicauth", "auth", "ipallow"))


def may_guard(type_: str) -> bool:
    """Whether a middleware of this type decides who may use a frontend; an unknown type may."""
    return type_ in _GUARDS or type_ not in _COMPILERS
