"""TLS contexts of listeners. After a reload, new connections use the new files."""

import ssl
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files of a listener; `require_client` demands a client certificate signed by `ca`."""

    cert: Path
    key: Path
    ca: Path | None = None
    require_client: bool = False


def server_context(files: TlsFiles) -> ssl.SSLContext:
    """Return a TLS 1.2+ context. OSError or ssl.SSLError names what cannot be used."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load(context, files)
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
    if files.require_client:
        context.verify_mode = ssl.CERT_REQUIRED
