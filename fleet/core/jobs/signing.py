"""Signatures of units: Ed25519 over the unit's text."""

import base64
from collections.abc import Iterable

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key

# A prefix, so that a signature of a unit is not valid for other data with the same bytes.
_CONTEXT = b"slashetc fleet unit\n"


class BadKey(ValueError):  # noqa: N818 - what is wrong with a file
    """The file is not an Ed25519 key in PEM."""


def sign(text: str, private_pem: bytes) -> str:
    """Return a signature of a unit's text. Raises BadKey."""
    try:
        key = load_pem_private_key(private_pem, password=None)
    except (ValueError, TypeError) as error:
        raise BadKey(str(error)) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BadKey("the key is not an Ed25519 key")
    return base64.b64encode(key.sign(_CONTEXT + text.encode())).decode()


def load_public_key(public_pem: bytes) -> Ed25519PublicKey:
    """Read a public key. Raises BadKey."""
    try:
        key = load_pem_public_key(public_pem)
    except ValueError as error:
        raise BadKey(str(error)) from None
    if not isinstance(key, Ed25519PublicKey):
        raise BadKey("the key is not an Ed25519 key")
    return key


def has_trusted_signature(
    text: str, signatures: Iterable[str], keys: Iterable[Ed25519PublicKey]
) -> bool:
    """Return whether one of the signatures was made with one of the keys."""
    data, good = _CONTEXT + text.encode(), list(keys)
    return any(_is_by(key, each, data) for each in signatures for key in good)


def _is_by(key: Ed25519PublicKey, signature: str, data: bytes) -> bool:
    try:
        key.verify(base64.b64decode(signature, validate=True), data)
    except (InvalidSignature, ValueError):
        return False
    return True
