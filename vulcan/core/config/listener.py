"""Hosts with their certificates and listeners, decoded from their keys."""

import re
from dataclasses import dataclass

from vulcan.core.config import certificates, go_durations, tls_settings
from vulcan.core.config.certificates import Certificate, CertificateError
from vulcan.core.config.documents import HostDocument, ListenerDocument, OcspDocument
from vulcan.core.config.errors import ModelError
from vulcan.core.config.secretbox import KeyPair, Seal, SealError
from vulcan.core.config.tls_settings import TlsSettings
from vulcan.core.routing.expression import ExpressionError
from vulcan.core.routing.route import Route, compile_route

_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)
_NO_PROXY_PROTOCOL = frozenset(("", "NONE"))
PORT_MAX = 65535
# sockaddr_un has room for so many bytes with the final NUL.
UNIX_PATH_BYTES_MAX = 107


@dataclass(frozen=True, slots=True)
class Host:
    """A name with what TLS needs for it."""

    name: str
    default: bool
    pair: KeyPair | None
    certificate: Certificate | None
    document: HostDocument
    notes: tuple[str, ...] = ()


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
    """Where requests are taken, in which protocol, and which of them."""

    id: str
    secure: bool
    address: Address
    scope: Route | None
    tls: TlsSettings
    document: ListenerDocument


def host(name: str, document: HostDocument, sealed_by: Seal) -> Host:
    """Decode a host. Raises ModelError."""
    if _NAME.fullmatch(name) is None:
        raise ModelError(f'"{name}" is not a host name')
    pair: KeyPair | None = None
    certificate: Certificate | None = None
    settings = document.settings
    if settings.key_pair:
        try:
            pair = sealed_by.open(settings.key_pair)
            certificate = certificates.inspect(pair)
        except (SealError, CertificateError) as error:
            raise ModelError(f"Settings.KeyPair: {error}") from None
    elif settings.default:
        raise ModelError("Settings.Default without a KeyPair: there is no certificate to show")
    notes = []
    _check_ocsp(settings.ocsp)
    if settings.ocsp.enabled:
        notes.append("Settings.OCSP is accepted and has no effect: nothing is stapled")
    if settings.auto_cert:
        notes.append("Settings.AutoCert is not supported: set a KeyPair")
    return Host(name.lower(), settings.default, pair, certificate, document, tuple(notes))


def _check_ocsp(document: OcspDocument) -> None:
    """Refuse what stapling could not be done by, though it is not: a typing error is one now."""
    try:
        go_durations.parse(document.period or "0")
    except ValueError as error:
        raise ModelError(f"Settings.OCSP.Period: {error}") from None
    for responder in document.responders:
        if not responder.startswith(("http://", "https://")):
            raise ModelError(f'Settings.OCSP.Responders has "{responder}": use http://HOST/...')


def listener(id_: str, document: ListenerDocument) -> Listener:
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
    if not colon or not port.isascii() or not port.isdigit() or int(port) > PORT_MAX:
        raise ModelError(f'Address.Address is "{text}": expected HOST:PORT')
    return Address(name or "0.0.0.0", int(port))
