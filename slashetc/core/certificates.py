"""The certificates of a fleet: its authority's own, and those that the authority issues.

A request gives a public key, and proves that the sender has the private one. Everything else in a
certificate is the authority's decision: the identity, the names and addresses, the role, the dates.

A signer's certificate is for code signing, so that TLS accepts it neither from a client nor from a
server.
"""

import datetime as dt
import ipaddress
from dataclasses import dataclass

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as TlsKey
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey as TlsPublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as SignerKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as SignerPublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from daemonkit.core import identity
from daemonkit.core.identity import Identity

PublicKey = TlsPublicKey | SignerPublicKey
Purpose = ExtendedKeyUsageOID

AUTHORITY_LIFETIME = dt.timedelta(days=3650)
HOST_LIFETIME = dt.timedelta(days=30)
USER_LIFETIME = dt.timedelta(days=365)
# A certificate is valid a little before it is issued: clocks of a fleet differ by seconds.
BACKDATE = dt.timedelta(minutes=5)
# A request for a P-256 key has about 500 bytes.
REQUEST_BYTES_MAX = 8 << 10
# The names and addresses of a host in its certificate.
NAMES_MAX = 32
_LOOPBACK = ("127.0.0.1", "::1")


class BadRequest(ValueError):  # noqa: N818 - what is wrong with what somebody sent
    """The text is no request that the authority can sign; the message says why."""


@dataclass(frozen=True, slots=True)
class Authority:
    """The certificate of the authority, and its private key."""

    certificate: x509.Certificate
    key: TlsKey

    @property
    def fleet(self) -> str:
        """The name of the fleet."""
        return fleet_of(self.certificate)


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for. `names` are DNS names and IP addresses of a server."""

    identity: Identity
    names: tuple[str, ...] = ()
    role: str = ""


@dataclass(frozen=True, slots=True)
class Validity:
    """The dates of a certificate, and its serial number."""

    since: dt.datetime
    until: dt.datetime
    serial: int


def validity(now: dt.datetime, lifetime: dt.timedelta, serial: int) -> Validity:
    """Return the dates of a certificate that is issued now."""
    return Validity(now - min(BACKDATE, lifetime / 10), now + lifetime, serial)


def lifetime_of(who: Identity) -> dt.timedelta:
    """Return how long a certificate for an identity lasts.

    Units that a signer has signed must start for as long as they are wanted, also after years.
    """
    if who.kind == "signer":
        return AUTHORITY_LIFETIME
    return HOST_LIFETIME if who.kind in {"host", "member"} else USER_LIFETIME


def own_certificate(fleet: str, key: TlsKey, valid: Validity) -> x509.Certificate:
    """Return the certificate that an authority issues for itself."""
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, fleet),
            x509.NameAttribute(NameOID.COMMON_NAME, f"authority {valid.serial:x}"[:64]),
        ]
    )
    usage = _usage(certificates=True)
    builder = _dated(valid).subject_name(subject).issuer_name(subject).public_key(key.public_key())
    own_id = x509.SubjectKeyIdentifier.from_public_key(key.public_key())
    return (
        # One step below is the authority that follows, when this one certifies it.
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=1), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(own_id, critical=False)
        .sign(key, hashes.SHA256())
    )


def cross_certificate(
    issuer: Authority, subject: x509.Certificate, serial: int
) -> x509.Certificate:
    """Return a certificate by one authority for the key of another, as long as both are valid."""
    until = min(issuer.certificate.not_valid_after_utc, subject.not_valid_after_utc)
    key = subject.public_key()
    assert isinstance(key, TlsPublicKey)
    return (
        _dated(Validity(subject.not_valid_before_utc, until, serial))
        .subject_name(subject.subject)
        .issuer_name(issuer.certificate.subject)
        .public_key(key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_key_id(issuer.certificate), critical=False)
        .sign(issuer.key, hashes.SHA256())
    )


def request_of(who: Identity, key: TlsKey | SignerKey) -> str:
    """Return a signing request in PEM."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, who.user)])
    alternative = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(who.uri)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    builder = builder.add_extension(alternative, critical=False)
    signed = builder.sign(key, None if isinstance(key, SignerKey) else hashes.SHA256())
    return signed.public_bytes(Encoding.PEM).decode()


def requested_key(pem: str) -> PublicKey:
    """Return the public key of a signing request that its sender has. Raises BadRequest."""
    if len(pem) > REQUEST_BYTES_MAX:
        raise BadRequest(f"a request has at most {REQUEST_BYTES_MAX} bytes, not {len(pem)}")
    try:
        request = x509.load_pem_x509_csr(pem.encode())
        key = request.public_key()
        proven = request.is_signature_valid
    except Exception as error:  # noqa: BLE001 - the parser of foreign bytes raises various types
        raise BadRequest(f"this is no certificate request in PEM: {error}") from None
    if not proven:
        raise BadRequest("the request is not signed by the key that it names")
    if isinstance(key, SignerPublicKey):
        return key
    if isinstance(key, TlsPublicKey) and isinstance(key.curve, SECP256R1):
        return key
    raise BadRequest("the key is neither ECDSA P-256 nor Ed25519")


