"""New keys and serial numbers, from the kernel's random numbers."""

import datetime as dt

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from slashetc.core import certificates
from slashetc.core.certificates import Authority, Validity


def tls_key() -> ec.EllipticCurvePrivateKey:
    """Return a new key for a certificate of TLS, or for an authority."""
    return ec.generate_private_key(ec.SECP256R1())


def signer_key() -> Ed25519PrivateKey:
    """Return a new key that signs orders."""
    return Ed25519PrivateKey.generate()


def authority(fleet: str, now: dt.datetime) -> Authority:
    """Return a new authority of a fleet."""
    key = tls_key()
    valid = issued(now, certificates.AUTHORITY_LIFETIME)
    return Authority(certificates.own_certificate(fleet, key, valid), key)


def issued(now: dt.datetime, lifetime: dt.timedelta) -> Validity:
    """Return the dates of a certificate that is issued now, with a new serial number."""
    return certificates.validity(now, lifetime, x509.random_serial_number())
