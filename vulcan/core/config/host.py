"""Hosts with their certificates, decoded from their keys."""

import re
from dataclasses import dataclass

from daemonkit.core import durations
from vulcan.core.config import certificates
from vulcan.core.config.certificates import Certificate, CertificateError
from vulcan.core.config.documents import HostDocument, OcspDocument
from vulcan.core.config.errors import ModelError
from vulcan.core.config.secretbox import KeyPair, SealError, SealKeys

_NAME = re.compile(r"(\*\.)?[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Host:
    """A host name with its key pair."""

    name: str
    default: bool
    pair: KeyPair | None
    certificate: Certificate | None
    document: HostDocument
    notes: tuple[str, ...] = ()


def decode_host(name: str, document: HostDocument, seal_keys: SealKeys) -> Host:
    """Decode a host. Raises ModelError."""
    if _NAME.fullmatch(name) is None:
        raise ModelError(f'"{name}" is not a host name')
    pair: KeyPair | None = None
    certificate: Certificate | None = None
    settings = document.settings
    if settings.key_pair:
        try:
            pair = seal_keys.open(settings.key_pair)
            certificate = certificates.inspect(pair)
        except (SealError, CertificateError) as error:
            raise ModelError(f"Settings.KeyPair: {error}") from None
    elif settings.default:
        raise ModelError(
            "Settings.Default needs a KeyPair: without one there is no certificate to send"
        )
    notes = []
    _check_ocsp(settings.ocsp)
    if settings.ocsp.enabled:
        notes.append("Settings.OCSP has no effect: OCSP stapling is not supported")
    if settings.auto_cert:
        notes.append("Settings.AutoCert is not supported: set a KeyPair")
    return Host(name.lower(), settings.default, pair, certificate, document, tuple(notes))


def _check_ocsp(document: OcspDocument) -> None:
    """Refuse invalid settings although stapling is not supported: they are a mistake today, too."""
    try:
        durations.parse(document.period or "0")
    except ValueError as error:
        raise ModelError(f"Settings.OCSP.Period: {error}") from None
    for responder in document.responders:
        if not responder.startswith(("http://", "https://")):
            raise ModelError(f'Settings.OCSP.Responders has "{responder}": use http://HOST/...')
