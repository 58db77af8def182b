"""Frontends and their middlewares, decoded from their keys."""

from dataclasses import dataclass

from vulcan.core.config import documents
from vulcan.core.config.documents import FrontendDocument, MiddlewareDocument
from vulcan.core.config.errors import ModelError
from vulcan.core.config.field_checks import HEADER_VALUE, check_id, check_type
from vulcan.core.middleware.compiler import compile_middleware, may_guard
from vulcan.core.middleware.conditions import FailoverPredicate, compile_failover_predicate
from vulcan.core.middleware.specs import ClosedSpec, MiddlewareSpec
from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.route import Route, compile_route

# The part of a body that is kept for a failover predicate; a larger body is sent only once.
REPLAY_BODY_BYTES = 1024 * 1024
# A closed frontend answers before any other middleware does.
CLOSED_PRIORITY = -(2**63)


@dataclass(frozen=True, slots=True)
class Frontend:
    """Which requests go to which backend, and how they are forwarded."""

    id: str
    backend: str
    route: Route
    priority: int
    hostname: str  # the X-Forwarded-Server field, when set
    trust_forwarded: bool
    pass_host: bool
    body_bytes_max: int  # 0: no limit
    replay_bytes_max: int  # of a body that a failover predicate may send again
    failover: FailoverPredicate | None
    document: FrontendDocument


@dataclass(frozen=True, slots=True)
class Middleware:
    """Something that a frontend does to its requests besides forwarding them."""

    id: str
    frontend: str
    priority: int  # smaller runs first
    spec: MiddlewareSpec
    document: MiddlewareDocument


def decode_frontend(id_: str, document: FrontendDocument) -> Frontend:
    """Check a frontend and compile its route. Raises ModelError."""
    check_id("frontend", id_)
    check_type(document.type)
    if not document.backend_id:
        raise ModelError("BackendId is empty: name the backend that gets the requests")
    try:
        route = compile_route(document.route)
    except ExpressionError as error:
        raise ModelError(f"Route: {error}") from None
    settings = document.settings
    if HEADER_VALUE.fullmatch(settings.hostname) is None:
        raise ModelError(f"Settings.Hostname is {settings.hostname!r}: it is not valid in a header")
    limits = settings.limits
    if limits.max_body_bytes < 0 or limits.max_mem_body_bytes < 0:
        raise ModelError("Settings.Limits has a negative number: use 0 for no limit")
    return Frontend(
        id=id_,
        backend=document.backend_id,
        route=route,
        priority=settings.priority,
        hostname=settings.hostname,
        trust_forwarded=settings.trust_forward_header,
        pass_host=settings.pass_host_header,
        body_bytes_max=limits.max_body_bytes,
        replay_bytes_max=limits.max_mem_body_bytes or REPLAY_BODY_BYTES,
        failover=_failover(settings.failover_predicate),
        document=document,
    )


def decode_middleware(frontend: str, id_: str, document: MiddlewareDocument) -> Middleware:
    """Check a middleware and compile its settings. Raises ModelError."""
    check_id("middleware", id_)
    check_id("frontend", frontend)
    try:
        spec = compile_middleware(document)
    except ValueError as error:
        raise ModelError(str(error)) from None
    return Middleware(id_, frontend, document.priority, spec, document)


def closing(frontend: str, id_: str, value: str, reason: str) -> Middleware | None:
    """Return what stands for a middleware that is invalid for `reason`: its frontend is closed.

    Without the middleware, the frontend would be open to everybody. None if it guards nothing.
    """
    type_ = _type_in(value)
    if not may_guard(type_):
        return None
    shown = MiddlewareDocument(id=id_, type=type_)
    return Middleware(id_, frontend, CLOSED_PRIORITY, ClosedSpec(reason), shown)


def _type_in(value: str) -> str:
    """Return the type in the value of an invalid middleware, empty if nobody can tell."""
    try:
        document = documents.canonical(documents.parse_json(value))
    except documents.DocumentError:
        return ""
    type_ = document.get("Type") if isinstance(document, dict) else None
    return type_ if isinstance(type_, str) else ""


def _failover(text: str) -> FailoverPredicate | None:
    if not text:
        return None
    try:
        return compile_failover_predicate(text)
    except ExpressionError as error:
        raise ModelError(f"Settings.FailoverPredicate: {error}") from None
