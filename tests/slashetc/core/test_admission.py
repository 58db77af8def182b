"""Whom the authority lets in, whose certificates it renews, and what it says to the others."""

import datetime as dt

import pytest
from msgspec.structs import replace

from daemonkit.core.identity import Identity
from slashetc.authority import new_keys
from slashetc.core import admission, certificates, requests, tokens
from slashetc.core.admission import KnownFleet, Refused
from slashetc.core.certificates import Subject
from slashetc.core.keys import AdmittedHost, Eviction
from slashetc.core.requests import JoinRequest
from slashetc.core.tokens import Payload

NOW = dt.datetime(2026, 5, 1, tzinfo=dt.UTC)
SECONDS = NOW.timestamp()
AUTHORITY = new_keys.authority("prod", NOW)
ALICE = new_keys.signer_key()
KEYS = {name: new_keys.tls_key() for name in requests.NAMES}
MACHINE, OTHER = "a" * 32, "b" * 32


def issued(who, key, role="", now=NOW):
    valid = new_keys.issued(now, certificates.lifetime_of(who))
    subject = Subject(who, role=role)
    return certificates.pem_of(certificates.issue(AUTHORITY, subject, key.public_key(), valid))


def fleet(**changed):
    signers = {"alice": issued(Identity("prod", "signer", "alice"), ALICE, "operator")}
    known = KnownFleet("prod", (AUTHORITY.certificate,), signers=signers)
    return known if not changed else KnownFleet(
        **{name: changed.get(name, getattr(known, name)) for name in KnownFleet.__slots__}
    )  # fmt: skip


def token(key=ALICE, **changed):
    payload = Payload(
        id="t1",
        host="web3",
        fleet="prod",
        ca=certificates.fingerprint(AUTHORITY.certificate),
        issued=SECONDS - 60,
        expires=SECONDS + 3600,
        signer="alice",
    )
    return tokens.make(replace(payload, **changed), key)


def request(**changed):
    wanted = {
        name: certificates.request_of(Identity("prod", "host", "web3"), key)
        for name, key in KEYS.items()
    }
    given = JoinRequest(machine=MACHINE, address="10.0.0.3", requests=wanted, token=token())
    return replace(given, **changed)


def host(name="web3", address="10.0.0.3", **more):
    return AdmittedHost(host=name, address=address, **more)


WEB3 = Identity("prod", "host", "web3")


def renewal(key=KEYS["host"], who=WEB3, at=SECONDS, now=NOW, **changed):
    asked = request(token="", certificate=issued(who, KEYS["host"], now=now), at=at, **changed)
    return requests.signed(asked, key)


KNOWN = fleet(hosts={MACHINE: host()})


def test_a_token_lets_a_host_in_under_its_name():
    found = admission.decide(request(), fleet(), NOW)
    assert (found.host, found.member, set(found.keys)) == ("web3", True, set(requests.NAMES))


def test_the_fourth_host_is_no_member():
    three = {str(n) * 32: host(f"h{n}", f"10.0.1.{n}", member=True) for n in range(3)}
    found = admission.decide(request(), fleet(hosts=three), NOW)
    assert not found.member
    assert "member" not in found.keys


@pytest.mark.parametrize(
    ("told", "wished", "is_member"),
    [(True, False, True), (False, True, False), (None, False, False), (None, True, True)],
)
def test_the_token_says_whether_a_host_is_a_member_else_the_host_does(told, wished, is_member):
    asked = request(token=token(member=told), wants_member=wished)
    assert admission.decide(asked, fleet(), NOW).member is is_member


def test_the_same_key_may_come_again_with_its_token():
    use = certificates.key_fingerprint(KEYS["host"].public_key())
    assert admission.decide(request(), fleet(used={"t1": use}, hosts={MACHINE: host()}), NOW)


def test_a_host_renews_with_its_certificate():
    found = admission.decide(renewal(), KNOWN, NOW)
    assert (found.host, found.member, found.token) == ("web3", False, None)


