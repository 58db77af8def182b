"""Backends and their servers, decoded from their keys."""

import re
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from vulcan.core.balancing.ejection import EjectionPolicy
from vulcan.core.balancing.policies import BALANCES
from vulcan.core.config import tls_settings
from vulcan.core.config.documents import (
    BackendDocument,
    HealthCheckDocument,
    PassiveDocument,
    ServerDocument,
    StickyDocument,
)
from vulcan.core.config.errors import ModelError
from vulcan.core.config.field_checks import (
    HEADER_VALUE,
    TOKEN,
    check_id,
    check_type,
    is_host,
    seconds,
)
from vulcan.core.config.tls_settings import TlsSettings

DIAL_S = 5.0
READ_S = 60.0
# Much longer than systemd's stop time-out: it ends only streams that would never end.
DRAIN_S = 300.0
# Go keeps two idle connections for each host, which hardly pools at all; this many cost 1 MiB.
IDLE_CONNECTIONS = 256
WEIGHT_MAX = 1000
# Linux takes no longer time between probes.
KEEPALIVE_S_MAX = 32767.0
CHECK_INTERVAL_S, CHECK_TIMEOUT_S = 10.0, 2.0
CHECK_RISE, CHECK_FALL = 2, 3
CHECK_INTERVAL_S_MIN = 0.05

