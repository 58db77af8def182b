"""Backends, servers and frontends, decoded from their keys under `/vulcand/`.

The id in the key path wins over the one in the document.
"""

import re
from dataclasses import dataclass
from typing import Any, assert_never
from urllib.parse import SplitResult, urlsplit

import msgspec

from vulcan import documents, durations
from vulcan.documents import (
    BackendDocument,
    FrontendDocument,
    FrontendSettingsDocument,
    ServerDocument,
)
from vulcan.route import ExpressionError, Route, compile_route

DIAL_S = 5.0
READ_S = 60.0
# Go keeps two idle connections a host, which is next to no pooling; this many cost 1 MiB.
IDLE_CONNECTIONS = 256

_HOST_NAME = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9.])?|[0-9A-Fa-f:.]+", re.ASCII)
_HEADER_VALUE = re.compile(r"[\x21-\x7e]*", re.ASCII)


class ModelError(ValueError):
    """A key that cannot be used; the message says which field, why, and the remedy."""


@dataclass(frozen=True, slots=True)
class Backend:
    """A set of servers and how to talk to them."""

    id: str
    dial_s: float
    read_s: float  # to the end of the response head
    idle_max: int  # pooled connections for each server, in each worker
    probe_s: float  # of TCP keep-alive; 0: the system's
    document: BackendDocument
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Server:
    """Where one instance of a backend listens."""

    id: str
    backend: str
    host: str
    port: int
    document: ServerDocument

    @property
    def authority(self) -> str:
        """`host:port` as a Host header has it; two servers with the same one are the same."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 80 else f"{host}:{self.port}"


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
    document: FrontendDocument
    notes: tuple[str, ...] = ()


Entity = Backend | Server | Frontend


def decode(path: str, value: str) -> Entity:
    """Decode the key at `path`, relative to the prefix, such as `backends/b1/servers/s1`.

    Raises ModelError for a path that is none of ours, and for a value that is wrong.
    """
    try:
        return _decode(path.split("/"), value)
    except documents.DocumentError as error:
        raise ModelError(f"bad JSON: {error}") from None


def _decode(segments: list[str], value: str) -> Entity:
    match segments:
        case ["backends", id_, "backend"]:
            return _backend(id_, documents.decode(value, BackendDocument))
        case ["backends", backend, "servers", id_]:
            return _server(backend, id_, documents.decode(value, ServerDocument))
        case ["frontends", id_, "frontend"]:
            return _frontend(id_, documents.decode(value, FrontendDocument))
        case ["frontends", _, "middlewares", _]:
            raise ModelError("middlewares are not supported: the frontend works without it")
        case ["hosts", _, "host"] | ["listeners", _]:
            raise ModelError("TLS hosts and listeners are not supported: the key has no effect")
        case _:
            raise ModelError(
                "not a key of the proxy: expected backends/ID/backend, backends/ID/servers/ID "
                "or frontends/ID/frontend below the prefix"
            )


def default_backend(id_: str) -> Backend:
    """Return the backend that servers without a `backend` key belong to."""
    return _backend(id_, BackendDocument())


def to_json(entity: Entity) -> dict[str, Any]:
    """Return the document with Go's field names, under the id of its key."""
    match entity:
        case Backend() | Server() | Frontend():
            document: dict[str, Any] = msgspec.to_builtins(entity.document)
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
    _seconds("Settings.Timeouts.TLSHandshake", settings.timeouts.tls_handshake, 0.0)
    return Backend(
        id=id_,
        dial_s=_seconds("Settings.Timeouts.Dial", settings.timeouts.dial, DIAL_S),
        read_s=_seconds("Settings.Timeouts.Read", settings.timeouts.read, READ_S),
        idle_max=idle or IDLE_CONNECTIONS,
        probe_s=_seconds("Settings.KeepAlive.Period", settings.keep_alive.period, 0.0),
        document=document,
        notes=("Settings.TLS is not supported: it has no effect",) if settings.tls else (),
    )


def _server(backend: str, id_: str, document: ServerDocument) -> Server:
    _check_id("server", id_)
    _check_id("backend", backend)
    url, host, port = _split(document.url)
    if url.scheme == "https":
        raise ModelError(f'URL is "{document.url}": https servers are not supported, use http')
    if url.scheme != "http" or not host:
        raise ModelError(f'URL is "{document.url}": expected http://HOST:PORT')
    if _HOST_NAME.fullmatch(host) is None or url.username is not None:
        raise ModelError(f'URL is "{document.url}": "{url.netloc}" is not a host and port')
    return Server(id=id_, backend=backend, host=host, port=port or 80, document=document)


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
    if settings.limits.max_body_bytes < 0:
        raise ModelError("Settings.Limits.MaxBodyBytes is negative: use 0 for no bound")
    return Frontend(
        id=id_,
        backend=document.backend_id,
        route=route,
        priority=settings.priority,
        hostname=settings.hostname,
        trust_forwarded=settings.trust_forward_header,
        pass_host=settings.pass_host_header,
        body_bytes_max=settings.limits.max_body_bytes,
        document=document,
        notes=_frontend_notes(settings),
    )


def _frontend_notes(settings: FrontendSettingsDocument) -> tuple[str, ...]:
    if settings.failover_predicate:
        return ("Settings.FailoverPredicate is not supported: it has no effect",)
    return ()


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
        return durations.parse(text) or default_s
    except ValueError as error:
        raise ModelError(f"{field}: {error}") from None
