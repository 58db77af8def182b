"""Much that is written at once, at a member whose leader has just gone."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rig.cluster import QUICK, Cluster, ask, new_member
from rig.processes import wait_until

# More than a frame between members can be.
WRITES, WRITE_BYTES = 70, 1 << 20


def test_what_waits_at_a_follower_for_a_leader_is_written_when_there_is_one(
    tmp_path: Path,
) -> None:
    patient = new_member("patient")
    # The others need its vote, and it does not vote before half of this.
    patient.flags = ("--election-timeout", "4000")
    members = [patient, new_member("m1"), new_member("m2")]
    with Cluster(tmp_path, members=members, flags=QUICK) as cluster:
        wait_until(lambda: cluster.leader() is not patient, "another leader")
        cluster.kill(cluster.leader())
        value = "value=" + WRITE_BYTES * "x"

        def write(number: int) -> bool:
            # On a slow machine, one of them may take more than the time after which it is refused.
            return ask("PUT", f"{patient.url}/v2/keys/{number}", value).status < 300

        with ThreadPoolExecutor(WRITES) as clients:
            for number, is_done in enumerate(clients.map(write, range(WRITES))):
                if not is_done:
                    wait_until(lambda each=number: write(each), "a write")
        log = (tmp_path / "m1.log").read_text() + (tmp_path / "m2.log").read_text()
        assert "frame-refused" not in log
