"""The certificates of a host: their chain, their end, their names, and who may read their keys."""

import datetime as dt
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from daemonkit.core.tls import certificate as tls_certificate
from daemonkit.core.tls.revocations import Revocations
from slashetc.core.doctor.diagnosis import Diagnosis, fail, ok, warn
from slashetc.core.status.finding import ago
from slashetc.core.status.reading import DAY_S, EXPIRES_SOON_S

SUBJECT = "certificates"
AUTHORITY_SOON_S = 90 * DAY_S
JOIN_AGAIN = "join again with a new token: slashetc join"
RENEW = "look why its agent does not renew it: journalctl -u slashetc-agent"


@dataclass(frozen=True, slots=True)
class FileFacts:
    """A file below the directory of certificates. `error` says why it cannot be read."""

    path: str
    content: bytes = b""
    mode: int = 0
    owner: str = ""
    error: str = ""

    @property
    def name(self) -> str:
        """Its name without the directories."""
        return self.path.rpartition("/")[2]

    @property
    def is_certificate(self) -> bool:
        """Whether it should hold a certificate; a trusted key is a public key alone."""
        return self.name.endswith(".pem") and "/trusted-keys/" not in self.path


@dataclass(frozen=True, slots=True)
class HostIdentity:
    """What the certificates of a host must say. "" where it is not known."""

    fleet: str = ""
    host: str = ""
    address: str = ""


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """Everything that is judged together."""

    files: Sequence[FileFacts]
    expected: HostIdentity = HostIdentity()
    revoked: Revocations = field(default_factory=Revocations)


def judge(given: CertificateFiles, now: dt.datetime) -> list[Diagnosis]:
    """Judge all files."""
    found = [each for file in given.files for each in _of_file(file)]
    readable = {
        each.name: each
        for each in given.files
        if not each.error and (each.is_certificate or each.name.endswith(".key"))
    }
    authorities: tuple[x509.Certificate, ...] = ()
    if (bundle := readable.get("ca.pem")) is not None:
        authorities = _certificates(bundle)
        found += _of_authorities(bundle, authorities, now)
    for name, file in readable.items():
        if name.endswith(".pem") and name != "ca.pem":
            found += _of_certificate(file, authorities, given, now)
            key = readable.get(f"{name.removesuffix('.pem')}.key")
            found += _of_pair(file, key)
    if not found and given.files:
        ends = [_end(each, now) for each in given.files if each.is_certificate]
        if left := [each for each in ends if each is not None]:
            directory = given.files[0].path
            text = f"All in {directory} are valid; the first one ends in {ago(min(left))}."
            found.append(ok(SUBJECT, text))
    return found


def _certificates(file: FileFacts) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(file.content))
    except ValueError:
        return ()


def _end(file: FileFacts, now: dt.datetime) -> float | None:
    certificates = _certificates(file)
    if not certificates:
        return None
    return min((each.not_valid_after_utc - now).total_seconds() for each in certificates)


def _of_file(file: FileFacts) -> Iterator[Diagnosis]:
    if file.error:
        remedy = "run it as root, or mend the file"
        yield warn(SUBJECT, f"{file.path}: {file.error}.", remedy)
        return
    others = file.mode & (stat.S_IRWXG | stat.S_IRWXO)
    if file.name.endswith(".key") and others:
        text = f"{file.path} has the mode {file.mode & 0o7777:04o}: others may use this key."
        remedy = f"chmod 0600 {file.path}; if somebody may have read it, {JOIN_AGAIN}"
        yield fail(SUBJECT, text, remedy)
    elif file.mode & (stat.S_IWGRP | stat.S_IWOTH):
        text = f"{file.path} has the mode {file.mode & 0o7777:04o}: others may change it."
        yield fail(SUBJECT, text, f"chmod go-w {file.path}")
    if file.is_certificate and not _certificates(file):
        yield fail(SUBJECT, f"{file.path} holds no certificate.", JOIN_AGAIN)


def _of_authorities(
    file: FileFacts, authorities: Sequence[x509.Certificate], now: dt.datetime
) -> Iterator[Diagnosis]:
    for each in authorities:
        left = (each.not_valid_after_utc - now).total_seconds()
        remedy = "slashetc authority rotate"
        if left <= 0 and len(authorities) == 1:
            yield fail(
                SUBJECT, f"The authority in {file.path} has expired {ago(-left)} ago.", remedy
            )
        elif 0 < left < AUTHORITY_SOON_S and len(authorities) == 1:
            yield warn(SUBJECT, f"The authority in {file.path} ends in {ago(left)}.", remedy)


def _of_certificate(
    file: FileFacts,
    authorities: Sequence[x509.Certificate],
    given: CertificateFiles,
    now: dt.datetime,
) -> Iterator[Diagnosis]:
    for certificate in _certificates(file)[:1]:
        yield from _of_dates(file, certificate, now)
        if authorities and not any(_issued(certificate, each) for each in authorities):
            text = f"No authority in ca.pem has issued {file.path}."
            yield fail(SUBJECT, text, JOIN_AGAIN)
        yield from _of_names(file, certificate, given)


def _issued(certificate: x509.Certificate, authority: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _of_dates(
    file: FileFacts, certificate: x509.Certificate, now: dt.datetime
) -> Iterator[Diagnosis]:
    left = (certificate.not_valid_after_utc - now).total_seconds()
    early = (certificate.not_valid_before_utc - now).total_seconds()
    if left <= 0:
        yield fail(SUBJECT, f"{file.path} has expired {ago(-left)} ago.", JOIN_AGAIN)
    elif early > 0:
        text = f"{file.path} is valid only in {ago(early)}: is the clock of this host wrong?"
        yield fail(SUBJECT, text, "set the clock: timedatectl set-ntp on")
    elif left < EXPIRES_SOON_S:
        yield warn(SUBJECT, f"{file.path} ends in {ago(left)}.", RENEW)


def _of_names(
    file: FileFacts, certificate: x509.Certificate, given: CertificateFiles
) -> Iterator[Diagnosis]:
    facts = tls_certificate.read(certificate.public_bytes(Encoding.DER))
    who, expected = facts.identity, given.expected
    if who is None:
        return
    if given.revoked.is_revoked(facts):
        text = f"{file.path} is revoked: {who.name} was evicted from the fleet."
        yield fail(SUBJECT, text, JOIN_AGAIN)
    if who.kind in {"user", "signer"}:
        return
    for what, has, wants in (
        ("fleet", who.fleet, expected.fleet),
        ("host", who.name, expected.host),
    ):
        if wants and has != wants:
            text = f"{file.path} is for the {what} {has}, and this is {wants}."
            yield fail(SUBJECT, text, JOIN_AGAIN)
    if expected.address and file.name in {"host.pem", "member.pem"}:
        addresses = _addresses(certificate)
        if expected.address not in addresses:
            text = f"{file.path} has not the address {expected.address} of this host."
            yield fail(SUBJECT, text, JOIN_AGAIN)


def _addresses(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(each) for each in found.value.get_values_for_type(x509.IPAddress)]


def _of_pair(file: FileFacts, key: FileFacts | None) -> Iterator[Diagnosis]:
    if key is None:
        return
    certificates = _certificates(file)
    try:
        own = load_pem_private_key(key.content, None).public_key()
    except (ValueError, TypeError):
        yield fail(SUBJECT, f"{key.path} holds no private key.", JOIN_AGAIN)
        return
    form = Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    if certificates and certificates[0].public_key().public_bytes(*form) != own.public_bytes(*form):
        yield fail(SUBJECT, f"{key.path} is not the key of {file.path}.", JOIN_AGAIN)
