"""Passwords and tokens at the members of a real cluster."""

import time
from collections.abc import Iterator

import pytest

from rig.cluster import Cluster
from rig.processes import wait_until
from tests.coordinator.access.secured_store import ALICE, ROOT, Reply, call, done, secure, token_of


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    with Cluster(tmp_path_factory.mktemp("cluster")) as running:
        url = running.members[0].url
        secure(url)
        done(call(url, "PUT", "/v2/keys/app/a", user=ROOT, body="value=x"))
        yield running


def write(url: str, key: str, *, user: str = "", token: str = "") -> int:
    return call(url, "PUT", f"/v2/keys{key}", user=user, token=token, body="value=x").status


def test_a_token_of_one_member_admits_at_every_other(cluster: Cluster) -> None:
    token = token_of(cluster.members[0].url, ALICE)
    for each in cluster.members:
        wait_until(lambda each=each: write(each.url, "/app/a", token=token) < 300, "alice")
        assert write(each.url, "/other", token=token) == 401


def test_a_token_outlives_the_leader_and_a_restart_of_all(cluster: Cluster) -> None:
    token = token_of(cluster.leader().url, ALICE)
    leader = cluster.leader()
    cluster.kill(leader)
    for each in cluster.running():
        wait_until(lambda each=each: write(each.url, "/app/a", token=token) == 200, "a leader")
    for each in cluster.running():
        cluster.kill(each)
    for each in cluster.members:
        cluster.begin(each)
    for each in cluster.members:
        cluster.wait_for(each)
        assert write(each.url, "/app/a", token=token) == 200


def test_a_narrowed_token_of_root_writes_only_below_its_prefixes(cluster: Cluster) -> None:
    url = cluster.members[0].url
    token = token_of(url, ROOT, prefixes=["/vulcand/"])
    assert write(url, "/vulcand/a", token=token) == 201
    for key in ("/vulcand2/a", "/app/a", "/"):
        assert write(url, key, token=token) in {401, 403}, key
    assert call(url, "GET", "/v2/keys/vulcand/a", token=token).status == 200
    refused = {
        path: call(url, method, path, token=token, body=body).status
        for method, path, body in (
            ("PUT", "/v2/auth/users/mallory", {"user": "mallory", "password": "x"}),
            ("DELETE", "/v2/auth/enable", None),
            ("POST", "/v2/members", {"peerURLs": ["http://127.0.0.9:1"]}),
            ("GET", "/v2/backup", None),
            ("GET", "/v2/auth/audit", None),
            ("POST", "/v2/members/leader", {"id": ""}),
        )
    }
    assert set(refused.values()) == {401}, refused
    wider = call(url, "POST", "/v2/auth/token", token=token, body={"prefixes": ["/"]})
    assert wider.status == 400
    assert "may write below /vulcand/" in wider.text
    child = token_of(url, token=token, prefixes=["/vulcand/a"])
    assert write(url, "/vulcand/a", token=child) == 200
    assert write(url, "/vulcand/b", token=child) == 401


def test_a_token_ends_with_its_time_and_so_does_its_child(cluster: Cluster) -> None:
    url = cluster.members[0].url
    token = token_of(url, ALICE, ttl_s=2)
    child = token_of(url, token=token, ttl_s=3600)
    assert write(url, "/app/a", token=token) < 300
    wait_until(lambda: write(url, "/app/a", token=token) == 401, "the end of the token")
    assert write(url, "/app/a", token=child) == 401


def test_a_new_password_ends_the_tokens_of_its_user(cluster: Cluster) -> None:
    url = cluster.members[0].url
    new = {"user": "bob", "password": "bobpw", "roles": ["app"]}
    done(call(url, "PUT", "/v2/auth/users/bob", user=ROOT, body=new))
    token = token_of(url, "bob:bobpw")
    assert write(url, "/app/b", token=token) < 300
    changed = {"user": "bob", "password": "other"}
    done(call(url, "PUT", "/v2/auth/users/bob", user=ROOT, body=changed))
    assert write(url, "/app/b", token=token) == 401
    assert write(url, "/app/b", user="bob:bobpw") == 401
    token = token_of(url, "bob:other")
    done(call(url, "DELETE", "/v2/auth/users/bob", user=ROOT))
    assert write(url, "/app/b", token=token) == 401


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ({"ttl_s": 999_999}, "1 to 3600"),
        ({"prefixes": ["app"]}, "write /app"),
        ({"ttl": 1}, "unknown field"),
        ([], "ttl_s"),
    ],
)
def test_a_wrong_request_for_a_token_is_told_the_remedy(
    cluster: Cluster, asked: object, why: str
) -> None:
    reply = call(cluster.members[0].url, "POST", "/v2/auth/token", user=ALICE, body=asked)
    assert reply.status == 400
    assert why in reply.text


def test_nobody_gets_a_token_without_credentials(cluster: Cluster) -> None:
    url = cluster.members[0].url
    assert call(url, "POST", "/v2/auth/token", body={}).status == 401
    for token in ("st1.e30.e30", "x", "st1." + "a" * 5000):
        assert write(url, "/app/a", token=token) == 401


def test_only_the_first_request_with_a_password_pays_for_it(cluster: Cluster) -> None:
    new = {"user": "carol", "password": "carolpw", "roles": ["app"]}
    url = cluster.members[0].url
    done(call(url, "PUT", "/v2/auth/users/carol", user=ROOT, body=new))

    def took_s(user: str) -> float:
        began = time.perf_counter()
        assert write(url, "/app/c", user=user) < 300
        return time.perf_counter() - began

    first_s = took_s("carol:carolpw")
    # Each request has its own connection, so it is the password that is remembered.
    assert sorted(took_s("carol:carolpw") for _ in range(20))[5] < first_s / 2


def test_guesses_are_limited_and_lock_nobody_out_who_is_at_work(cluster: Cluster) -> None:
    url = cluster.members[1].url
    assert write(url, "/app/a", user=ALICE) < 300
    replies: list[Reply] = []
    for number in range(12):
        replies.append(call(url, "GET", "/v2/keys/app/a", user=f"alice:guess{number}"))
    statuses = [reply.status for reply in replies]
    assert statuses[0] == 401
    assert statuses[-1] == 429
    assert 1 <= int(replies[-1].headers["Retry-After"]) <= 6
    assert "too many passwords were tried" in replies[-1].text
    assert write(url, "/app/a", user=ALICE) < 300
    assert write(url, "/app/a", token=token_of(url, ALICE)) < 300


def test_a_refusal_tells_a_stranger_nothing_about_users(cluster: Cluster) -> None:
    url = cluster.members[2].url
    wrong = call(url, "GET", "/v2/keys/app/a", user="alice:wrong")
    unknown = call(url, "GET", "/v2/keys/app/a", user="nobody:wrong")
    without = call(url, "GET", "/v2/keys/app/a")
    assert wrong.text == unknown.text == without.text
    assert {wrong.status, unknown.status, without.status} == {401}
    assert wrong.body["cause"] == "Insufficient credentials"
