"""Listeners, decoded from their keys."""

import re
from dataclasses import dataclass

from vulcan.core.config import tls_settings
from vulcan.core.config.documents import ListenerDocument
from vulcan.core.config.errors import ModelError
from vulcan.core.config.field_checks import is_host
from vulcan.core.config.tls_settings import TlsSettings
from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.route import Route, compile_route

_NO_PROXY_PROTOCOL = frozenset(("", "NONE"))
PORT_MAX = 65535
_PORT = re.compile(r"[0-9]{1,5}")
# sockaddr_un has room for this many bytes and the final NUL.
UNIX_PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class Address:
    """A TCP address or the path of a unix socket."""

    host: str
    port: int
    path: str = ""

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.path or f"{host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Listener:
    """A socket that accepts requests; with a scope, only those that match it."""

    id: str
    secure: bool
    address: Address
    scope: Route | None
    tls: TlsSettings
    document: ListenerDocument


def decode_listener(id_: str, document: ListenerDocument) -> Listener:
    """Decode a listener. Raises ModelError."""
    protocol = document.protocol.lower()
    if protocol not in {"http", "https"}:
        raise ModelError(f'Protocol is "{document.protocol}": use http or https')
    if document.proxy_protocol.upper() not in _NO_PROXY_PROTOCOL:
        raise ModelError(f'ProxyProtocol is "{document.proxy_protocol}": it is not supported')
    try:
        tls = tls_settings.settings(document.settings.tls if document.settings else None)
    except ValueError as error:
        raise ModelError(f"Settings.TLS.{error}") from None
    scope = None
    if document.scope:
        try:
            scope = compile_route(document.scope)
        except ExpressionError as error:
            raise ModelError(f"Scope: {error}") from None
    return Listener(id_, protocol == "https", _address(document), scope, tls, document)


def _address(document: ListenerDocument) -> Address:
    network, text = document.address.network.lower(), document.address.address
    if network == "unix":
        if not text.startswith("/") or len(text.encode()) > UNIX_PATH_BYTES_MAX or "\0" in text:
            raise ModelError(f'Address.Address is "{text}": expected the path of a socket')
        return Address("", 0, text)
    if network != "tcp":
        raise ModelError(f'Address.Network is "{network}": use tcp or unix')
    name, colon, port = text.rpartition(":")
    name = name.removeprefix("[").removesuffix("]")
    if not colon or not _PORT.fullmatch(port) or int(port) > PORT_MAX:
        raise ModelError(f'Address.Address is "{text}": expected HOST:PORT')
    if name and not is_host(name):
        raise ModelError(f'Address.Address is "{text}": "{name}" is not a host')
    return Address(name or "0.0.0.0", int(port))
