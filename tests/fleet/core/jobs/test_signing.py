"""Signatures of units."""

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
)

from fleet.core.jobs import signing
from fleet.core.jobs.signing import BadKey

TEXT = "[Service]\nExecStart=/bin/true\n"


def keys() -> tuple[bytes, bytes]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public


def test_a_signature_is_valid_for_its_text_and_key_only() -> None:
    private, public = keys()
    _, other = keys()
    signature = signing.sign(TEXT, private)
    trusted = [signing.load_public_key(public)]
    assert signing.has_trusted_signature(TEXT, ["nonsense", signature], trusted)
    assert not signing.has_trusted_signature(TEXT + " ", [signature], trusted)
    assert not signing.has_trusted_signature(TEXT, [signature], [signing.load_public_key(other)])
    assert not signing.has_trusted_signature(TEXT, [], trusted)


def test_an_invalid_key_is_refused() -> None:
    with pytest.raises(BadKey):
        signing.load_public_key(b"no key")
    with pytest.raises(BadKey):
        signing.sign(TEXT, b"no key")
