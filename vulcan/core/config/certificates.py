"""Certificates: whether one belongs to its key, its names, and when it expires."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from vulcan.core.config.secretbox import KeyPair

if TYPE_CHECKING:
    from cryptography import x509


class CertificateError(ValueError):
    """A key pair that TLS cannot use; the message says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """The names and the expiry of a chain's first certificate."""

    names: tuple[str, ...]  # lower case; `*` stands for one label
    not_after_s: float  # Unix time


def inspect(pair: KeyPair) -> Certificate:
    """Check that key and certificate belong together. Raises CertificateError."""
    # Loaded for the first key pair only: it takes a tenth of the daemon's start.
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        chain = x509.load_pem_x509_certificates(pair.cert)
    except ValueError as error:
        raise CertificateError(f"Cert is not a chain of PEM certificates: {error}") from None
    try:
        key = serialization.load_pem_private_key(pair.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise CertificateError("Key is not a PEM private key without passphrase") from None
    first = chain[0]
    if _public(key.public_key()) != _public(first.public_key()):
        raise CertificateError("Key does not belong to Cert")
    return Certificate(_names(first), first.not_valid_after_utc.timestamp())


def _public(key: object) -> bytes:
    from cryptography.hazmat.primitives import serialization

    encoding, form = serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    encoded: bytes = key.public_bytes(encoding, form)  # type: ignore[attr-defined]
    return encoded


def _names(certificate: "x509.Certificate") -> tuple[str, ...]:
    from cryptography import x509

    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return ()
    return tuple(name.lower() for name in extension.value.get_values_for_type(x509.DNSName))
