"""`coordctl cluster-health` and `member list`, also with unreachable members."""

import json
from pathlib import Path

from rig.processes import Coordinator, Running, wait_until
from tests.coordinator.ctl.etcdctl_comparison import coordctl, environment, etcdctl, run, run_here
from tests.coordinator.ctl.misbehaving_servers import pages

DEAD = "http://127.0.0.1:1"


def members(*client_urls: list[str]) -> str:
    found = [
        {"id": f"{n:x}", "name": f"n{n}", "peerURLs": ["http://p"], "clientURLs": urls}
        for n, urls in enumerate(client_urls, 10)
    ]
    return json.dumps({"members": found})


def test_one_healthy_member_makes_a_degraded_cluster() -> None:
    answers = {"GET /health": (200, '{"health":true}')}
    with (
        pages({"GET /health": (503, '{"health":"false"}')}) as (sick, _),
        pages({"GET /health": (200, "oops")}) as (mute, _),
        pages(answers) as (url, _),
    ):
        answers["GET /v2/members"] = (200, members([DEAD, url], [sick], [mute], [], [DEAD]))
        ours = run_here(url, "cluster-health")
        theirs = run(etcdctl(), url, "cluster-health")
    assert ours.code == theirs.code == 5
    lines = [line for line in ours.out.splitlines() if not line.startswith("failed to check")]
    wanted = [line for line in theirs.out.splitlines() if not line.startswith("failed to check")]
    assert lines == wanted
    assert len(ours.out.splitlines()) == len(theirs.out.splitlines())
    wanted_line = f"failed to check the health of member a on {DEAD}: Connection refused"
    assert wanted_line in ours.out.splitlines()
    assert ours.out.endswith("cluster is degraded\n")


def test_a_cluster_without_a_healthy_member_exits_with_5() -> None:
    answers = {"GET /health": (503, '{"health":"false"}')}
    with pages(answers) as (url, _):
        answers["GET /v2/members"] = (200, members([url]))
        ours = run_here(url, "cluster-health")
        theirs = run(etcdctl(), url, "cluster-health")
        as_json = run_here(url, "--json", "cluster-health")
    assert (ours.code, ours.out) == (theirs.code, theirs.out)
    assert ours.code == as_json.code == 5
    assert json.loads(as_json.out)["cluster"] == "unavailable"


def test_members_are_listed_with_their_leader() -> None:
    started = {"id": "a", "name": "one", "peerURLs": ["http://p", "http://q"]}
    leader = started | {"id": "b", "name": "two", "clientURLs": ["http://c"]}
    fresh = {"id": "c", "name": "", "peerURLs": ["http://r"], "clientURLs": []}
    found = json.dumps({"members": [started, leader, fresh]})
    answers = {
        "GET /v2/members": (200, found),
        "GET /v2/members/leader": (200, json.dumps(leader)),
    }
    with pages(answers) as (url, _):
        ours = run_here(url, "--no-sync", "member", "list")
        theirs = run(etcdctl(), url, "--no-sync", "member", "list")
    assert (ours.code, ours.out) == (theirs.code, theirs.out)
    assert "b: name=two peerURLs=http://p,http://q clientURLs=http://c isLeader=true" in ours.out


def test_a_cluster_without_a_leader_cannot_list_its_members() -> None:
    answers = {
        "GET /v2/members": (200, members(["http://c"])),
        "GET /v2/members/leader": (503, '{"message":"During election"}'),
    }
    with pages(answers) as (url, _):
        ours = run_here(url, "--no-sync", "member", "list")
        theirs = run(etcdctl(), url, "--no-sync", "member", "list")
    assert (ours.code, ours.out) == (theirs.code, theirs.out) == (1, "")


def test_health_is_checked_again_until_interrupted(
    coordinator: Coordinator, tmp_path: Path
) -> None:
    command = [*coordctl(), "cluster-health", "--forever"]
    watching = Running(command, tmp_path / "log", **environment(coordinator.url))
    wait_until(lambda: "next check after 10 second" in watching.tail(), "a first check")
    watching.process.send_signal(2)
    assert watching.process.wait(30) == 0
    assert "cluster is healthy" in watching.tail()
