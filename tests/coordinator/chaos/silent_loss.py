"""Lose everything between the members for some seconds, and measure how soon they work again.

`python -m tests.coordinator.chaos.silent_loss SECONDS` prints the seconds from the end of the loss
until a write through each member is decided.
"""

import sys
import threading
import time

from rig.cluster import ClusterMember
from rig.processes import wait_until
from tests.coordinator.chaos.isolation import DIRECTORY, isolate
from tests.coordinator.chaos.member_hosts import HostCluster, number_of

PAUSE_S = 0.02


def main() -> None:
    """Run in namespaces of its own."""
    isolate("tests.coordinator.chaos.silent_loss")
    with HostCluster(DIRECTORY) as cluster:
        print(f"{back_after_s(cluster, float(sys.argv[1])):.2f}", flush=True)


def back_after_s(cluster: HostCluster, loss_s: float) -> float:
    """Return the seconds until writes through all members were decided."""
    members = cluster.members
    wait_until(lambda: all(links(cluster, each) == 2 for each in members), "all are connected")
    for each in members:
        cluster.network.part([number_of(each)], [number_of(m) for m in members if m is not each])
    time.sleep(loss_s)
    assert cluster.write("/during", "1").status == 503
    cluster.network.heal()
    healed_s = time.monotonic()
    threads = [threading.Thread(target=_write, args=(cluster, each)) for each in members]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    return time.monotonic() - healed_s


def links(cluster: HostCluster, one: ClusterMember) -> int:
    """Return how many members one is connected to."""
    found = cluster.state(one)["links"]
    assert isinstance(found, list)
    return len(found)


def _write(cluster: HostCluster, one: ClusterMember) -> None:
    while cluster.write(f"/after/{one.name}", "1", to=one).status not in {200, 201}:
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    main()