def test_a_host_that_was_evicted_comes_back_with_a_newer_certificate():
    evicted = {"web3": Eviction(name="web3", before=SECONDS - 100, by="x")}
    found = admission.decide(request(), fleet(evicted_hosts=evicted), NOW)
    assert found.not_before.timestamp() == SECONDS - 99
    assert admission.users(found, MACHINE, authority=False)[0]["not_before"] == SECONDS - 100


def evicted(name, before, *, user=False):
    kind = "evicted_users" if user else "evicted_hosts"
    return fleet(**{kind: {name: Eviction(name=name, before=before, by="x", user=user)}})


BOB = new_keys.signer_key()
REFUSED = {
    "no token": (request(token="x"), fleet(), "slashetc1"),
    "a token of another fleet": (request(token=token(fleet="stage")), fleet(), "fleet stage"),
    "a token that somebody else made": (request(token=token(BOB)), fleet(), "credentials of an"),
    "a token of an unknown signer": (request(token=token(signer="bob")), fleet(), "operator bob"),
    "a token of an evicted signer": (
        request(), evicted("alice", SECONDS + 1, user=True), "no operator alice"),
    "an expired token": (request(token=token(expires=SECONDS - 90)), fleet(), "expired 90 s ago"),
    "a token of the future": (request(token=token(issued=SECONDS + 900)), fleet(), "the clock"),
    "a token from before the eviction": (
        request(), evicted("web3", SECONDS - 1), "older than the eviction"),
    "a used token": (request(), fleet(used={"t1": "other"}), "was used already"),
    "a taken name": (
        request(), fleet(hosts={OTHER: host(address="10.0.0.9")}), "slashetc evict web3"),
    "a clone": (request(), fleet(hosts={MACHINE: host("web2")}), "are clones"),
    "a taken address": (request(), fleet(hosts={OTHER: host("h1")}), "that of h1"),
    "loopback": (request(address="127.0.0.1"), fleet(), "--address"),
    "no address": (request(address="h1"), fleet(), "--address"),
    "a request that is none": (request(requests={"host": "x"}), fleet(), "no certificate request"),
    "a renewal by another key": (renewal(KEYS["skydns"]), KNOWN, "not signed by the key"),
    "a renewal of a person": (
        renewal(who=Identity("prod", "user", "web3")), KNOWN, "not of a host"),
    "a renewal of one daemon": (
        renewal(who=Identity("prod", "host", "web3", "skydns")), KNOWN, "not of a host"),
    "a renewal of another host": (
        renewal(who=Identity("prod", "host", "h1")), KNOWN, "not the host of the machine"),
    "a renewal from another fleet": (
        renewal(who=Identity("stage", "host", "web3")), KNOWN, "join again"),
    "an old renewal": (renewal(at=SECONDS - 900), KNOWN, "clock of the host is 900 s"),
    "an ended certificate": (renewal(now=NOW - dt.timedelta(days=40)), KNOWN, "ended at 2026-04"),
    "a renewal after an eviction": (
        renewal(), fleet(hosts={MACHINE: host()}, evicted_hosts={
            "web3": Eviction(name="web3", before=SECONDS, by="x")}), "was evicted"),
    "a renewal of a host that is gone": (renewal(), fleet(), "join again"),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_the_authority_refuses_with_a_remedy(what):
    asked, known, words = REFUSED[what]
    with pytest.raises(Refused, match=words) as refusal:
        admission.decide(asked, known, NOW)
    assert 400 <= refusal.value.status < 500


def test_a_request_keeps_its_id_and_no_member_can_change_a_renewal():
    asked = renewal()
    assert requests.read(requests.encode(asked)).id == asked.id
    changed = replace(asked, requests={**asked.requests, "host": request().requests["skydns"]})
    with pytest.raises(Refused, match="not signed"):
        admission.decide(changed, KNOWN, NOW)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[" * 9000, b'{"machine":"x"}', b"\xff", b'"' + b"x" * 99_999 + b'"']
)
def test_what_is_no_request_is_refused(body):
    with pytest.raises(requests.BadMessage):
        requests.read(body)
