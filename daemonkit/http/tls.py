"""TLS contexts from files, also from files that are renewed while a process runs."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from daemonkit.core.tls import certificate, revocations
from daemonkit.core.tls.certificate import Certificate
from daemonkit.core.tls.revocations import REVOKED_BYTES_MAX, Revocations
from daemonkit.observe import logs

_log = logs.get("tls")


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a listener. With `ca` a client may present a certificate that it signed.

    `require_client` demands one; `ask_client` takes one, and serves clients without one, too.
    """

    cert: Path
    key: Path
    ca: Path | None = None
    require_client: bool = False
    ask_client: bool = False


# The socket of the handshake that a task is about to begin.
handshaking: ContextVar[socket.socket | None] = ContextVar("handshaking", default=None)


class _Handshake(ssl.SSLObject):
    """A TLS connection that tells the other side why a handshake has failed.

    The event loop drops the alert that OpenSSL has made, and the other side sees only an end.
    """

    outgoing: ssl.MemoryBIO | None = None
    sock: socket.socket | None = None

    def do_handshake(self) -> None:
        try:
            super().do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            raise
        except ssl.SSLError:
            if self.outgoing is not None and self.sock is not None:
                with contextlib.suppress(OSError):
                    self.sock.send(self.outgoing.read())
            raise


class _ServerContext(ssl.SSLContext):
    sslobject_class = _Handshake

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *args: Any, **more: Any
    ) -> Any:
        made = super().wrap_bio(incoming, outgoing, *args, **more)
        if isinstance(made, _Handshake):
            made.outgoing, made.sock = outgoing, handshaking.get()
        return made


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a TLS 1.2+ context. OSError or ssl.SSLError names what cannot be used."""
    context = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load(context, files)
    if context.verify_mode is not ssl.CERT_NONE:
        # A ticket would let a client in again without a look at its certificate.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
    return context


def client_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a context that presents the certificate, and trusts `ca` or the system's CAs."""
    context = ssl.create_default_context(cafile=files.ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    load(context, files)
    context.verify_mode = ssl.CERT_REQUIRED
    return context


def load(context: ssl.SSLContext, files: TlsFiles) -> None:
    """Load the files into a context that may be in use."""
    for path in (files.cert, files.key, *([files.ca] if files.ca else [])):
        path.open("rb").close()  # an OSError from here names the file; OpenSSL's does not
    context.load_cert_chain(files.cert, files.key)
    if files.ca is not None:
        context.load_verify_locations(files.ca)
    if files.require_client or files.ask_client:
        context.verify_mode = ssl.CERT_REQUIRED if files.require_client else ssl.CERT_OPTIONAL


def verified(transport: asyncio.BaseTransport) -> Certificate | None:
    """Return the certificate of the other side that this side has verified; None without one."""
    tls: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
    if tls is None or tls.context.verify_mode is ssl.CERT_NONE:
        return None
    der = tls.getpeercert(binary_form=True)
    try:
        return certificate.read(der) if der else None
    except ValueError:
        return None  # OpenSSL alone understands it, so it names nobody


class RenewedContext:
    """A context that is made again when its files change. Each new connection takes `current`.

    A new one is made, because a context cannot forget an authority that it trusts.
    """

    def __init__(self, files: TlsFiles, make: Callable[[TlsFiles], ssl.SSLContext]) -> None:
        """Make the first context. OSError or ssl.SSLError names what cannot be used."""
        self.files = files
        self._make = make
        self._paths = (files.cert, files.key, *([files.ca] if files.ca else []))
        self._seen = tuple(map(_version, self._paths))
        self._failed: object = None
        self.current = make(files)
        self.own = _own(files)

    def refresh(self) -> bool:
        """Look at the files; return whether they were renewed.

        Files that do not fit together, or are half written, are tried again the next time.
        """
        seen = tuple(map(_version, self._paths))
        if seen == self._seen:
            return False
        try:
            current, own = self._make(self.files), _own(self.files)
        except (OSError, ssl.SSLError) as error:
            if seen != self._failed:
                self._failed = seen
                _log.error("certificates-kept", exc=error, cert=self.files.cert)
            return False
        self.current, self.own, self._seen = current, own, seen
        _log.info("certificates-renewed", cert=self.files.cert)
        return True


class RevokedFile:
    """The file that lists whose certificates are refused.

    A file that is not there when the process starts revokes nothing. Later, one that is gone or
    cannot be read changes nothing.
    """

    def __init__(self, path: Path) -> None:
        """Read the file. ValueError if it has another form, OSError if it cannot be read."""
        self.path = path
        self._seen = _version(path)
        self.listed = Revocations() if self._seen == ABSENT else self._read()

    def refresh(self) -> None:
        """Read the file again if it has changed."""
        seen = _version(self.path)
        if seen == self._seen:
            return
        self._seen = seen
        try:
            self.listed = self._read()
        except (OSError, ValueError) as error:
            _log.error("revoked-kept", exc=error, path=self.path)
        else:
            _log.info("revoked", path=self.path, names=len(self.listed))

    def _read(self) -> Revocations:
        with self.path.open("rb") as file:
            try:
                return revocations.read(file.read(REVOKED_BYTES_MAX))
            except ValueError as error:
                raise ValueError(f"{self.path}: {error}: write the list again") from None


ABSENT = (0, 0, 0)


def _version(path: Path) -> tuple[int, int, int]:
    """Return what changes when a file does."""
    try:
        found = path.stat()
    except OSError:
        return ABSENT
    return found.st_mtime_ns, found.st_size, found.st_ino


def _own(files: TlsFiles) -> Certificate | None:
    """Return what the certificate says; None if it is one that OpenSSL alone understands."""
    try:
        return certificate.read_pem(files.cert.read_bytes())
    except ValueError:
        return None
