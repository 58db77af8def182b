"""The JSON of keys as vulcand writes it: Go's field names, in any case.

Unknown fields are skipped. `null` means the same as an absent field.
"""

from collections.abc import Iterator
from typing import Any, TypeVar, get_args, get_type_hints

import msgspec


class DocumentError(ValueError):
    """JSON that is not a valid document; the message names the field and the reason."""


_GO_NAMES = {
    "ca": "CA",
    "ocsp": "OCSP",
    "tls": "TLS",
    "tls_handshake": "TLSHandshake",
    "url": "URL",
}


def _go_name(name: str) -> str:
    return _GO_NAMES.get(name) or "".join(part.capitalize() for part in name.split("_"))


class Document(msgspec.Struct, frozen=True, rename=_go_name, kw_only=True):
    """The JSON of one key. Only `decode` and `convert` make instances."""


class TimeoutsDocument(Document, frozen=True, kw_only=True):
    """Time limits as durations; empty for the default."""

    read: str = ""
    dial: str = ""
    tls_handshake: str = ""


class KeepAliveDocument(Document, frozen=True, kw_only=True):
    """TCP keep-alive and pooling of connections to servers."""

    period: str = ""
    max_idle_conns_per_host: int = 0


class SessionCacheSettingsDocument(Document, frozen=True, kw_only=True):
    """The size of the cache of TLS sessions; 0 for the default."""

    capacity: int = 0


class SessionCacheDocument(Document, frozen=True, kw_only=True):
    """The cache of TLS sessions."""

    type: str = ""
    settings: SessionCacheSettingsDocument = SessionCacheSettingsDocument()


class TlsDocument(Document, frozen=True, kw_only=True):
    """TLS of a listener, or of connections to servers. CA and ServerName are extensions."""

    prefer_server_cipher_suites: bool = False
    insecure_skip_verify: bool = False
    min_version: str = ""
    max_version: str = ""
    session_tickets_disabled: bool = False
    session_cache: SessionCacheDocument = SessionCacheDocument()
    cipher_suites: tuple[str, ...] = ()
    ca: str = ""
    server_name: str = ""


class HealthCheckDocument(Document, frozen=True, kw_only=True):
    """Health checks of servers (extension). Without a path, a connection is enough."""

    path: str = ""
    method: str = "GET"
    host: str = ""
    interval: str = ""
    timeout: str = ""
    status: int = 0
    rise: int = 0
    fall: int = 0


class PassiveDocument(Document, frozen=True, kw_only=True):
    """When to eject a server after failed requests (extension)."""

    failures: int = 0
    penalty: str = ""
    disabled: bool = False


class StickyDocument(Document, frozen=True, kw_only=True):
    """A cookie that binds a client to one server (extension)."""

    cookie: str
    path: str = "/"
    max_age: int = 0
    secure: bool = False
    http_only: bool = True
    same_site: str = ""


class BackendSettingsDocument(Document, frozen=True, kw_only=True):
    """`Settings` of a backend. Those from Balance on are extensions; Go's vulcand skips them."""

    timeouts: TimeoutsDocument = TimeoutsDocument()
    keep_alive: KeepAliveDocument = KeepAliveDocument()
    tls: TlsDocument | None = None
    balance: str = ""
    health_check: HealthCheckDocument | None = None
    passive: PassiveDocument = PassiveDocument()
    slow_start: str = ""
    drain: str = ""
    sticky: StickyDocument | None = None


class BackendDocument(Document, frozen=True, kw_only=True):
    """The value of `backends/ID/backend`."""

    id: str = ""
    type: str = "http"
    settings: BackendSettingsDocument = BackendSettingsDocument()


class ServerDocument(Document, frozen=True, kw_only=True, omit_defaults=True):
    """The value of `backends/ID/servers/ID`. Weight is an extension; 0 drains the server."""

    id: str = ""
    url: str
    weight: int = 1


