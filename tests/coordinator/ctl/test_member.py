"""`coordctl member` and `move-leader` on three members, and Debian's etcdctl beside it."""

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from rig.cluster import Cluster, ask, new_member
from rig.processes import require, wait_until
from tests.coordinator.ctl.etcdctl_comparison import run_here


@pytest.fixture
def three(tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path) as cluster:
        yield cluster


def test_a_member_is_added_started_promoted_and_removed(three: Cluster) -> None:
    url = three.members[0].url
    new = new_member("m4")
    added = run_here(url, "member", "add", "m4", new.peer_url)
    assert added.code == 0
    first, _, *rest = added.out.splitlines()
    member = first.removeprefix("Added member named m4 with ID ").removesuffix(" to cluster")
    assert rest[:2] == [
        'COORDINATOR_NAME="m4"',
        f'COORDINATOR_INITIAL_ADVERTISE_PEER_URLS="{new.peer_url}"',
    ]
    assert rest[2].startswith('COORDINATOR_INITIAL_CLUSTER="')
    assert rest[2].endswith(f'm4={new.peer_url}"')
    assert rest[3] == 'COORDINATOR_INITIAL_CLUSTER_STATE="existing"'
    again = run_here(url, "member", "add", "m4", new.peer_url)
    reason = f"membership: peerURL exists: member {member} has {new.peer_url}"
    assert (again.code, again.err) == (1, f"Error:  {reason}\n")
    assert f"{member}[unstarted]: peerURLs={new.peer_url}" in run_here(url, "member", "list").out
    early = run_here(url, "member", "promote", member)
    assert (early.code, "has not caught up yet" in early.err) == (1, True)
    new.flags = ("--initial-cluster-state", "existing")
    three.members.append(new)
    three.begin(new)
    three.wait_for(new)

    def votes() -> bool:
        return "isLearner" not in str(ask("GET", f"{url}/v2/members").body)

    wait_until(votes, "the member has its vote by itself")
    again = run_here(url, "member", "promote", member)
    assert (again.code, f"member {member} is no learner" in again.err) == (1, True)
    removed = run_here(url, "member", "remove", member)
    assert (removed.code, removed.out, removed.err) == (
        0,
        f"Removed member {member} from cluster\n",
        "",
    )
    assert new.running is not None
    assert new.running.process.wait(30) == 0
    new.running = None


def test_wrong_use_is_reported_as_etcdctl_does(three: Cluster) -> None:
    url = three.members[0].url
    assert "Provide a name and a single member peerURL" in run_here(url, "member", "add", "x").err
    for words, message in (
        (["add", "x", "notaurl"], "URL scheme must be http or https: notaurl"),
        (["remove", "abc"], "Couldn't find a member in the cluster with an ID of abc."),
        (["update", "abc", "http://a:1"], "No such member: abc"),
    ):
        got = run_here(url, "member", *words)
        assert (got.code, message in got.err) == (1, True), got


def test_move_leader_transfers_leadership(three: Cluster) -> None:
    follower = three.followers()[0]
    target = str(ask("GET", f"{follower.url}/v2/stats/self").body["id"])
    moved = run_here(three.members[0].url, "move-leader", target)
    assert (moved.code, moved.out) == (0, f"{follower.name} ({target}) is the leader\n")
    refused = run_here(three.members[0].url, "move-leader", "abc")
    assert (refused.code, "member abc is not another voter" in refused.err) == (1, True)


def test_debians_etcdctl_changes_our_members(three: Cluster) -> None:
    etcdctl = [require("etcdctl"), "--endpoints", three.endpoints]

    def run(*words: str) -> str:
        env = {**os.environ, "ETCDCTL_API": "2"}
        done = subprocess.run(
            [*etcdctl, *words], env=env, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done
        return done.stdout

    added = run("member", "add", "x", "http://127.0.0.1:1")
    member = added.split("with ID ")[1].split()[0]
    assert f"Updated member with ID {member}" in run(
        "member", "update", member, "http://127.0.0.1:2"
    )
    # Any member may answer, also one that has not applied the change yet.
    updated = f"{member}[unstarted]: peerURLs=http://127.0.0.1:2"
    wait_until(lambda: updated in run("member", "list"), "the list has the new URL")
    assert run("member", "remove", member) == f"Removed member {member} from cluster\n"
    assert "cluster is healthy" in run("cluster-health")
