"""Backends, servers and frontends, decoded from their keys under `/vulcand/`.

The id in the key path wins over the one in the document.
"""

import re
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import SplitResult, urlsplit

import msgspec

from vulcan.core.balancing.ejection import Passive
from vulcan.core.balancing.policies import BALANCES
from vulcan.core.config import documents, go_durations, listener, tls_settings
from vulcan.core.config.documents import (
    BackendDocument,
    FrontendDocument,
    HealthCheckDocument,
    HostDocument,
    ListenerDocument,
    MiddlewareDocument,
    PassiveDocument,
    ServerDocument,
    StickyDocument,
)
from vulcan.core.config.errors import ModelError
from vulcan.core.config.listener import Host, Listener
from vulcan.core.config.secretbox import Seal
from vulcan.core.config.tls_settings import TlsSettings
from vulcan.core.middleware.compiler import Work, compile_middleware
from vulcan.core.middleware.conditions import Failover, compile_failover
from vulcan.core.routing.route import ExpressionError, Route, compile_route

DIAL_S = 5.0
# Far beyond what systemd lets a service take to stop; only a stream without an end is cut by it.
DRAIN_S = 300.0
READ_S = 60.0
# Go keeps two idle connections a host, which is next to no pooling; this many cost 1 MiB.
IDLE_CONNECTIONS = 256
# What a failover predicate may need to send again; larger bodies are sent once.
KEPT_BODY_BYTES = 1024 * 1024
WEIGHT_MAX = 1000
CHECK_INTERVAL_S, CHECK_TIMEOUT_S = 10.0, 2.0
CHECK_RISE, CHECK_FALL = 2, 3
CHECK_INTERVAL_S_MIN = 0.05
NO_SEAL = Seal()

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]*", re.ASCII)
_TARGET = re.compile(r"/[\x21-\x7e]*", re.ASCII)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,64}", re.ASCII)
_COOKIE_PATH = re.compile(r"/[\x21-\x3a\x3c-\x7e]*", re.ASCII)

__all__ = ["Backend", "Entity", "Frontend", "Middleware", "ModelError", "Server", "decode"]


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How a server is asked whether it is well."""

    path: str  # empty: a connection is enough
    method: str
    host: str  # empty: the server's own
    interval_s: float
    timeout_s: float
    status: int  # 0: any below 400
    rise: int
    fall: int


@dataclass(frozen=True, slots=True)
class Sticky:
    """The cookie that keeps a client with its server."""

    cookie: str
    attributes: str  # as Set-Cookie has them, with their semicolons


@dataclass(frozen=True, slots=True)
class Backend:
    """A set of servers and how to talk to them."""

    id: str
    dial_s: float
    read_s: float  # to the end of the response head
    idle_max: int  # pooled connections for each server, in each worker
    probe_s: float  # of TCP keep-alive; 0: the system's
    tls: TlsSettings
    handshake_s: float
    balance: str
    health: HealthCheck | None
    passive: Passive | None
    slow_start_s: float
    drain_s: float  # that requests of a removed server may take
    sticky: Sticky | None
    document: BackendDocument


@dataclass(frozen=True, slots=True)
class Server:
    """Where one instance of a backend listens."""

    id: str
    backend: str
    host: str
    port: int
    secure: bool
    weight: int
    document: ServerDocument

    @property
    def authority(self) -> str:
        """`host:port` as a Host header has it; two servers with the same one are the same."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """Tells servers apart: `scheme://host:port`."""
        return ("https://" if self.secure else "http://") + self.authority


@dataclass(frozen=True, slots=True)
class Frontend:
    """Which requests go to which backend, and what is done to them."""

    id: str
    backend: str
    route: Route
    priority: int
    hostname: str  # X-Forwarded-Server, when set
    trust_forwarded: bool
    pass_host: bool
    body_bytes_max: int  # 0: no bound
    kept_bytes_max: int  # of a body that a failover predicate may have sent again
    failover: Failover | None
    document: FrontendDocument


@dataclass(frozen=True, slots=True)
class Middleware:
    """What a frontend does to its requests besides forwarding them."""

    id: str
    frontend: str
    priority: int  # smaller runs first
    work: Work
    document: MiddlewareDocument


Entity = Backend | Server | Frontend | Middleware | Host | Listener


def decode(path: str, value: str, sealed_by: Seal = NO_SEAL) -> Entity:
    """Decode the key at `path`, relative to the prefix, such as `backends/b1/servers/s1`.

    Raises ModelError for a path that is none of ours, and for a value that is wrong.
    """
    try:
        return _decode(path.split("/"), value, sealed_by)
    except documents.DocumentError as error:
        raise ModelError(f"bad JSON: {error}") from None


def _decode(segments: list[str], value: str, sealed_by: Seal) -> Entity:
    match segments:
        case ["backends", id_, "backend"]:
            return _backend(id_, documents.decode(value, BackendDocument))
        case ["backends", backend, "servers", id_]:
            return _server(backend, id_, documents.decode(value, ServerDocument))
        case ["frontends", id_, "frontend"]:
            return _frontend(id_, documents.decode(value, FrontendDocument))
        case ["frontends", frontend, "middlewares", id_]:
            return _middleware(frontend, id_, documents.decode(value, MiddlewareDocument))
        case ["hosts", name, "host"]:
            return listener.host(name, documents.decode(value, HostDocument), sealed_by)
        case ["listeners", id_]:
            _check_id("listener", id_)
            return listener.listener(id_, documents.decode(value, ListenerDocument))
        case _:
            raise ModelError(
                "not a key of the proxy: expected backends/ID/backend, backends/ID/servers/ID, "
                "frontends/ID/frontend, frontends/ID/middlewares/ID, hosts/NAME/host or "
                "listeners/ID below the prefix"
            )


def unknown_fields(path: str, value: str) -> list[str]:
    """Return the fields of a key's value, which `decode` took, that have no meaning here."""
    match path.split("/"):
        case ["backends", _, "backend"]:
            return documents.unknown(value, BackendDocument)
        case ["backends", _, "servers", _]:
            return documents.unknown(value, ServerDocument)
        case ["frontends", _, "frontend"]:
            return documents.unknown(value, FrontendDocument)
        case ["frontends", _, "middlewares", _]:
            return documents.unknown(value, MiddlewareDocument)
        case ["hosts", _, "host"]:
            return documents.unknown(value, HostDocument)
        case _:
            return documents.unknown(value, ListenerDocument)


