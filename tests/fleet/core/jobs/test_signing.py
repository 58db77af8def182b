"""Units that somebody vouches for."""

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


def test_a_unit_is_vouched_for_by_who_signed_it_and_nobody_else() -> None:
    private, public = keys()
    _, other = keys()
    signature = signing.signed(TEXT, private)
    trusted = [signing.trusted(public)]
    assert signing.has_trusted_signature(TEXT, ["nonsense", signature], trusted)
    assert not signing.has_trusted_signature(TEXT + " ", [signature], trusted)
    assert not signing.has_trusted_signature(TEXT, [signature], [signing.trusted(other)])
    assert not signing.has_trusted_signature(TEXT, [], trusted)


def test_what_is_no_key_is_refused() -> None:
    with pytest.raises(BadKey):
        signing.trusted(b"no key")
    with pytest.raises(BadKey):
        signing.signed(TEXT, b"no key")