class LimitsDocument(Document, frozen=True, kw_only=True):
    """Limits on request bodies."""

    max_mem_body_bytes: int = 0
    max_body_bytes: int = 0


class FrontendSettingsDocument(Document, frozen=True, kw_only=True):
    """`Settings` of a frontend. Priority is an extension; Go's vulcand skips it."""

    limits: LimitsDocument = LimitsDocument()
    failover_predicate: str = ""
    hostname: str = ""
    trust_forward_header: bool = False
    pass_host_header: bool = False
    stream: bool = False
    stream_flush_interval_nano_secs: int = 0
    priority: int = 0


class FrontendDocument(Document, frozen=True, kw_only=True):
    """The value of `frontends/ID/frontend`."""

    id: str = ""
    type: str = "http"
    backend_id: str
    route: str
    settings: FrontendSettingsDocument = FrontendSettingsDocument()


class OcspDocument(Document, frozen=True, kw_only=True):
    """OCSP stapling, which is accepted but has no effect."""

    enabled: bool = False
    period: str = ""
    responders: tuple[str, ...] = ()
    skip_signature_check: bool = False


class HostSettingsDocument(Document, frozen=True, kw_only=True):
    """`Settings` of a host. The key pair is sealed, with or without base64."""

    default: bool = False
    key_pair: str | dict[str, Any] | None = None
    ocsp: OcspDocument = OcspDocument()
    auto_cert: dict[str, Any] | None = None


class HostDocument(Document, frozen=True, kw_only=True):
    """The value of `hosts/NAME/host`."""

    name: str = ""
    settings: HostSettingsDocument = HostSettingsDocument()


class AddressDocument(Document, frozen=True, kw_only=True):
    """The address of a listener."""

    network: str = "tcp"
    address: str


class ListenerSettingsDocument(Document, frozen=True, kw_only=True):
    """`Settings` of a listener."""

    tls: TlsDocument | None = None


class ListenerDocument(Document, frozen=True, kw_only=True):
    """The value of `listeners/ID`."""

    id: str = ""
    protocol: str = "http"
    address: AddressDocument
    scope: str = ""
    proxy_protocol: str = ""
    settings: ListenerSettingsDocument | None = None


class MiddlewareDocument(Document, frozen=True, kw_only=True):
    """The value of `frontends/ID/middlewares/ID`: an envelope around the settings of its type."""

    id: str = ""
    type: str
    priority: int = 0
    middleware: dict[str, Any] = {}


class RateLimitDocument(Document, frozen=True, kw_only=True):
    """`ratelimit`."""

    period_seconds: int = 0
    requests: int = 0
    burst: int = 0
    variable: str = "client.ip"
    rate_var: str = ""


class RateDocument(Document, frozen=True, kw_only=True):
    """One rate, as a request's header may bring it."""

    period_seconds: int
    requests: int
    burst: int = 0


class ConnLimitDocument(Document, frozen=True, kw_only=True):
    """`connlimit`."""

    connections: int = 0
    variable: str = "client.ip"


class RewriteDocument(Document, frozen=True, kw_only=True):
    """`rewrite`. Code is an extension."""

    regexp: str
    replacement: str
    rewrite_body: bool = False
    redirect: bool = False
    code: int = 302


class ActionDocument(Document, frozen=True, kw_only=True):
    """An action of a breaker: the fields of all types of action in one."""

    status_code: int = 0
    content_type: str = ""
    body: str | dict[str, Any] | None = None
    url: str = ""
    preserve_path: bool = False
    method: str = ""
    headers: dict[str, list[str]] = {}
    form: dict[str, list[str]] = {}


class TypedActionDocument(Document, frozen=True, kw_only=True):
    """An action with its type."""

    type: str
    action: ActionDocument = ActionDocument()


