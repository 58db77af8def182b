"""The certificates of a fleet: whom they name, what they are for, who accepts them."""

import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from daemonkit.core import identity
from daemonkit.core.identity import Identity
from rig.fleet_authority import FleetAuthority
from slashetc.authority import new_keys
from slashetc.core import certificates
from slashetc.core.certificates import BadRequest, Subject

NOW = dt.datetime.now(dt.UTC)


def issue(authority, who, key, **more):
    valid = new_keys.issued(NOW, certificates.lifetime_of(who))
    return certificates.issue(authority, Subject(who, **more), key.public_key(), valid)


def handshake(server, client):
    """Return the certificate that a server sees of its client."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    far = server.wrap_bio(to_server, to_client, server_side=True)
    near = client.wrap_bio(to_client, to_server, server_hostname="127.0.0.1")
    done = set()
    while len(done) < 2:
        for each in (near, far):
            try:
                each.do_handshake()
                done.add(each)
            except ssl.SSLWantReadError:
                pass
    return far.getpeercert(binary_form=True)


def contexts(fleet, server, client):
    far = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=fleet.ca_file)
    far.load_cert_chain(server.cert, server.key)
    far.verify_mode = ssl.CERT_REQUIRED
    near = ssl.create_default_context(cafile=fleet.ca_file)
    near.verify_flags |= ssl.VERIFY_X509_STRICT
    far.verify_flags |= ssl.VERIFY_X509_STRICT
    near.load_cert_chain(client.cert, client.key)
    return far, near


@pytest.mark.parametrize("kind", ["host", "member", "user"])
def test_a_client_proves_its_identity_in_tls(tmp_path, kind):
    fleet = FleetAuthority(tmp_path)
    client = fleet.pair(kind, "web3")
    der = handshake(*contexts(fleet, fleet.member("h1"), client))
    assert identity.of_certificate(der) == Identity("test", kind, "web3")


def test_a_signer_is_no_client(tmp_path):
    fleet = FleetAuthority(tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(*contexts(fleet, fleet.member("h1"), fleet.signer("alice")))


def test_a_user_is_no_server(tmp_path):
    fleet = FleetAuthority(tmp_path)
    with pytest.raises(ssl.SSLError):
        handshake(*contexts(fleet, fleet.user("alice"), fleet.host("web3")))


def test_a_certificate_of_another_authority_with_the_same_name_is_not_verified():
    ours, theirs = (new_keys.authority("prod", NOW) for _ in range(2))
    issued = issue(theirs, Identity("prod", "host", "web3"), new_keys.tls_key())
    assert certificates.verified(issued, (ours.certificate,), NOW) is None
    both = (ours.certificate, theirs.certificate)
    assert certificates.verified(issued, both, NOW) == Identity("prod", "host", "web3")


def test_an_identity_of_another_fleet_is_not_verified():
    ours = new_keys.authority("prod", NOW)
    issued = issue(ours, Identity("stage", "host", "web3"), new_keys.tls_key())
    assert certificates.verified(issued, (ours.certificate,), NOW) is None


@pytest.mark.parametrize("days", [-1, 31])
def test_a_certificate_is_verified_only_between_its_dates(days):
    ours = new_keys.authority("prod", NOW)
    issued = issue(ours, Identity("prod", "host", "web3"), new_keys.tls_key())
    then = NOW + dt.timedelta(days=days)
    assert certificates.verified(issued, (ours.certificate,), then) is None


def test_a_host_renews_at_two_thirds_of_its_lifetime():
    ours = new_keys.authority("prod", NOW)
    issued = issue(ours, Identity("prod", "host", "web3"), new_keys.tls_key())
    assert abs(certificates.renews_at(issued) - NOW - dt.timedelta(days=20)) < dt.timedelta(hours=1)


def test_the_addresses_of_a_server_come_from_the_authority():
    ours = new_keys.authority("prod", NOW)
    who = Identity("prod", "member", "h1")
    issued = issue(ours, who, new_keys.tls_key(), names=("10.77.0.1", "h1.example.com"))
    names = issued.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["h1", "h1.example.com", "localhost"]
    found = map(str, names.get_values_for_type(x509.IPAddress))
    assert list(found) == ["10.77.0.1", "127.0.0.1", "::1"]


@pytest.mark.parametrize("name", ["*.example.com", "a b", "", "10.77.0.1/24", "x" * 300])
def test_a_bad_name_of_a_host_is_refused(name):
    ours = new_keys.authority("prod", NOW)
    with pytest.raises(BadRequest):
        issue(ours, Identity("prod", "host", "web3"), new_keys.tls_key(), names=(name,))


def test_a_request_shows_its_key():
    key = new_keys.tls_key()
    pem = certificates.request_of(Identity("prod", "host", "web3"), key)
    assert certificates.requested_key(pem) == key.public_key()


def _foreign_requests():
    good = certificates.request_of(Identity("prod", "host", "web3"), new_keys.tls_key())
    der = bytearray(x509.load_pem_x509_csr(good.encode()).public_bytes(Encoding.DER))
    der[-1] ^= 1
    yield ssl.DER_cert_to_PEM_cert(bytes(der)).replace("CERTIFICATE", "CERTIFICATE REQUEST")
    yield ""
    yield good[: len(good) // 2]
    yield good * 100
    for key in (ec.generate_private_key(ec.SECP384R1()), rsa.generate_private_key(65537, 2048)):
        yield certificates.request_of(Identity("prod", "host", "web3"), key)


@pytest.mark.parametrize("pem", list(_foreign_requests()), ids=range(6))
def test_a_request_that_cannot_be_signed_is_refused_with_a_reason(pem):
    with pytest.raises(BadRequest) as refusal:
        certificates.requested_key(pem)
    assert str(refusal.value)


def test_a_signer_has_an_ed25519_key_and_nobody_else():
    ours = new_keys.authority("prod", NOW)
    with pytest.raises(BadRequest):
        issue(ours, Identity("prod", "signer", "alice"), new_keys.tls_key())
    with pytest.raises(BadRequest):
        issue(ours, Identity("prod", "user", "alice"), new_keys.signer_key())
