"""TLS comes to a cluster that serves, and leaves it again; certificates are renewed, and revoked.

Real members, clients and a mirror; no request may fail, and no write may be lost.
"""

import copy
import datetime as dt
import json
import ssl
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from coordinator.client import HttpStore, Tls, Unavailable
from rig.cluster import Cluster, ClusterMember, new_member
from rig.fleet_authority import LIFETIME, FleetAuthority, Pair
from rig.processes import wait_until
from tests.coordinator.ctl.etcdctl_comparison import run_here
from tests.coordinator.store_load import Load


@pytest.fixture
def fleet(tmp_path: Path) -> FleetAuthority:
    return FleetAuthority(tmp_path / "pki")


def flags_of(fleet: FleetAuthority, own: Pair, mode: str) -> tuple[str, ...]:
    """Return the flags of a member of the fleet."""
    flags = ["--tls", mode, "--revoked-file", str(fleet.revoked_file), "--peer-client-cert-auth"]
    for prefix in ("--", "--peer-"):
        flags += [f"{prefix}cert-file", str(own.cert), f"{prefix}key-file", str(own.key)]
        flags += [f"{prefix}trusted-ca-file", str(fleet.ca_file)]
    return tuple(flags)


def client_tls(fleet: FleetAuthority, pair: Pair) -> Tls:
    return Tls(str(fleet.ca_file), str(pair.cert), str(pair.key))


def trusting(fleet: FleetAuthority, pair: Pair | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=fleet.ca_file)
    if pair is not None:
        context.load_cert_chain(pair.cert, pair.key)
    return context


def with_scheme(url: str, scheme: str) -> str:
    return f"{scheme}://{url.partition('://')[2]}"


def serves(fleet: FleetAuthority, one: ClusterMember) -> bool:
    """Return whether a member is healthy, with or without TLS."""
    try:
        with urllib.request.urlopen(
            f"{one.url}/health", timeout=5, context=trusting(fleet)
        ) as reply:
            return bool(json.load(reply)["health"] == "true")
    except OSError:
        return False


class Migration:
    """A cluster whose members are restarted one by one with other options."""

    def __init__(self, cluster: Cluster, fleet: FleetAuthority) -> None:
        self.cluster = cluster
        self.fleet = fleet
        self.own = {each.name: fleet.member(each.name) for each in cluster.members}
        self.admin = fleet.user("admin", "admin")

    def restart(self, mode: str, scheme: str) -> None:
        """Restart each member with a mode of TLS and URLs of this scheme."""
        for one in self.cluster.members:
            assert one.running is not None
            one.running.stop()
            one.url, one.peer_url = (with_scheme(url, scheme) for url in (one.url, one.peer_url))
            one.flags = flags_of(self.fleet, self.own[one.name], mode) if mode != "off" else ()
            self.cluster.begin(one)
            one.running.wait_for(lambda one=one: serves(self.fleet, one), f"{one.name} serves")

    def update_peer_urls(self, scheme: str) -> None:
        """Tell the cluster other peer URLs of each member, as `coordctl member update` does."""
        context = trusting(self.fleet, self.admin)
        base = f"{self.cluster.members[0].url}/v2/members"
        with urllib.request.urlopen(base, timeout=10, context=context) as reply:
            members = json.load(reply)["members"]
        for each in members:
            urls = [with_scheme(url, scheme) for url in each["peerURLs"]]
            request = urllib.request.Request(
                f"{base}/{each['id']}",
                json.dumps({"peerURLs": urls}).encode(),
                {"Content-Type": "application/json"},
                method="PUT",
            )
            with urllib.request.urlopen(request, timeout=10, context=context) as reply:
                assert reply.status == 204

    def endpoints(self, scheme: str) -> str:
        return ",".join(with_scheme(each.url, scheme) for each in self.cluster.members)


def test_tls_is_turned_on_and_off_under_load(tmp_path: Path, fleet: FleetAuthority) -> None:
    with Cluster(tmp_path) as cluster:
        migration = Migration(cluster, fleet)
        tls = client_tls(fleet, fleet.host("web3"))
        with Load("plain").on(migration.endpoints("http")):
            migration.restart("prefer", "http")
            wait_until(lambda: links(cluster, "links") == 6, "all are connected")
            # The last member was still without TLS when the others dialed it.
            with Load("both").on(migration.endpoints("https"), tls):
                pass
        with Load("secure").on(migration.endpoints("https"), tls):
            migration.update_peer_urls("https")
            migration.restart("require", "https")
            wait_until(lambda: links(cluster, "links") == 6, "all are connected")
            assert links(cluster, "links_without_tls") == 0
            for one in cluster.members:
                assert_plain_is_refused(one)
            migration.restart("prefer", "https")
            migration.update_peer_urls("http")
        with Load("plain-again").on(migration.endpoints("http")):
            migration.restart("off", "http")
        cluster.settle()


