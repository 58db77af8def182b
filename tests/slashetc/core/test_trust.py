"""What a host takes from the store, and what it does not believe."""

import datetime as dt

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from daemonkit.core.identity import Identity
from slashetc.authority import new_keys
from slashetc.core import certificates, trust
from slashetc.core.certificates import Subject
from slashetc.core.keys import Eviction

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
OLD = new_keys.authority("prod", NOW)
NEW = new_keys.authority("prod", NOW + dt.timedelta(days=1))
FOREIGN = new_keys.authority("prod", NOW + dt.timedelta(days=2))
CROSS = certificates.cross_certificate(OLD, NEW.certificate, 1)


def test_a_certified_authority_is_trusted_beside_the_old_one():
    offered = (OLD.certificate, NEW.certificate, CROSS)
    found = trust.next_authorities((OLD.certificate,), offered)
    assert found == (OLD.certificate, NEW.certificate)


def test_the_old_authority_ends_when_only_the_new_one_is_offered():
    both = (OLD.certificate, NEW.certificate)
    assert trust.next_authorities(both, (NEW.certificate,)) == (NEW.certificate,)


@pytest.mark.parametrize(
    "offered",
    [
        (),
        (FOREIGN.certificate,),
        (OLD.certificate, FOREIGN.certificate),
        (OLD.certificate, FOREIGN.certificate, CROSS),
        (OLD.certificate,) * (trust.BUNDLE_MAX + 1),
    ],
)
def test_an_authority_that_nobody_certified_is_not_trusted(offered):
    assert trust.next_authorities((OLD.certificate,), offered) == (OLD.certificate,)


def test_the_new_authority_cannot_be_taken_back():
    both = (OLD.certificate, NEW.certificate)
    assert trust.next_authorities(both, (OLD.certificate,)) == both


def test_a_cross_certificate_of_a_foreign_authority_is_worth_nothing():
    forged = certificates.cross_certificate(FOREIGN, NEW.certificate, 1)
    offered = (OLD.certificate, NEW.certificate, forged)
    assert trust.next_authorities((OLD.certificate,), offered) == (OLD.certificate,)


def test_an_old_token_pins_the_new_authority_too():
    offered = (OLD.certificate, NEW.certificate, CROSS)
    pin = certificates.fingerprint(OLD.certificate)
    assert NEW.certificate in trust.pinned(pin, offered)
    assert trust.pinned("00" * 32, offered) == ()


ALICE = Identity("prod", "signer", "alice")


def signer(authority=OLD, who=ALICE, role="operator"):
    key = new_keys.signer_key() if who.kind == "signer" else new_keys.tls_key()
    valid = new_keys.issued(NOW, certificates.lifetime_of(who))
    issued = certificates.issue(authority, Subject(who, role=role), key.public_key(), valid)
    return certificates.pem_of(issued)


def test_a_signer_of_the_authority_is_trusted():
    assert trust.signer_key("alice", signer(), (OLD.certificate,), None) is not None


EVICTED = Eviction(name="alice", before=NOW.timestamp(), by="x", user=True)
NOT_TRUSTED = {
    "of another authority": (signer(FOREIGN), None),
    "under another name": (signer(who=Identity("prod", "signer", "bob")), None),
    "of another fleet": (signer(who=Identity("stage", "signer", "alice")), None),
    "who only looks": (signer(role="viewer"), None),
    "without a role": (signer(role=""), None),
    "who is a user": (signer(who=Identity("prod", "user", "alice")), None),
    "who is out": (signer(), EVICTED),
    "that is no certificate": ("x", None),
}


@pytest.mark.parametrize("who", NOT_TRUSTED)
def test_a_signer_is_not_trusted(who):
    pem, eviction = NOT_TRUSTED[who]
    assert trust.signer_key("alice", pem, (OLD.certificate,), eviction) is None


def test_a_self_made_certificate_with_the_authoritys_name_is_not_trusted():
    key = new_keys.signer_key()
    name = OLD.certificate.subject
    forged = (
        x509.CertificateBuilder(name, name, key.public_key(), 1, NOW, NOW + dt.timedelta(days=1))
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.UniformResourceIdentifier("spiffe://prod/signer/alice")]
            ),
            critical=False,
        )
        .sign(new_keys.tls_key(), hashes.SHA256())
    )
    pem = certificates.pem_of(forged)
    assert trust.signer_key("alice", pem, (OLD.certificate,), None) is None
