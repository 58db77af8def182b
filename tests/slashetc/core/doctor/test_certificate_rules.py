"""The doctor's verdicts about certificates and their files."""

import datetime as dt
from pathlib import Path

import pytest

from daemonkit.core.tls.revocations import Revocations
from rig.fleet_authority import FleetAuthority, Pair
from slashetc.authority import new_keys
from slashetc.core import certificates
from slashetc.core.certificates import Validity
from slashetc.core.doctor import certificate_rules
from slashetc.core.doctor.certificate_rules import CertificateFiles, FileFacts, HostIdentity
from slashetc.core.doctor.diagnosis import Diagnosis, Verdict

NOW = dt.datetime.now(dt.UTC)
HOST = HostIdentity("test", "web1", "10.0.0.1")


class Authority(FleetAuthority):
    """An authority whose certificates last as long as in a fleet."""

    @staticmethod
    def _validity(age: dt.timedelta | None) -> Validity:
        return new_keys.issued(NOW - (age or dt.timedelta()), certificates.HOST_LIFETIME)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def file(name: str, content: bytes, mode: int = 0o100600) -> FileFacts:
    return FileFacts(f"/pki/{name}", content, mode, "root")


def files(authority: FleetAuthority, pair: Pair) -> list[FileFacts]:
    return [
        file("ca.pem", authority.ca_file.read_bytes(), 0o100644),
        file("host.pem", pair.cert.read_bytes(), 0o100644),
        file("host.key", pair.key.read_bytes()),
    ]


def judge(
    found: list[FileFacts],
    expected: HostIdentity = HOST,
    revoked: Revocations | None = None,
    now: dt.datetime = NOW,
) -> list[Diagnosis]:
    return certificate_rules.judge(CertificateFiles(found, expected, revoked or Revocations()), now)


def said(found: list[Diagnosis]) -> str:
    (one,) = found
    assert one.verdict is not Verdict.OK
    assert one.remedy
    return one.text


def test_certificates_that_are_well_say_when_the_first_one_ends(authority: Authority) -> None:
    (one,) = judge(files(authority, authority.host("web1", "10.0.0.1")))
    assert one.verdict is Verdict.OK
    assert "29 days" in one.text or "30 days" in one.text
    assert judge([]) == []


@pytest.mark.parametrize(
    ("days", "verdict", "text"),
    [
        (31, Verdict.FAIL, "has expired"),
        (25, Verdict.WARN, "ends in 4 days"),
        (-2, Verdict.FAIL, "is valid only in 47 h: is the clock of this host wrong?"),
    ],
)
def test_dates_are_judged(authority: Authority, days: int, verdict: Verdict, text: str) -> None:
    pair = authority.host("web1", "10.0.0.1", age=dt.timedelta(days=days))
    (one,) = judge(files(authority, pair))
    assert (one.verdict, one.subject) == (verdict, "certificates")
    assert "/pki/host.pem" in one.text
    assert text in one.text


def test_a_certificate_of_another_authority_is_named(authority: Authority, tmp_path: Path) -> None:
    pair = Authority(tmp_path / "other").host("web1", "10.0.0.1")
    found = files(authority, pair)
    assert said(judge(found)) == "No authority in ca.pem has issued /pki/host.pem."


def test_the_names_must_be_those_of_the_host(authority: Authority) -> None:
    found = files(authority, authority.host("web2", "10.0.0.2"))
    texts = [each.text for each in judge(found)]
    assert texts == [
        "/pki/host.pem is for the host web2, and this is web1.",
        "/pki/host.pem has not the address 10.0.0.1 of this host.",
    ]
    assert judge(found, HostIdentity())[0].verdict is Verdict.OK
    other_fleet = HostIdentity("prod", "web2", "10.0.0.2")
    assert said(judge(found, other_fleet)) == (
        "/pki/host.pem is for the fleet test, and this is prod."
    )


def test_a_revoked_certificate_is_named_and_a_newer_one_is_not(authority: Authority) -> None:
    found = files(authority, authority.host("web1", "10.0.0.1"))
    assert "is revoked" in said(judge(found, revoked=Revocations({"web1": NOW.timestamp()})))
    assert (
        judge(found, revoked=Revocations(users={"web1": NOW.timestamp()}))[0].verdict is Verdict.OK
    )
    long_ago = NOW.timestamp() - 86_400
    assert judge(found, revoked=Revocations({"web1": long_ago}))[0].verdict is Verdict.OK


@pytest.mark.parametrize("mode", [0o100640, 0o100604, 0o100644, 0o100660])
def test_a_key_that_others_may_read_is_a_failure(authority: Authority, mode: int) -> None:
    found = files(authority, authority.host("web1", "10.0.0.1"))
    found[2] = file("host.key", found[2].content, mode)
    (one,) = judge(found)
    assert f"{mode & 0o777:04o}: others may use this key" in one.text
    assert "chmod 0600 /pki/host.key" in one.remedy


@pytest.mark.parametrize(
    ("path", "mode"),
    [
        ("/pki/ca.pem", 0o100666),
        ("/etc/slashetc/pki", 0o040775),
        ("/etc/slashetc/trusted-keys/ann.pem", 0o100664),
        ("/pki/revoked.json", 0o100646),
    ],
)
def test_a_file_that_others_may_change_is_a_failure(
    authority: Authority, path: str, mode: int
) -> None:
    content = authority.ca_file.read_bytes()
    (one,) = judge([FileFacts(path, content, mode)])
    assert "others may change it" in one.text
    assert one.remedy == f"chmod go-w {path}"


def test_a_key_must_be_the_certificates(authority: Authority) -> None:
    found = files(authority, authority.host("web1", "10.0.0.1"))
    other = file("host.key", authority.host("web2").key.read_bytes())
    assert said(judge([*found[:2], other])) == "/pki/host.key is not the key of /pki/host.pem."
    broken = file("host.key", b"-----BEGIN PRIVATE KEY-----\n")
    assert said(judge([*found[:2], broken])) == "/pki/host.key holds no private key."


def test_a_file_without_a_certificate_or_that_cannot_be_read_is_named(
    authority: Authority,
) -> None:
    assert said(judge([file("host.pem", b"junk")])) == "/pki/host.pem holds no certificate."
    closed = FileFacts("/pki/host.key", error="Permission denied")
    assert said(judge([closed])) == "/pki/host.key: Permission denied."


def test_an_authority_that_ends_is_named_while_there_is_no_other(authority: Authority) -> None:
    bundle = authority.ca_file.read_bytes()
    near = NOW + certificates.AUTHORITY_LIFETIME - dt.timedelta(days=30)
    assert "ends in 30 days" in said(judge([file("ca.pem", bundle)], now=near))
    after = NOW + certificates.AUTHORITY_LIFETIME + dt.timedelta(days=3, hours=1)
    assert "has expired 3 days ago" in said(judge([file("ca.pem", bundle)], now=after))
    both = bundle + new_keys_pem()
    assert judge([file("ca.pem", both)], now=near)[0].verdict is Verdict.OK


def new_keys_pem() -> bytes:
    return certificates.pem_of(new_keys.authority("test", NOW).certificate).encode()
