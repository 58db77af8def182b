"""The pages beside the keys."""

import json

import pytest

from coordinator.core.cluster.ids import Identity
from coordinator.core.cluster.members import Member
from coordinator.core.peer.latency import PeerLatencies
from coordinator.core.v2api.info_pages import MemberStatus, go_duration, page

ME = Member(0x8E9E, "default", ("http://localhost:2380",), ("http://127.0.0.1:2379",))
OTHER = Member(0x1, "other", ("http://b:2380",), ("http://a:2379", "http://b:2379"))


def member_status(**changed: object) -> MemberStatus:
    facts: dict[str, object] = {
        "identity": Identity(member=ME.id, cluster=0xCDF8),
        "name": ME.name,
        "members": (ME, OTHER),
        "removed": frozenset({0xDEAD}),
        "leader": ME.id,
        "state": "StateLeader",
        "started_s": 1_700_000_000.5,
        "leading_since_s": 1_700_000_001.0,
        "now_s": 1_700_003_662.25,
        "healthy": True,
        "alarm": "",
        "store_stats": b"{}",
        "latencies": PeerLatencies(),
    }
    return MemberStatus(**{**facts, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0s"),
        (0.000_000_5, "500ns"),
        (0.000_012, "12µs"),
        (0.25, "250ms"),
        (1, "1s"),
        (1.5, "1.5s"),
        (59.999, "59.999s"),
        (60, "1m0s"),
        (3661.25, "1h1m1.25s"),
        (360000, "100h0m0s"),
    ],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert go_duration(seconds) == text


def test_members_are_sorted_by_id() -> None:
    found = page("GET", "/v2/members/", member_status())
    assert [member["id"] for member in json.loads(found.body)["members"]] == ["1", "8e9e"]


def test_machines_are_all_client_urls_sorted() -> None:
    body = page("GET", "/v2/machines", member_status()).body
    assert body == b"http://127.0.0.1:2379, http://a:2379, http://b:2379"


def test_stats_of_this_member() -> None:
    own = json.loads(page("GET", "/v2/stats/self", member_status()).body)
    assert own["startTime"] == "2023-11-14T22:13:20.5Z"
    assert own["leaderInfo"]["uptime"] == "1h1m1.25s"


def test_without_a_leader_the_leader_page_answers_503() -> None:
    found = page("GET", "/v2/members/leader", member_status(leader=0))
    assert (found.status, json.loads(found.body)) == (503, {"message": "During election"})


def test_a_follower_has_no_leader_stats() -> None:
    found = page("GET", "/v2/stats/leader", member_status(leader=OTHER.id))
    assert (found.status, json.loads(found.body)) == (403, {"message": "not current leader"})


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/health", 200),
        ("HEAD", "/health", 200),
        ("POST", "/health", 405),
        ("OPTIONS", "/v2/keys/x", 200),
        ("GET", "/v2/machines/", 404),
        ("GET", "/", 404),
        ("GET", "/v2/members/nobody", 404),
        ("PATCH", "/v2/members", 405),
    ],
)
def test_other_requests_get_the_status_they_should(method: str, path: str, status: int) -> None:
    assert page(method, path, member_status()).status == status


def test_the_health_page_of_an_unhealthy_member_has_status_503() -> None:
    assert page("GET", "/health", member_status(healthy=False)).status == 503
