"""What a host trusts: authorities, signers, and whom it refuses.

Whoever can write into the store must not be able to choose these. So each host checks what it finds
there against what it trusts already.
"""

import datetime as dt
import json
from collections.abc import Iterable, Mapping

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding

from daemonkit.core import identity
from slashetc.core import certificates, roles
from slashetc.core.keys import Eviction

# The authority that ends, the one that begins, and the certificates that each gives the other.
BUNDLE_MAX = 8


def next_authorities(
    trusted: tuple[x509.Certificate, ...], offered: tuple[x509.Certificate, ...]
) -> tuple[x509.Certificate, ...]:
    """Return the authorities to trust after a bundle was found in the store.

    A new authority is trusted if one that is trusted already has certified its key. An old one is
    given up only together with nothing newer: the newest that is trusted stays.
    """
    if len(offered) > BUNDLE_MAX:
        return trusted
    roots = [each for each in offered if _is_issued_by(each, each)]
    crossed = [each for each in offered if each not in roots]
    accepted = [each for each in roots if each in trusted]
    for root in roots:
        is_certified = any(
            each.subject == root.subject
            and each.public_key() == root.public_key()
            and any(_is_issued_by(each, old) for old in trusted)
            for each in crossed
        )
        is_ours = certificates.fleet_of(root) in {certificates.fleet_of(old) for old in trusted}
        if root not in accepted and is_certified and is_ours:
            accepted.append(root)
    newest = max(trusted, key=lambda each: each.not_valid_before_utc, default=None)
    if newest is not None and newest not in accepted:
        return trusted
    return tuple(sorted(accepted, key=lambda each: each.not_valid_before_utc))


def pinned(fingerprint: str, offered: tuple[x509.Certificate, ...]) -> tuple[x509.Certificate, ...]:
    """Return the authorities to trust for a token with this fingerprint; none if it is foreign."""
    first = tuple(each for each in offered if certificates.fingerprint(each) == fingerprint)
    return next_authorities(first, offered) if first else ()


def signer_key(
    name: str,
    pem: str,
    trusted: tuple[x509.Certificate, ...],
    eviction: Eviction | None,
) -> Ed25519PublicKey | None:
    """Return the public key of a signer whom the authority has named, None if it has not.

    The dates are not checked: units that were signed run on for as long as nobody is evicted.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem.encode())
        key = certificate.public_key()
    except ValueError:
        return None
    issued_by = [each for each in trusted if _is_issued_by(certificate, each)]
    who = identity.of_certificate(certificate.public_bytes(Encoding.DER))
    if who is None or not issued_by or who.fleet != certificates.fleet_of(issued_by[0]):
        return None
    is_signer = who.kind == "signer" and who.name == name
    if not is_signer or certificates.role_of(certificate) not in roles.SIGNING:
        return None
    since = certificate.not_valid_before_utc.timestamp()
    if eviction is not None and since <= eviction.before:
        return None
    return key if isinstance(key, Ed25519PublicKey) else None


def revoked_file(evictions: Iterable[Eviction]) -> str:
    """Return the content of revoked.json."""
    listed = [
        {"name": each.name, "before": each.before, "user": each.user}
        for each in sorted(evictions, key=lambda each: (each.user, each.name))
    ]
    return json.dumps({"identities": listed}, indent=1) + "\n"


def ends(pems: Mapping[str, x509.Certificate]) -> dt.datetime | None:
    """Return when the first of some certificates ends."""
    return min((each.not_valid_after_utc for each in pems.values()), default=None)


def _is_issued_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True
