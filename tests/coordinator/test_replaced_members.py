"""A member that was down while the others were replaced."""

from pathlib import Path

from rig.cluster import Cluster, ClusterMember, ask
from rig.processes import wait_until


def identity(one: ClusterMember) -> str:
    return str(ask("GET", f"{one.url}/v2/stats/self").body["id"])


def test_a_member_that_knows_only_one_of_the_others_finds_the_new_leader(tmp_path: Path) -> None:
    with Cluster(tmp_path) as cluster:
        left, stays, returns = cluster.members
        cluster.kill(returns)
        new = cluster.add("m4")
        wait_until(
            lambda: "isLearner" not in str(ask("GET", f"{stays.url}/v2/members").body), "its vote"
        )
        member = f"{stays.url}/v2/members/{identity(left)}"
        wait_until(lambda: ask("DELETE", member).status in {204, 410}, "the first one is removed")
        assert left.running is not None
        left.running.process.wait(30)
        left.running = None
        cluster.members.remove(left)
        target = f'{{"id": "{identity(new)}"}}'
        leader = f"{stays.url}/v2/members/leader"

        def leads() -> bool:
            # It may have won the election after the removal; a leader takes no leadership.
            if identity(new) in str(ask("GET", leader).body):
                return True
            return ask("POST", leader, target, as_json=True).status == 204

        wait_until(leads, "it leads")
        assert cluster.leader() is new
        cluster.write("/while-away", "1", to=stays)
        cluster.start(returns)
        assert cluster.read("/while-away", by=returns).node["value"] == "1"
        assert cluster.write("/back", "1", to=returns).status == 201