_TARGET = re.compile(r"/[\x21-\x7e]*", re.ASCII)
_COOKIE_PATH = re.compile(r"/[\x21-\x3a\x3c-\x7e]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class HealthCheck:
    """How to check whether a server is healthy."""

    path: str  # empty: a connection is enough
    method: str
    host: str  # empty: the server's own
    interval_s: float
    timeout_s: float
    status: int  # 0: any status below 400
    rise: int
    fall: int


@dataclass(frozen=True, slots=True)
class StickyCookie:
    """The cookie that binds a client to one server."""

    cookie: str
    attributes: str  # as Set-Cookie has them, with their semicolons


@dataclass(frozen=True, slots=True)
class Backend:
    """A group of servers and how to connect to them."""

    id: str
    dial_s: float
    read_s: float  # to the end of the response head
    idle_max: int  # pooled connections for each server, in each worker
    keepalive_s: float  # between TCP keep-alive probes; 0: the system's
    tls: TlsSettings
    handshake_s: float
    balance: str
    health: HealthCheck | None
    passive: EjectionPolicy | None
    slow_start_s: float
    drain_s: float  # how long requests may still run at a server whose key is gone
    sticky: StickyCookie | None
    document: BackendDocument


@dataclass(frozen=True, slots=True)
class Server:
    """The address of one instance of a backend."""

    id: str
    backend: str
    host: str
    port: int
    secure: bool
    weight: int
    document: ServerDocument

    @property
    def authority(self) -> str:
        """Return `host:port`, as in a Host header."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    @property
    def address(self) -> str:
        """Return `scheme://host:port`. Two servers with the same address are one server."""
        return ("https://" if self.secure else "http://") + self.authority


def decode_backend(id_: str, document: BackendDocument) -> Backend:
    """Check a backend. Raises ModelError."""
    check_id("backend", id_)
    check_type(document.type)
    settings = document.settings
    idle = settings.keep_alive.max_idle_conns_per_host
    if idle < 0:
        raise ModelError(f"Settings.KeepAlive.MaxIdleConnsPerHost is {idle}: use 0 or more")
    if settings.balance and settings.balance not in BALANCES:
        choice = ", ".join(BALANCES)
        raise ModelError(f'Settings.Balance is "{settings.balance}": use one of {choice}')
    keepalive_s = seconds("Settings.KeepAlive.Period", settings.keep_alive.period, 0.0)
    dial_s = seconds("Settings.Timeouts.Dial", settings.timeouts.dial, DIAL_S)
    handshake = settings.timeouts.tls_handshake
    try:
        tls = tls_settings.settings(settings.tls)
    except ValueError as error:
        raise ModelError(f"Settings.TLS.{error}") from None
    return Backend(
        id=id_,
        dial_s=dial_s,
        read_s=seconds("Settings.Timeouts.Read", settings.timeouts.read, READ_S),
        idle_max=idle or IDLE_CONNECTIONS,
        keepalive_s=min(keepalive_s, KEEPALIVE_S_MAX),
        tls=tls,
        handshake_s=seconds("Settings.Timeouts.TLSHandshake", handshake, dial_s),
        balance=settings.balance or "rr",
        health=_health_check(settings.health_check),
        passive=_passive(settings.passive),
        slow_start_s=seconds("Settings.SlowStart", settings.slow_start, 0.0),
        drain_s=seconds("Settings.Drain", settings.drain, DRAIN_S),
        sticky=_sticky(settings.sticky),
        document=document,
    )


def default_backend(id_: str) -> Backend:
    """Return the backend of servers that have no `backend` key."""
    return decode_backend(id_, BackendDocument())


def decode_server(backend: str, id_: str, document: ServerDocument) -> Server:
    """Check a server. Raises ModelError."""
    check_id("server", id_)
    check_id("backend", backend)
    url, host, port = _split_url(document.url)
    if url.scheme not in {"http", "https"} or not host:
        raise ModelError(f'URL is "{document.url}": expected http://HOST:PORT')
    if not is_host(host) or url.username is not None:
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


def _split_url(text: str) -> tuple[SplitResult, str, int | None]:
    try:
        url = urlsplit(text)
        return url, url.hostname or "", url.port
    except ValueError as error:
        raise ModelError(f'URL is "{text}": {error}') from None


def _health_check(document: HealthCheckDocument | None) -> HealthCheck | None:
    if document is None:
        return None
    if document.path and _TARGET.fullmatch(document.path) is None:
        raise ModelError(f'Settings.HealthCheck.Path is "{document.path}": begin it with /')
    if not TOKEN.fullmatch(document.method) or not HEADER_VALUE.fullmatch(document.host):
        raise ModelError("Settings.HealthCheck: Method or Host is not valid in a request")
    if min(document.rise, document.fall, document.status) < 0:
        raise ModelError("Settings.HealthCheck: Rise, Fall or Status is negative")
    interval_s = seconds("Settings.HealthCheck.Interval", document.interval, CHECK_INTERVAL_S)
    return HealthCheck(
        path=document.path,
        method=document.method,
        host=document.host,
        interval_s=max(interval_s, CHECK_INTERVAL_S_MIN),
        timeout_s=seconds("Settings.HealthCheck.Timeout", document.timeout, CHECK_TIMEOUT_S),
        status=document.status,
        rise=document.rise or CHECK_RISE,
        fall=document.fall or CHECK_FALL,
    )


def _passive(document: PassiveDocument) -> EjectionPolicy | None:
    if document.disabled:
        return None
    if document.failures < 0:
        raise ModelError("Settings.Passive.Failures is negative")
    default = EjectionPolicy()
    penalty_s = seconds("Settings.Passive.Penalty", document.penalty, default.penalty_s)
    return EjectionPolicy(document.failures or default.failures, penalty_s)


def _sticky(document: StickyDocument | None) -> StickyCookie | None:
    if document is None:
        return None
    if not TOKEN.fullmatch(document.cookie) or not _COOKIE_PATH.fullmatch(document.path):
        raise ModelError("Settings.Sticky: Cookie or Path is not valid in a cookie")
    if document.same_site.lower() not in {"", "lax", "strict", "none"}:
        raise ModelError(f'Settings.Sticky.SameSite is "{document.same_site}"')
    attributes = f"; Path={document.path}"
    attributes += f"; Max-Age={document.max_age}" if document.max_age > 0 else ""
    attributes += "; Secure" if document.secure else ""
    attributes += "; HttpOnly" if document.http_only else ""
    if document.same_site:
        attributes += f"; SameSite={document.same_site.capitalize()}"
    return StickyCookie(document.cookie, attributes)