def default_backend(id_: str) -> Backend:
    """Return the backend that servers without a `backend` key belong to."""
    return _backend(id_, BackendDocument())


def to_json(entity: Entity) -> dict[str, Any]:
    """Return the document with Go's field names, under the id of its key; no private keys."""
    document: dict[str, Any] = msgspec.to_builtins(entity.document)
    match entity:
        case Host(name=name):
            document["Settings"]["KeyPair"] = None
            return {**document, "Name": name}
        case Backend() | Server() | Frontend() | Middleware() | Listener():
            return {**document, "Id": entity.id}
        case _:
            assert_never(entity)


def _backend(id_: str, document: BackendDocument) -> Backend:
    _check_id("backend", id_)
    _check_type(document.type)
    settings = document.settings
    idle = settings.keep_alive.max_idle_conns_per_host
    if idle < 0:
        raise ModelError(f"Settings.KeepAlive.MaxIdleConnsPerHost is {idle}: use 0 or more")
    if settings.balance and settings.balance not in BALANCES:
        choice = ", ".join(BALANCES)
        raise ModelError(f'Settings.Balance is "{settings.balance}": use one of {choice}')
    dial_s = _seconds("Settings.Timeouts.Dial", settings.timeouts.dial, DIAL_S)
    handshake = settings.timeouts.tls_handshake
    try:
        tls = tls_settings.settings(settings.tls)
    except ValueError as error:
        raise ModelError(f"Settings.TLS.{error}") from None
    return Backend(
        id=id_,
        dial_s=dial_s,
        read_s=_seconds("Settings.Timeouts.Read", settings.timeouts.read, READ_S),
        idle_max=idle or IDLE_CONNECTIONS,
        probe_s=_seconds("Settings.KeepAlive.Period", settings.keep_alive.period, 0.0),
        tls=tls,
        handshake_s=_seconds("Settings.Timeouts.TLSHandshake", handshake, dial_s),
        balance=settings.balance or "rr",
        health=_health(settings.health_check),
        passive=_passive(settings.passive),
        slow_start_s=_seconds("Settings.SlowStart", settings.slow_start, 0.0),
        drain_s=_seconds("Settings.Drain", settings.drain, DRAIN_S),
        sticky=_sticky(settings.sticky),
        document=document,
    )


def _health(document: HealthCheckDocument | None) -> HealthCheck | None:
    if document is None:
        return None
    if document.path and _TARGET.fullmatch(document.path) is None:
        raise ModelError(f'Settings.HealthCheck.Path is "{document.path}": begin it with /')
    if not _TOKEN.fullmatch(document.method) or not _HEADER_VALUE.fullmatch(document.host):
        raise ModelError("Settings.HealthCheck: Method or Host does not fit a request")
    if min(document.rise, document.fall, document.status) < 0:
        raise ModelError("Settings.HealthCheck: Rise, Fall or Status is negative")
    interval_s = _seconds("Settings.HealthCheck.Interval", document.interval, CHECK_INTERVAL_S)
    return HealthCheck(
        path=document.path,
        method=document.method,
        host=document.host,
        interval_s=max(interval_s, CHECK_INTERVAL_S_MIN),
        timeout_s=_seconds("Settings.HealthCheck.Timeout", document.timeout, CHECK_TIMEOUT_S),
        status=document.status,
        rise=document.rise or CHECK_RISE,
        fall=document.fall or CHECK_FALL,
    )


