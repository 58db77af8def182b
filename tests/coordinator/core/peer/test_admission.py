"""Who may send to a member, and which certificate fits whom."""

import datetime as dt
import ipaddress

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

from coordinator.core.cluster.versions import FIRST, OWN
from coordinator.core.peer.admission import Refusal, Sender, refusal

SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH
KEY = ec.generate_private_key(ec.SECP256R1())


def certificate(
    *names: str, usages: tuple[ObjectIdentifier, ...] = (), common_name: str = "m"
) -> bytes:
    """Return a certificate for host names and addresses, in DER."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder(name, name, KEY.public_key(), x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
    )
    if names:
        alternatives = x509.SubjectAlternativeName([_general(each) for each in names])
        builder = builder.add_extension(alternatives, critical=False)
    if usages:
        builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
    return builder.sign(KEY, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def why(der: bytes, *hosts: str, allowed_cn: str = "") -> str:
    """Return why a member at these hosts is refused with a certificate."""
    found = refusal(Sender(0xB, True, False, frozenset(hosts), der), allowed_cn)
    return found.why if found else ""


def test_a_member_is_admitted_and_a_stranger_and_a_removed_member_are_not() -> None:
    nothing: frozenset[str] = frozenset()
    assert refusal(Sender(0xB, is_member=True, is_removed=False, hosts=nothing)) is None
    stranger = refusal(Sender(0xB, is_member=False, is_removed=False, hosts=nothing))
    assert stranger == Refusal(b"403 Forbidden", "b is no member of this cluster, or not yet")
    removed = refusal(Sender(0xB, is_member=False, is_removed=True, hosts=nothing))
    assert removed == Refusal(b"410 Gone", "member b was removed")


def test_a_member_that_cannot_read_the_log_is_refused_by_name() -> None:
    old = Sender(0xB, is_member=True, is_removed=False, hosts=frozenset(), version=FIRST)
    assert refusal(old) is None
    refused = refusal(old, needed=OWN)
    assert refused is not None
    assert refused.status == b"426 Upgrade Required"
    assert "the log needs cluster version 0.2, and the member knows 0.1" in refused.why


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["10.0.0.1"], "10.0.0.1"),
        (["10.0.0.9", "fd00::1"], "fd00::1"),
        (["m1.example.com"], "M1.example.com"),
        (["*.example.com"], "m1.example.com"),
    ],
)
def test_a_certificate_for_a_host_of_the_peer_urls_fits(names: list[str], host: str) -> None:
    assert why(certificate(*names), "elsewhere", host) == ""
    assert why(certificate(*names, usages=(SERVER, CLIENT)), host) == ""


@pytest.mark.parametrize(
    ("names", "host"),
    [
        (["10.0.0.2"], "10.0.0.1"),
        (["m2.example.com"], "m1.example.com"),
        (["*.example.com"], "a.m1.example.com"),
        (["*.com"], "example.org"),
        (["*"], "localhost"),
        ([], "m1.example.com"),
    ],
)
def test_a_certificate_for_another_host_does_not_fit(names: list[str], host: str) -> None:
    assert why(certificate(*names), host) == (
        f"the certificate of b is not for {host}, the hosts of its peer URLs"
    )


def test_a_certificate_for_clients_alone_is_no_members() -> None:
    assert "is only for clients" in why(certificate("10.0.0.1", usages=(CLIENT,)), "10.0.0.1")


def test_the_common_name_can_be_prescribed() -> None:
    der = certificate("10.0.0.1", common_name="store")
    assert why(der, "10.0.0.1", allowed_cn="store") == ""
    assert "has the common name 'store', not 'other'" in why(der, "10.0.0.1", allowed_cn="other")
