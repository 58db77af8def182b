"""Self-signed certificates for tests."""

import datetime as dt
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from vulcan.core.config.secretbox import KeyPair


def write_pair(directory: Path, *names: str) -> tuple[Path, Path]:
    """Write a certificate for some names and its key to files."""
    pair = make_pair(*names)
    cert, key = directory / "cert.pem", directory / "key.pem"
    cert.write_bytes(pair.cert)
    key.write_bytes(pair.key)
    return cert, key


def make_pair(*names: str) -> KeyPair:
    """Return a key and a certificate for some names, valid for a day."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
    now = dt.datetime.now(dt.UTC)
    builder = x509.CertificateBuilder(subject, subject, key.public_key())
    builder = builder.serial_number(x509.random_serial_number())
    builder = builder.not_valid_before(now - dt.timedelta(hours=1))
    builder = builder.not_valid_after(now + dt.timedelta(days=1))
    alternatives = x509.SubjectAlternativeName([x509.DNSName(name) for name in names])
    builder = builder.add_extension(alternatives, critical=False)
    signed = builder.sign(key, hashes.SHA256())
    return KeyPair(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ),
        signed.public_bytes(serialization.Encoding.PEM),
    )