def _passive(document: PassiveDocument) -> Passive | None:
    if document.disabled:
        return None
    if document.failures < 0:
        raise ModelError("Settings.Passive.Failures is negative")
    default = Passive()
    penalty_s = _seconds("Settings.Passive.Penalty", document.penalty, default.penalty_s)
    return Passive(document.failures or default.failures, penalty_s)


def _sticky(document: StickyDocument | None) -> Sticky | None:
    if document is None:
        return None
    if not _TOKEN.fullmatch(document.cookie) or not _COOKIE_PATH.fullmatch(document.path):
        raise ModelError("Settings.Sticky: Cookie or Path does not fit a cookie")
    if document.same_site.lower() not in {"", "lax", "strict", "none"}:
        raise ModelError(f'Settings.Sticky.SameSite is "{document.same_site}"')
    attributes = f"; Path={document.path}"
    attributes += f"; Max-Age={document.max_age}" if document.max_age > 0 else ""
    attributes += "; Secure" if document.secure else ""
    attributes += "; HttpOnly" if document.http_only else ""
    if document.same_site:
        attributes += f"; SameSite={document.same_site.capitalize()}"
    return Sticky(document.cookie, attributes)


def _server(backend: str, id_: str, document: ServerDocument) -> Server:
    _check_id("server", id_)
    _check_id("backend", backend)
    url, host, port = _split(document.url)
    if url.scheme not in {"http", "https"} or not host:
        raise ModelError(f'URL is "{document.url}": expected http://HOST:PORT')
    if _HOST_NAME.fullmatch(host) is None or url.username is not None:
        raise ModelError(f'URL is "{document.url}": "{url.netloc}" is not a host and port')
    if not 0 <= document.weight <= WEIGHT_MAX:
        raise ModelError(f"Weight is {document.weight}: use 0 to {WEIGHT_MAX}")
    secure = url.scheme == "https"
    return Server(
        id=id_,
        backend=backend,
        host=host,
        port=port or (443 if secure else 80),
        secure=secure,
        weight=document.weight,
        document=document,
    )


def _middleware(frontend: str, id_: str, document: MiddlewareDocument) -> Middleware:
    _check_id("middleware", id_)
    _check_id("frontend", frontend)
    try:
        work = compile_middleware(document)
    except ValueError as error:
        raise ModelError(str(error)) from None
    return Middleware(id_, frontend, document.priority, work, document)


def _split(text: str) -> tuple[SplitResult, str, int | None]:
    try:
        url = urlsplit(text)
        return url, url.hostname or "", url.port
    except ValueError as error:
        raise ModelError(f'URL is "{text}": {error}') from None


def _frontend(id_: str, document: FrontendDocument) -> Frontend:
    _check_id("frontend", id_)
    _check_type(document.type)
    if not document.backend_id:
        raise ModelError("BackendId is empty: name the backend that answers")
    try:
        route = compile_route(document.route)
    except ExpressionError as error:
        raise ModelError(f"Route: {error}") from None
    settings = document.settings
    if _HEADER_VALUE.fullmatch(settings.hostname) is None:
        raise ModelError(f"Settings.Hostname is {settings.hostname!r}: it must fit a header")
    limits = settings.limits
    if limits.max_body_bytes < 0 or limits.max_mem_body_bytes < 0:
        raise ModelError("Settings.Limits has a negative number: use 0 for no bound")
    failover = None
    if settings.failover_predicate:
        try:
            failover = compile_failover(settings.failover_predicate)
        except ExpressionError as error:
            raise ModelError(f"Settings.FailoverPredicate: {error}") from None
    return Frontend(
        id=id_,
        backend=document.backend_id,
        route=route,
        priority=settings.priority,
        hostname=settings.hostname,
        trust_forwarded=settings.trust_forward_header,
        pass_host=settings.pass_host_header,
        body_bytes_max=limits.max_body_bytes,
        kept_bytes_max=limits.max_mem_body_bytes or KEPT_BODY_BYTES,
        failover=failover,
        document=document,
    )


def _check_id(what: str, id_: str) -> None:
    if not id_:
        raise ModelError(f"the {what} id in the key is empty")


def _check_type(type_: str) -> None:
    if type_ != "http":
        raise ModelError(f'Type is "{type_}": only "http" is known')


def _seconds(field: str, text: str, default_s: float) -> float:
    if not text:
        return default_s
    try:
        return go_durations.parse(text) or default_s
    except ValueError as error:
        raise ModelError(f"{field}: {error}") from None
