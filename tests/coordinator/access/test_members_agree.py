"""Users and roles on every member of a cluster: also behind, restarted, and with --auth warn."""

import http.client
import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.cluster import Cluster, ask
from rig.fleet_authority import FleetAuthority, Pair
from rig.processes import Coordinator, wait_until
from tests.coordinator.access.asking import Client

FACTS = ["info", "metrics"]


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Three members, of which the third one only warns. A guest sees facts and no key."""
    made = Cluster(tmp_path_factory.mktemp("auth"), flags=("--snapshot-count", "50"))
    with made:
        warns = made.followers()[-1]
        made.kill(warns)
        warns.flags = ("--auth", "warn")
        made.start(warns)
        anybody = Client(made.leader().url)
        anybody.role("guest", cluster=FACTS)
        anybody.role("r", read=["/r/*"], write=["/r/*"])
        anybody.user("root", password="rp")
        anybody.user("alice", password="ap", roles=["r"])
        assert anybody.ask("PUT", "/v2/auth/enable").status == 200
        yield made


def enforcing(cluster: Cluster) -> list[str]:
    return [each.url for each in cluster.running() if "warn" not in each.flags]


def test_every_member_enforces_what_one_of_them_was_told(cluster: Cluster) -> None:
    cluster.settle()
    for number, url in enumerate(enforcing(cluster)):
        alice, stranger = Client(url, "alice:ap"), Client(url)
        assert alice.ask("PUT", f"/v2/keys/r/{number}", "value=1").status == 201
        assert alice.ask("GET", f"/v2/keys/r/{number}?quorum=true").status == 200
        assert alice.ask("PUT", "/v2/keys/x", "value=1").status == 401
        assert stranger.ask("PUT", "/v2/keys/x", "value=1").status == 401
        assert stranger.ask("GET", "/v2/keys/?recursive=true").status == 401
        assert stranger.ask("GET", "/health").status == 200
        assert stranger.ask("DELETE", "/v2/members/1").status == 401


def test_a_member_that_only_warns_lets_pass_and_logs_what_it_would_refuse(cluster: Cluster) -> None:
    cluster.settle()
    (warns,) = (each for each in cluster.running() if "warn" in each.flags)
    stranger = Client(warns.url)
    for _ in range(3):
        assert stranger.ask("PUT", "/v2/keys/warned", "value=1").status in {200, 201}
    assert stranger.ask("GET", "/v2/keys/?recursive=true").body["node"]["nodes"]
    assert Client(warns.url, "alice:wrong").ask("GET", "/v2/keys/warned").status == 200
    # What would make a thief root is refused all the same.
    assert stranger.ask("PUT", "/v2/auth/roles/evil", {"role": "evil"}).status == 401
    assert stranger.ask("GET", "/v2/keys/_security").status == 404
    assert warns.running is not None
    log = warns.running.log.read_text()
    assert log.count('event=would-refuse user=guest operation="write /warned"') == 1, log
    assert "no user has this name and this password" in log
    metrics = stranger.ask("GET", "/metrics").body
    warned = [line for line in metrics.splitlines() if line.startswith("coordinator_auth_would")]
    assert float(warned[0].split()[1]) >= 5


def test_two_admins_at_two_members_do_not_undo_each_other(cluster: Cluster) -> None:
    urls = enforcing(cluster)
    root = [Client(url, "root:rp") for url in urls]
    for number in range(10):
        answer = root[number % 2].user("alice", grant=[f"g{number}"])
        assert answer.status == 200
    assert [f"g{number}" in answer.body["roles"] for number in range(10)] == [True] * 10


def test_a_member_that_was_away_learns_of_a_deleted_user_from_a_snapshot(cluster: Cluster) -> None:
    leader = cluster.leader()
    away = next(each for each in cluster.followers() if "warn" not in each.flags)
    root = Client(leader.url, "root:rp")
    root.user("bob", password="bp", roles=["r"])
    cluster.settle()
    bob = Client(away.url, "bob:bp")
    assert bob.ask("PUT", "/v2/keys/r/bob", "value=1").status == 201
    cluster.kill(away)
    assert root.ask("DELETE", "/v2/auth/users/bob").status == 200
    for number in range(300):  # so that the log of the deletion is gone
        root.ask("PUT", f"/v2/keys/r/{number % 5}", "value=1")
    cluster.start(away)
    wait_until(lambda: bob.ask("GET", "/v2/keys/r/bob").status == 401, "bob is refused")
    assert Client(away.url, "alice:ap").ask("GET", "/v2/keys/r/bob").status == 200


def test_a_restart_keeps_users_and_what_is_enforced(cluster: Cluster) -> None:
    one = next(each for each in cluster.running() if "warn" not in each.flags)
    Client(one.url, "alice:ap").ask("PUT", "/v2/keys/r/0", "value=1")
    cluster.kill(one)
    cluster.start(one)
    assert Client(one.url).ask("GET", "/v2/keys/r/0").status == 401
    assert Client(one.url, "alice:ap").ask("GET", "/v2/keys/r/0").status == 200


def test_a_bad_value_of_the_option_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BaseException, match="use enforce or warn"):
        Coordinator(tmp_path, "--auth", "perhaps")


# Certificates.


class Tls:
    """Requests with a client certificate."""

    def __init__(self, url: str, authority: FleetAuthority, pair: Pair | None) -> None:
        self._port = int(url.rsplit(":", 1)[1])
        self.context = ssl.create_default_context(cafile=authority.ca_file)
        if pair is not None:
            self.context.load_cert_chain(pair.cert, pair.key)

    def ask(self, method: str, path: str, body: str | None = None) -> int:
        """Return a status."""
        connection = http.client.HTTPSConnection("127.0.0.1", self._port, context=self.context)
        try:
            kind = {"Content-Type": "application/x-www-form-urlencoded"}
            connection.request(method, path, body, kind)
            return connection.getresponse().status
        finally:
            connection.close()


def test_a_certificate_is_its_user_and_ends_with_the_users_record(tmp_path: Path) -> None:
    authority = FleetAuthority(tmp_path / "pki")
    server, alice = authority.member("h1"), authority.user("alice", "admin")
    web3, web4 = authority.host("web3"), authority.host("web4")
    files = ("--cert-file", str(server.cert), "--key-file", str(server.key))
    files += ("--trusted-ca-file", str(authority.ca_file))
    anybody = Tls("https://127.0.0.1:0", authority, None)
    with Coordinator(tmp_path, *files, context=anybody.context) as member:

        def client(pair: Pair | None) -> Tls:
            return Tls(member.url, authority, pair)

        def put(path: str, document: dict[str, object]) -> None:
            assert client(alice).ask("PUT", f"/v2/auth/{path}", json.dumps(document)) in {200, 201}

        own = {"kv": {"read": ["/h/{host}/*"], "write": ["/h/{host}/*"]}, "cluster": []}
        put("roles/guest", {"role": "guest"})
        put("roles/host", {"role": "host", "permissions": own})
        put("users/root", {"user": "root", "password": "x"})
        put("users/alice", {"user": "alice", "roles": ["root"], "attributes": {}})
        host = {"user": "host:web3", "roles": ["host"], "attributes": {"host": "web3"}}
        put("users/host:web3", host)
        put("enable", {})
        mine, others = "/v2/keys/h/web3/x", "/v2/keys/h/web4/x"
        assert client(web3).ask("PUT", mine, "value=1") == 201
        assert client(web3).ask("PUT", others, "value=1") == 401
        for pair in (web4, None):  # no record, no certificate
            assert client(pair).ask("PUT", others, "value=1") == 401
            assert client(pair).ask("GET", mine) == 401
        put("users/host:web3", {"user": "host:web3", "not_before": 4_000_000_000})
        assert client(web3).ask("GET", mine) == 401
        put("users/host:web3", {**host, "not_before": 0})
        assert client(web3).ask("GET", mine) == 200
        assert client(alice).ask("DELETE", "/v2/auth/users/host:web3") == 200
        assert client(web3).ask("GET", mine) == 401
        assert ask("GET", member.url.replace("https", "http") + "/health").status == 400
