"""TLS contexts: for listeners, with certificates from keys, and for connections to servers."""

import contextlib
import os
import ssl
from collections.abc import Callable
from functools import lru_cache

from vulcan.core.config.backend import Server
from vulcan.core.config.host import Host
from vulcan.core.config.secretbox import KeyPair
from vulcan.core.config.tls_settings import TlsSettings

# More settings than backends use at once, as a rule. A forgotten context is made again.
CACHED_MAX = 256
_VERSIONS = {12: ssl.TLSVersion.TLSv1_2, 13: ssl.TLSVersion.TLSv1_3}


def to_server(
    settings: TlsSettings, server: Server
) -> tuple[ssl.SSLContext, str] | tuple[None, None]:
    """Return the context and the name for connections to a server; None without TLS.

    Wrong settings raise exceptions of many types, but here, not in the handshake: from there the
    event loop would report them to its handler, which ends the process.
    """
    if not server.secure:
        return None, None
    context, name = client(settings), settings.server_name or server.host
    context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=name)
    return context, name


@lru_cache(CACHED_MAX)
def client(settings: TlsSettings) -> ssl.SSLContext:
    """Return the context for a backend's servers."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    _apply(context, settings)
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.ca:
        context.load_verify_locations(cadata=settings.ca)
    else:
        context.load_default_certs()
    context.set_alpn_protocols(["http/1.1"])
    return context


class HostContexts:
    """The contexts of hosts, with one listener's settings; made when a client first needs them."""

    def __init__(self, settings: TlsSettings, choose: Callable[[str], Host | None]) -> None:
        self._settings = settings
        self._choose = choose
        self._made: dict[KeyPair, ssl.SSLContext] = {}
        self.context = self._new()
        self.context.sni_callback = self._choose_context

    def keep(self, pairs: frozenset[KeyPair]) -> None:
        """Drop all contexts but those of these key pairs."""
        self._made = {pair: made for pair, made in self._made.items() if pair in pairs}

    def _choose_context(
        self, tls: ssl.SSLObject, name: str | None, _context: ssl.SSLContext
    ) -> int | None:
        host = self._choose(name or "")
        if host is None or host.pair is None:
            return ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME
        made = self._made.get(host.pair)
        if made is None:
            made = self._made[host.pair] = self._new()
            load(made, host.pair)
        tls.context = made
        return None

    def _new(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _apply(context, self._settings)
        context.set_alpn_protocols(["http/1.1"])
        return context


def load(context: ssl.SSLContext, pair: KeyPair) -> None:
    """Give a context a key pair. OpenSSL reads only files, so this makes one in memory."""
    with contextlib.ExitStack() as stack:
        file = os.memfd_create("keypair", os.MFD_CLOEXEC)
        stack.callback(os.close, file)
        os.write(file, pair.key + b"\n" + pair.cert)
        context.load_cert_chain(f"/proc/self/fd/{file}")


def _apply(context: ssl.SSLContext, settings: TlsSettings) -> None:
    context.minimum_version = _VERSIONS[settings.version_min]
    context.maximum_version = _VERSIONS[settings.version_max]
    if settings.suites:
        context.set_ciphers(":".join(settings.suites))
    if settings.prefer_server:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if not settings.tickets:
        context.options |= ssl.OP_NO_TICKET
