"""The authority at work on a real store: what it signs, once, and how its key is kept."""

import datetime as dt
from collections.abc import Iterator
from pathlib import Path

import pytest
from msgspec.structs import replace

from coordinator.client import connect
from daemonkit.core.identity import Identity
from rig.processes import Coordinator, run, script
from slashetc.authority import key_store, new_keys, office
from slashetc.authority.key_store import NoAuthority
from slashetc.authority.office import Office
from slashetc.core import certificates, keys, requests, roles, tokens
from slashetc.core.certificates import Subject
from slashetc.core.requests import JoinRequest
from slashetc.core.tokens import Payload
from slashetc.store.cluster_api import ClusterApi

SIGNER = new_keys.signer_key()


def now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Site:
    """A store with the records of a fleet, and its authority."""

    def __init__(self, directory: Path, url: str) -> None:
        self.directory, self.url = directory / "authority", url
        self.store, self.api = connect([url]), ClusterApi([url])
        self.authority = key_store.create(self.directory, "prod", now())
        for role in roles.SHIPPED:
            self.api.put_role(role.document())
        own = certificates.pem_of(self.authority.certificate)
        (directory / "ca.pem").write_text(own)
        self.store.put(keys.AUTHORITY, own)
        who = Identity("prod", "signer", "alice")
        valid = new_keys.issued(now(), certificates.lifetime_of(who))
        subject = Subject(who, role="operator")
        issued = certificates.issue(self.authority, subject, SIGNER.public_key(), valid)
        self.store.put(keys.signer("alice"), certificates.pem_of(issued))

    def office(self) -> Office:
        """Open the authority anew, as after a restart."""
        return Office(self.directory, self.store, self.api, tuple)

    def request(self, host: str = "web3", digit: str = "a", number: str = "t1") -> JoinRequest:
        """Return a request of a host with a new key."""
        stamp = now().timestamp()
        payload = Payload(
            id=number,
            host=host,
            fleet="prod",
            ca=certificates.fingerprint(self.authority.certificate),
            issued=stamp - 1,
            expires=stamp + 600,
            signer="alice",
            member=False,
        )
        csr = certificates.request_of(Identity("prod", "host", host), new_keys.tls_key())
        return JoinRequest(
            machine=digit * 32,
            address=f"10.0.0.{int(digit, 16)}",
            requests={"host": csr},
            token=tokens.make(payload, SIGNER),
        )


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with Coordinator(tmp_path_factory.mktemp("store")) as store:
        yield store.url


@pytest.fixture
def site(tmp_path: Path, url: str) -> Iterator[Site]:
    found = Site(tmp_path, url)
    yield found
    found.store.delete(keys.PREFIX, recursive=True)


def test_a_host_gets_a_certificate_a_record_and_users(site: Site) -> None:
    asked = site.request()
    answer = site.office().answer(asked, now())
    (issued,) = certificates.bundle(answer.certificates["host"])
    trusted = (site.authority.certificate,)
    assert certificates.verified(issued, trusted, now()) == Identity("prod", "host", "web3")
    assert site.store.get(keys.admitted(asked.machine)).value.startswith('{"host":"web3"')
    assert all(map(site.api.has_user, ("host:web3", "host:web3:skydns", "host:web3:vulcand")))


def test_a_token_works_once_also_after_a_restart(site: Site) -> None:
    first, second = site.request(), site.request(digit="b")
    assert site.office().answer(first, now()).status == 200
    assert site.office().answer(first, now()).status == 200
    refused = site.office().answer(second, now())
    assert refused.status == 403
    assert "was used already" in refused.error


def test_one_name_goes_to_one_machine(site: Site) -> None:
    opened = site.office()
    assert opened.answer(site.request(), now()).status == 200
    refused = opened.answer(site.request(digit="b", number="t2"), now())
    assert refused.status == 409


def test_an_offline_authority_signs_what_waits(site: Site) -> None:
    good, bad = site.request(), replace(site.request(digit="b"), token="slashetc1.x.y")
    for each in (good, bad):
        office.publish(site.store, each)
    command = ["authority", "sign", "--endpoints", site.url]
    command += ["--authority-dir", str(site.directory)]
    command += ["--ca-file", str(site.directory.parent / "ca.pem")]
    done = run(script("slashetc", *command))
    assert "answered 2 requests: 1 signed, 1 refused" in done.stdout, done.stderr
    texts = [site.store.get(keys.answer(each.id)).value for each in (good, bad)]
    assert [requests.read_answer(text).status for text in texts] == [200, 400]
    again = run(script("slashetc", *command))
    assert "answered 0 requests" in again.stdout


def test_a_junk_request_in_the_store_is_answered_and_ends_nothing(site: Site) -> None:
    site.store.put(keys.request("junk"), "[" * 5000)
    assert site.office().answer_waiting(now()) == 1
    assert requests.read_answer(site.store.get(keys.answer("junk")).value).status == 400


def test_the_key_is_encrypted_and_useless_without_its_passphrase(tmp_path: Path) -> None:
    key_store.create(tmp_path, "prod", now())
    paths = key_store.Paths(tmp_path)
    assert "ENCRYPTED" in paths.key.read_text()
    assert {each.stat().st_mode & 0o077 for each in tmp_path.iterdir()} == {0}
    for each in (paths.plain, paths.sealed):
        each.unlink(missing_ok=True)
    with pytest.raises(NoAuthority, match="passphrase"):
        key_store.load(tmp_path)


def test_a_damaged_list_of_used_tokens_lets_nobody_in(site: Site) -> None:
    key_store.Paths(site.directory).used.write_text("{")
    with pytest.raises(NoAuthority, match="can be used twice"):
        site.office()


@pytest.mark.parametrize("moved", range(4))
def test_a_promotion_that_was_interrupted_goes_on(tmp_path: Path, moved: int) -> None:
    own, coming = tmp_path / "own", tmp_path / "own/next"
    key_store.create(own, "prod", now())
    new = key_store.create(coming, "prod", now())
    files = sorted(coming.iterdir(), key=lambda each: each.name == "ca.key")
    key_store.Paths(own).key.rename(own / "ca.old")
    for each in files[:moved]:
        each.rename(own / each.name)
    key_store.finish_promotion(own, coming)
    assert key_store.load(own).certificate == new.certificate
    assert not coming.exists()