def assert_plain_is_refused(one: ClusterMember) -> None:
    """Without TLS a client gets an answer that it can read."""
    for url in (f"{one.url}/v2/keys", f"{one.peer_url}/members"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            urllib.request.urlopen(with_scheme(url, "http"), timeout=10)
        with refused.value as answer:
            assert (answer.code, b"https://" in answer.read()) == (400, True)
    with (
        HttpStore(with_scheme(one.url, "http")) as store,
        pytest.raises(Unavailable, match="https://"),
    ):
        store.get("/a")


LIFE_S = 6.0
HEALTH = "cluster-health"
SHORT = LIFETIME - dt.timedelta(seconds=LIFE_S)


@contextmanager
def started(
    directory: Path, fleet: FleetAuthority, age: dt.timedelta | None = None
) -> Iterator[Cluster]:
    """Run three members that require TLS, with certificates that were issued so long ago."""
    members = [new_member(f"m{number}", "https") for number in range(1, 4)]
    for each in members:
        each.flags = flags_of(fleet, fleet.member(each.name, age=age), "require")
    cluster = Cluster(directory, members=members)
    try:
        for each in members:
            cluster.begin(each)
        for each in members:
            wait_until(lambda one=each: serves(fleet, one), "it serves")  # type: ignore[misc]
        yield cluster
    finally:
        cluster.__exit__()


def renew(
    cluster: Cluster, fleet: FleetAuthority, by: FleetAuthority, age: dt.timedelta | None = None
) -> None:
    """Replace the certificates of all members and of the host web3, as an agent does."""
    beside = copy.copy(by)
    beside.directory = fleet.directory / "next"
    beside.directory.mkdir(exist_ok=True)
    pairs = [beside.member(each.name, age=age) for each in cluster.members]
    for pair in (*pairs, beside.host("web3", age=age)):
        for path in (pair.key, pair.cert):
            path.rename(fleet.directory / path.name)


@contextmanager
def repeated(act: Callable[[], object], every_s: float) -> Iterator[None]:
    """Act again and again on a thread."""
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(every_s):
            act()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(20)


def test_short_lived_certificates_are_renewed_under_load(
    tmp_path: Path, fleet: FleetAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """Members and a client outlive their certificates, and nobody notices."""
    with started(tmp_path, fleet, SHORT) as cluster:
        tls = client_tls(fleet, fleet.host("web3", age=SHORT))
        renewed = repeated(lambda: renew(cluster, fleet, fleet, SHORT), LIFE_S / 3)
        with renewed, Load("short").on(cluster.endpoints, tls):
            wait_until(lambda: links(cluster, "links") == 6, "all are connected")
            terms = [cluster.state(each)["term"] for each in cluster.members]
            time.sleep(2 * LIFE_S)
            assert [cluster.state(each)["term"] for each in cluster.members] == terms
    assert "store-away" not in caplog.messages


def test_the_authority_is_replaced_under_load(
    tmp_path: Path, fleet: FleetAuthority, caplog: pytest.LogCaptureFixture
) -> None:
    """First both are trusted, then all certificates are made by the next one, then it is alone."""
    following = FleetAuthority(tmp_path / "following")
    before = fleet.host("before")
    with started(tmp_path, fleet) as cluster:
        tls = client_tls(fleet, fleet.host("web3"))
        with Load("rotation").on(cluster.endpoints, tls) as load:
            both = fleet.ca_file.read_text() + following.ca_file.read_text()
            write(fleet.ca_file, both)
            time.sleep(2)  # a second for each side to see it
            load.advance()
            renew(cluster, fleet, following)
            time.sleep(2)
            load.advance()
            write(fleet.ca_file, following.ca_file.read_text())
            time.sleep(2)
            load.advance()
            assert links(cluster, "links") == 6
            files = ["--ca-file", tls.ca_file, "--cert-file", tls.cert_file]
            health = run_here(cluster.endpoints, *files, "--key-file", tls.key_file, HEALTH)
            assert health.out.count("has a certificate that ends in 1 days, at 20") == 3
            old = trusting(following, before)
            with pytest.raises(OSError, match=r"(?i)unknown ca"):
                urllib.request.urlopen(f"{cluster.members[0].url}/health", timeout=5, context=old)
    assert "store-away" not in caplog.messages


def test_a_revoked_member_and_a_revoked_client_are_cut_off_within_five_seconds(
    tmp_path: Path, fleet: FleetAuthority
) -> None:
    with started(tmp_path, fleet) as cluster:
        tls = client_tls(fleet, fleet.host("web3"))
        rest = ",".join(each.url for each in cluster.members[:2])
        thief = HttpStore(cluster.endpoints, client_tls(fleet, fleet.host("web4")))
        with thief, Load("revoked").on(rest, tls):
            thief.put("/a", "1")
            wait_until(lambda: links(cluster, "links") == 6, "all are connected")
            with thief.watch("/a", thief.get("/a").modified) as watch:
                changes = iter(watch)
                next(changes)
                began = time.monotonic()
                fleet.revoke("m3", "web4")
                with pytest.raises(Unavailable):
                    list(changes)
            wait_until(lambda: links(cluster, "links") == 2, "m3 is cut off, both ways", 5)
            with pytest.raises(Unavailable, match="is revoked"):
                thief.get("/a")
            assert time.monotonic() - began < 5
        last = cluster.members[2]
        wait_until(lambda: cluster.state(last)["leader"] == "0", "m3 has no leader")


def write(path: Path, text: str) -> None:
    """Replace a file, as an agent does."""
    beside = path.with_suffix(".new")
    beside.write_text(text)
    beside.rename(path)


def links(cluster: Cluster, key: str) -> int:
    """Return how many connections the members have made to each other."""
    return sum(len(cluster.state(each)[key]) for each in cluster.members)  # type: ignore[misc,arg-type]
