"""What a member does when it is told to stop."""

from pathlib import Path

from rig.cluster import Cluster, ClusterMember, ask
from rig.processes import wait_until


def test_a_follower_that_stops_leaves_the_leader_where_it_is(tmp_path: Path) -> None:
    with Cluster(tmp_path) as three:
        leader = three.leader()
        term = three.state(leader)["term"]
        for follower in three.followers():
            assert follower.running is not None
            assert follower.running.stop() == 0
            three.start(follower)
        state = three.state(leader)
        assert (state["term"], state["role"]) == (term, "leader")


def test_a_leader_that_stops_hands_over_to_a_member_that_runs(tmp_path: Path) -> None:
    with Cluster(tmp_path, size=5) as five:
        leader = five.leader()
        # All logs are equally long: the member with the smallest id would come first.
        five.settle()
        dead = min(five.followers(), key=identity)
        five.kill(dead)
        assert leader.running is not None
        assert leader.running.stop() == 0
        leader.running = None
        log = (tmp_path / f"{leader.name}.log").read_text()
        assert "event=handed-over" in log


def test_a_member_without_a_leader_stops_cleanly(tmp_path: Path) -> None:
    with Cluster(tmp_path) as three:
        last, *others = three.members
        for each in others:
            three.kill(each)

        def refuses() -> bool:
            return ask("PUT", f"{last.url}/v2/keys/a", "value=1").status == 503

        wait_until(refuses, "no leader")
        assert last.running is not None
        assert last.running.stop() == 0
        last.running = None


def identity(member: ClusterMember) -> int:
    return int(str(ask("GET", f"{member.url}/v2/stats/self").body["id"]), 16)
