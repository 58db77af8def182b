"""What a verified certificate says of its holder."""

from dataclasses import dataclass

from daemonkit.core import identity
from daemonkit.core.identity import SCHEME, Identity


@dataclass(frozen=True, slots=True)
class Certificate:
    """The facts of one certificate. `roles` are the organizational units of its subject.

    `claims_identity` says that it has a SPIFFE id, also one that is none of ours.
    """

    identity: Identity | None
    common_name: str
    roles: frozenset[str]
    not_before_s: float
    not_after_s: float
    claims_identity: bool = False

    @property
    def shown(self) -> str:
        """The holder, for a message."""
        return self.identity.uri if self.identity else f"CN={self.common_name}"


def read(der: bytes) -> Certificate:
    """Return the facts of a certificate that the caller has verified. ValueError if it is none."""
    # Only who has TLS needs it, and it takes a while to load.
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    found = x509.load_der_x509_certificate(der)
    subject = found.subject
    names = [str(each.value) for each in subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    units = subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    uris: list[str] = []
    try:
        alternative = found.extensions.get_extension_for_class(x509.SubjectAlternativeName)
        uris = alternative.value.get_values_for_type(x509.UniformResourceIdentifier)
    except x509.ExtensionNotFound:
        pass
    return Certificate(
        identity.parse(uris[0]) if len(uris) == 1 else None,
        names[0] if names else "",
        frozenset(str(each.value) for each in units),
        found.not_valid_before_utc.timestamp(),
        found.not_valid_after_utc.timestamp(),
        any(uri.startswith(SCHEME) for uri in uris),
    )


def read_pem(pem: bytes) -> Certificate:
    """Return the facts of the first certificate in a PEM file. ValueError if there is none."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    return read(x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER))