class BreakerDocument(Document, frozen=True, kw_only=True):
    """`cbreaker`. Durations are nanoseconds or texts such as `10s`; 0 for the default."""

    condition: str
    fallback: TypedActionDocument | str | None = None
    on_tripped: TypedActionDocument | str | None = None
    on_standby: TypedActionDocument | str | None = None
    fallback_duration: int | str = 0
    recovery_duration: int | str = 0
    check_period: int | str = 0


class TraceDocument(Document, frozen=True, kw_only=True):
    """`trace`."""

    addr: str
    req_headers: tuple[str, ...] = ()
    resp_headers: tuple[str, ...] = ()


class BasicAuthDocument(Document, frozen=True, kw_only=True):
    """`basicauth`, ours. `auth`, a plugin of vulcand, has a single user."""

    username: str = ""
    password: str = ""
    users: dict[str, str] = {}
    realm: str = "restricted"


class HeadersDocument(Document, frozen=True, kw_only=True):
    """`headers`, ours: fields to set and to remove, in requests and responses."""

    request: dict[str, str] = {}
    response: dict[str, str] = {}
    remove_request: tuple[str, ...] = ()
    remove_response: tuple[str, ...] = ()


class IpAllowDocument(Document, frozen=True, kw_only=True):
    """`ipallow`, ours: networks. `Deny` goes before `Allow`."""

    allow: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()


_D = TypeVar("_D", bound=Document)


def decode(value: str, document: type[_D]) -> _D:
    """Decode one key's value. Raises DocumentError."""
    return convert(parse_json(value), document)


def parse_json(text: str | bytes) -> object:
    """Decode JSON. Raises DocumentError."""
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise DocumentError("nested too deeply") from None
    except msgspec.DecodeError as error:
        reason = str(error).removeprefix("JSON is malformed: ")
        raise DocumentError(f"not JSON: {reason}: write an object, such as {{...}}") from None


def convert(raw: object, document: type[_D]) -> _D:
    """Convert decoded JSON to a document. Raises DocumentError."""
    try:
        return msgspec.convert(canonical(raw), document)
    except msgspec.ValidationError as error:
        raise DocumentError(_located(str(error))) from None
    except RecursionError:
        raise DocumentError("nested too deeply") from None


def _located(message: str) -> str:
    """Put the field first that msgspec names last."""
    what, _, place = message.partition(" - at `$")
    return f"{place.strip('.`')}: {what}" if place else what


def canonical(raw: object) -> object:
    """Return decoded JSON with known fields in Go's spelling, without nulls.

    The last spelling of a field wins. Raises DocumentError.
    """
    try:
        return _canonical(raw)
    except RecursionError:
        raise DocumentError("nested too deeply") from None


def unknown(value: str, document: type[Document]) -> list[str]:
    """Return the fields of a valid value that have no meaning here."""
    return sorted(_unknown(canonical(parse_json(value)), document))


def _unknown(raw: object, kind: object) -> Iterator[str]:
    if not isinstance(raw, dict) or not isinstance(kind, type) or not issubclass(kind, Document):
        return
    hints = get_type_hints(kind)
    fields = zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True)
    known = {name: hints[field] for name, field in fields}
    for name, item in raw.items():
        if name not in known:
            yield name
        else:
            for part in (known[name], *get_args(known[name])):
                yield from (f"{name}.{inner}" for inner in _unknown(item, part))


# The names in these objects are the operator's own. `middleware` is converted by its type.
_OPAQUE = frozenset(("headers", "form", "body", "users", "request", "response", "middleware"))


def _canonical(raw: object) -> object:
    if isinstance(raw, dict):
        return {
            _SPELLING.get(name.lower(), name): item if name.lower() in _OPAQUE else _canonical(item)
            for name, item in raw.items()
            if item is not None
        }
    return raw


def _spellings(kind: type[Document]) -> Iterator[tuple[str, str]]:
    for sub in kind.__subclasses__():
        yield from ((name.lower(), name) for name in sub.__struct_encode_fields__)


_SPELLING = dict(_spellings(Document))
