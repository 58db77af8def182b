"""Private keys in PEM: those of servers and people plain, that of the authority encrypted."""

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey as TlsKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey as SignerKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey as SignerPublicKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)

AnyKey = TlsKey | SignerKey


class BadKey(ValueError):  # noqa: N818 - what is wrong with a file
    """The text is not the private key that is needed here; the message says why."""


def private_pem(key: AnyKey, passphrase: bytes = b"") -> str:
    """Return a private key in PEM, encrypted if there is a passphrase."""
    cipher: KeySerializationEncryption = NoEncryption()
    if passphrase:
        cipher = BestAvailableEncryption(passphrase)
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, cipher).decode()


def public_pem(key: SignerPublicKey) -> str:
    """Return a public key in PEM."""
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def tls_key(pem: str, passphrase: bytes = b"") -> TlsKey:
    """Read the private key of a certificate for TLS, or of an authority. Raises BadKey."""
    key = _loaded(pem, passphrase)
    if not isinstance(key, TlsKey):
        raise BadKey("the key is not an ECDSA key")
    return key


def signer_key(pem: str) -> SignerKey:
    """Read the private key of a signer. Raises BadKey."""
    key = _loaded(pem, b"")
    if not isinstance(key, SignerKey):
        raise BadKey("the key is not an Ed25519 key")
    return key


def _loaded(pem: str, passphrase: bytes) -> object:
    try:
        return load_pem_private_key(pem.encode(), passphrase or None)
    except (ValueError, TypeError) as error:
        raise BadKey(str(error)) from None
