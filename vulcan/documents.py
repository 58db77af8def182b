"""The JSON of keys as vulcand writes it: Go field names, in any case.

Unknown fields are skipped, `null` is as good as absent.
"""

from collections.abc import Iterator
from typing import Any, TypeVar

import msgspec


class DocumentError(ValueError):
    """JSON that is not the document; the message says which field and why."""


_GO_NAMES = {"url": "URL", "tls": "TLS", "tls_handshake": "TLSHandshake"}


def _go_name(name: str) -> str:
    return _GO_NAMES.get(name) or "".join(part.capitalize() for part in name.split("_"))


class _Document(msgspec.Struct, frozen=True, rename=_go_name, kw_only=True):
    """The JSON of one key. Instances come from `decode` alone."""


class TimeoutsDocument(_Document, frozen=True, kw_only=True):
    """Durations as Go writes them; empty for the default."""

    read: str = ""
    dial: str = ""
    tls_handshake: str = ""


class KeepAliveDocument(_Document, frozen=True, kw_only=True):
    """TCP keep-alive and pooling of connections to servers."""

    period: str = ""
    max_idle_conns_per_host: int = 0


class BackendSettingsDocument(_Document, frozen=True, kw_only=True):
    """`Settings` of a backend."""

    timeouts: TimeoutsDocument = TimeoutsDocument()
    keep_alive: KeepAliveDocument = KeepAliveDocument()
    tls: dict[str, Any] | None = None


class BackendDocument(_Document, frozen=True, kw_only=True):
    """The value of `backends/ID/backend`."""

    id: str = ""
    type: str = "http"
    settings: BackendSettingsDocument = BackendSettingsDocument()


class ServerDocument(_Document, frozen=True, kw_only=True):
    """The value of `backends/ID/servers/ID`."""

    id: str = ""
    url: str


class LimitsDocument(_Document, frozen=True, kw_only=True):
    """Bounds on request bodies; nothing is buffered, so memory needs none."""

    max_mem_body_bytes: int = 0
    max_body_bytes: int = 0


class FrontendSettingsDocument(_Document, frozen=True, kw_only=True):
    """`Settings` of a frontend. Priority is ours: vulcand skips it."""

    limits: LimitsDocument = LimitsDocument()
    failover_predicate: str = ""
    hostname: str = ""
    trust_forward_header: bool = False
    pass_host_header: bool = False
    stream: bool = False
    stream_flush_interval_nano_secs: int = 0
    priority: int = 0


class FrontendDocument(_Document, frozen=True, kw_only=True):
    """The value of `frontends/ID/frontend`."""

    id: str = ""
    type: str = "http"
    backend_id: str
    route: str
    settings: FrontendSettingsDocument = FrontendSettingsDocument()


_D = TypeVar("_D", bound=_Document)


def decode(value: str, document: type[_D]) -> _D:
    """Decode one key's value. Raises DocumentError."""
    try:
        raw = msgspec.json.decode(value)
        return msgspec.convert(_canonical(raw), document)
    except msgspec.ValidationError as error:
        raise DocumentError(str(error)) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise DocumentError(f"not JSON: {error}") from None


def _canonical(raw: object) -> object:
    """Give known fields Go's spelling and drop nulls; the last spelling of a field wins."""
    if isinstance(raw, dict):
        return {
            _SPELLING.get(name.lower(), name): _canonical(item)
            for name, item in raw.items()
            if item is not None
        }
    return raw


def _spellings(kind: type[_Document]) -> Iterator[tuple[str, str]]:
    for sub in kind.__subclasses__():
        yield from ((name.lower(), name) for name in sub.__struct_encode_fields__)


_SPELLING = dict(_spellings(_Document))