def issue(
    authority: Authority, subject: Subject, key: PublicKey, valid: Validity
) -> x509.Certificate:
    """Return a certificate. Raises BadRequest if the kind of the key does not fit the identity."""
    who = subject.identity
    if (who.kind == "signer") != isinstance(key, SignerPublicKey):
        wanted = "Ed25519" if who.kind == "signer" else "ECDSA P-256"
        raise BadRequest(f"the key of {who.user} must be {wanted}")
    issuer = authority.certificate
    purposes = x509.ExtendedKeyUsage(_purposes(who))
    builder = _dated(valid).subject_name(_name(subject)).issuer_name(issuer.subject)
    builder = (
        builder.public_key(key)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(certificates=False), critical=True)
        .add_extension(purposes, critical=False)
        .add_extension(_alternatives(subject), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
        .add_extension(_key_id(issuer), critical=False)
    )
    return builder.sign(authority.key, hashes.SHA256())


def verified(
    certificate: x509.Certificate, trusted: tuple[x509.Certificate, ...], now: dt.datetime
) -> Identity | None:
    """Return the identity of a certificate that a trusted authority issued and that is valid now.

    The fleet in the identity must be the authority's own.
    """
    if not certificate.not_valid_before_utc <= now <= certificate.not_valid_after_utc:
        return None
    for each in trusted:
        try:
            certificate.verify_directly_issued_by(each)
        except (ValueError, TypeError, InvalidSignature):
            continue
        who = identity.of_certificate(certificate.public_bytes(Encoding.DER))
        return who if who is not None and who.fleet == fleet_of(each) else None
    return None


def fleet_of(certificate: x509.Certificate) -> str:
    """Return the fleet of an authority's certificate, "" if it is none of ours."""
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATION_NAME)
    return str(found[0].value) if found else ""


def role_of(certificate: x509.Certificate) -> str:
    """Return the role in a user's or signer's certificate, "" if it has none."""
    found = certificate.subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    return str(found[0].value) if found else ""


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, in hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def key_fingerprint(key: PublicKey) -> str:
    """Return the SHA-256 of a public key, in hexadecimal."""
    digest = hashes.Hash(hashes.SHA256())
    digest.update(key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
    return digest.finalize().hex()


def pem_of(certificate: x509.Certificate) -> str:
    """Return a certificate in PEM."""
    return certificate.public_bytes(Encoding.PEM).decode()


def bundle(pem: str) -> tuple[x509.Certificate, ...]:
    """Return the certificates of a PEM file. Raises ValueError."""
    return tuple(x509.load_pem_x509_certificates(pem.encode()))


def renews_at(certificate: x509.Certificate) -> dt.datetime:
    """Return when two thirds of a certificate's lifetime have passed."""
    since, until = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    return since + (until - since) * 2 / 3


def _dated(valid: Validity) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .serial_number(valid.serial)
        .not_valid_before(valid.since)
        .not_valid_after(valid.until)
    )


def _name(subject: Subject) -> x509.Name:
    parts = [x509.NameAttribute(NameOID.ORGANIZATION_NAME, subject.identity.fleet)]
    if subject.role:
        parts.append(x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, subject.role))
    parts.append(x509.NameAttribute(NameOID.COMMON_NAME, subject.identity.user[:64]))
    return x509.Name(parts)


def _alternatives(subject: Subject) -> x509.SubjectAlternativeName:
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(subject.identity.uri)]
    if subject.identity.kind in {"host", "member"}:
        own = dict.fromkeys((subject.identity.name, *subject.names, "localhost", *_LOOPBACK))
        if len(own) > NAMES_MAX:
            raise BadRequest(f"a host has at most {NAMES_MAX} names and addresses, not {len(own)}")
        names += [_general_name(each) for each in own]
    return x509.SubjectAlternativeName(names)


def _general_name(text: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(text))
    except ValueError:
        pass
    if not identity.NAME.fullmatch(text.lower()):
        raise BadRequest(f"{text[:80]!r} is neither an IP address nor a host name")
    return x509.DNSName(text.lower())


def _purposes(who: Identity) -> list[x509.ObjectIdentifier]:
    match who.kind:
        case "host" | "member":
            return [Purpose.SERVER_AUTH, Purpose.CLIENT_AUTH]
        case "user":
            return [Purpose.CLIENT_AUTH]
        case "signer":
            return [Purpose.CODE_SIGNING]


def _usage(*, certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=certificates,
        crl_sign=certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _key_id(issuer: x509.Certificate) -> x509.AuthorityKeyIdentifier:
    own = issuer.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(own.value)
