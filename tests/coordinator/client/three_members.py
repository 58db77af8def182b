"""Clusters of three members, of which tests kill one or all."""

import json
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol

from rig import cluster
from rig.processes import Running, answers, free_port, wait_until
from tests.coordinator.client.faulty_network import EtcdMember


class ThreeMembers(Protocol):
    """A cluster of either kind, as the tests need it."""

    endpoints: str

    def kill_leader(self) -> int:
        """Kill the leader, and return its number."""
        ...

    def kill(self, number: int) -> None:
        """Kill a member."""
        ...

    def start(self, number: int) -> None:
        """Start a member again on its data directory."""
        ...


class EtcdCluster:
    """Three real etcds that know each other from the start."""

    def __init__(self, directory: Path, prefix: str, stack: ExitStack) -> None:
        self._directory, self._stack = directory, stack
        self.members = [EtcdMember(f"m{number}", free_port(), free_port()) for number in range(3)]
        self.endpoints = ",".join(f"{prefix}{each.url}" for each in self.members)
        self._running: dict[int, Running] = {}
        for number in range(3):
            self._begin(number)
        for each in self.members:
            wait_until(lambda url=each.url: answers(f"{url}/health"), "the member is healthy")

    def kill_leader(self) -> int:
        number = next(n for n in self._running if self._is_leader(n))
        self.kill(number)
        return number

    def kill(self, number: int) -> None:
        self._running.pop(number).kill()

    def start(self, number: int) -> None:
        self._begin(number)

    def _begin(self, number: int) -> None:
        member = self.members[number].begin(self._directory, self.members)
        self._running[number] = self._stack.enter_context(member)

    def _is_leader(self, number: int) -> bool:
        url = f"{self.members[number].url}/v3/maintenance/status"
        with urllib.request.urlopen(url, data=b"{}", timeout=10) as reply:
            status = json.load(reply)
        return bool(status["leader"] == status["header"]["member_id"])


class CoordinatorCluster:
    """Three of our coordinators."""

    def __init__(self, running: cluster.Cluster) -> None:
        self._running = running
        self.endpoints = running.endpoints

    def kill_leader(self) -> int:
        leader = self._running.leader()
        self._running.kill(leader)
        return self._running.members.index(leader)

    def kill(self, number: int) -> None:
        self._running.kill(self._running.members[number])

    def start(self, number: int) -> None:
        self._running.begin(self._running.members[number])


@contextmanager
def coordinators(directory: Path) -> Iterator[CoordinatorCluster]:
    with cluster.Cluster(directory) as running:
        yield CoordinatorCluster(running)


@contextmanager
def etcd_cluster(directory: Path, prefix: str) -> Iterator[EtcdCluster]:
    with ExitStack() as stack:
        yield EtcdCluster(directory, prefix, stack)


CLUSTERS = {"etcd": "v2+", "etcd3": "v3+"}
