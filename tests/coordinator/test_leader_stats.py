"""What a leader tells of its followers."""

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from rig.cluster import Cluster
from rig.processes import wait_until


def page(url: str) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
    with urllib.request.urlopen(f"{url}/v2/stats/leader", timeout=10) as reply:
        found: dict[str, dict[str, dict[str, dict[str, float]]]] = json.load(reply)
        return found


def test_the_leader_shows_the_latency_of_its_followers(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        cluster.write("/a", "1")
        leader, (follower, other) = cluster.leader(), cluster.followers()

        def measured() -> bool:
            followers = page(leader.url)["followers"].values()
            return len(followers) == 2 and all(each["counts"]["success"] >= 3 for each in followers)

        wait_until(measured, "both answer", 20)
        for each in page(leader.url)["followers"].values():
            latency = each["latency"]
            assert 0 < latency["minimum"] <= latency["average"] <= latency["maximum"]
            assert latency["maximum"] < 10_000
        with urllib.request.urlopen(f"{leader.url}/metrics", timeout=10) as reply:
            text = reply.read().decode()
        assert text.count('etcd_network_peer_round_trip_time_seconds_bucket{To="') == 2 * 17
        with pytest.raises(urllib.error.HTTPError, match="403"):
            page(follower.url)
        cluster.kill(other)
        wait_until(
            lambda: any(e["counts"]["fail"] for e in page(leader.url)["followers"].values()),
            "the loss is counted",
            20,
        )
