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
from fleet.core.jobs.signing import BadKey, Signer

TEXT = "[Service]\nExecStart=/bin/true\n"


def keys() -> tuple[bytes, bytes]:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()), public


def test_a_signature_is_valid_for_its_job_text_and_key_only() -> None:
    private, public = keys()
    _, other = keys()
    signature = Signer(private).sign_job("web.service", TEXT)
    trusted = {"alice": signing.load_public_key(public)}
    assert not signing.refusal("web.service", TEXT, ["nonsense", signature], trusted)
    assert signing.refusal("web.service", TEXT + " ", [signature], trusted)
    assert signing.refusal("db.service", TEXT, [signature], trusted)
    assert signing.refusal(
        "web.service", TEXT, [signature], {"bob": signing.load_public_key(other)}
    )
    assert signing.refusal("web.service", TEXT, [], trusted)


def test_a_signature_of_the_text_alone_is_refused_by_name() -> None:
    private, public = keys()
    trusted = {"alice": signing.load_public_key(public)}
    why = signing.refusal("web.service", TEXT, [Signer(private).sign_text(TEXT)], trusted)
    assert "one of fleetctl 0.1" in why


def test_a_refusal_says_which_keys_the_host_trusts_and_what_to_do() -> None:
    private, _ = keys()
    others = {f"user{n}": signing.load_public_key(keys()[1]) for n in range(7)}
    signature = Signer(private).sign_job("web.service", TEXT)
    why = signing.refusal("web.service", TEXT, [signature], others)
    assert "another key has; this host trusts user0, user1, user2, user3, user4 and 2 more" in why
    unsigned = signing.refusal("web.service", TEXT, [], others)
    assert "another key" not in unsigned
    for each in (why, unsigned):
        assert each.endswith("sign it with `fleetctl run FILE --sign-key KEY`")
    assert "this host trusts no key" in signing.refusal("web.service", TEXT, [signature], {})


def test_an_invalid_key_is_refused() -> None:
    with pytest.raises(BadKey):
        signing.load_public_key(b"no key")
    with pytest.raises(BadKey):
        Signer(b"no key")
