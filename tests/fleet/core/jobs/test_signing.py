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


def test_a_signature_is_valid_for_its_job_text_and_key_only() -> None:
    private, public = keys()
    _, other = keys()
    signature = signing.sign("web.service", TEXT, private)
    trusted = [signing.load_public_key(public)]
    assert not signing.refusal("web.service", TEXT, ["nonsense", signature], trusted)
    assert signing.refusal("web.service", TEXT + " ", [signature], trusted)
    assert signing.refusal("db.service", TEXT, [signature], trusted)
    assert signing.refusal("web.service", TEXT, [signature], [signing.load_public_key(other)])
    assert signing.refusal("web.service", TEXT, [], trusted)


def test_a_signature_of_the_text_alone_is_refused_by_name() -> None:
    private, public = keys()
    trusted = [signing.load_public_key(public)]
    why = signing.refusal("web.service", TEXT, [signing.sign_text(TEXT, private)], trusted)
    assert "one of fleetctl 0.1" in why


def test_an_invalid_key_is_refused() -> None:
    with pytest.raises(BadKey):
        signing.load_public_key(b"no key")
    with pytest.raises(BadKey):
        signing.sign("web.service", TEXT, b"no key")
