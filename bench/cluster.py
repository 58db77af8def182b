"""Three coordinators compared with three real etcds 3.4 (v2 API) on this machine, with fsync.

Both clusters run at the same time and get load in turn, so other work on the machine affects both.
The cluster without load only sends its heartbeats.
"""

import os
import resource
import select
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench.load import PUT, requests_per_second
from bench.table import ROUNDS, Row, alternate
from rig.cluster import Cluster, ClusterMember, EtcdCluster, ask
from rig.processes import wait_until

LEADER_TARGETS = {1: 0.9, 64: 1.6, 256: 2.0}
FOLLOWER_TARGET = 1.2
QUORUM_GET_TARGET = 2.0
WATCHERS = 1000
WATCHERS_TARGET = 0.6
FAILOVER_TARGET = 0.7
FAILOVERS = 5
RETRY_S = 0.01
KEYS = 100_000
RESTART_TARGET = 1.0
MEMORY_TARGET = 1.5


def rows() -> list[Row]:
    """Measure throughput, watchers, failover, restart and memory of both clusters."""
    with both() as pair:
        out = [_writes(pair, connections, target) for connections, target in LEADER_TARGETS.items()]
        out.append(_through_a_follower(pair))
        out.append(_quorum_reads(pair))
        out.append(_watchers(pair))
    with both() as pair:
        out += _failovers(pair)
    with both() as pair:
        out += _full(pair)
    return out


Pair = tuple[Cluster, Cluster]


@contextmanager
def both() -> Iterator[Pair]:
    """Run a cluster of each kind, with default heartbeat and election time-out."""
    with tempfile.TemporaryDirectory() as directory:
        ours, etcd = Path(directory) / "ours", Path(directory) / "etcd"
        ours.mkdir()
        etcd.mkdir()
        with Cluster(ours, flags=()) as a, EtcdCluster(etcd, flags=()) as b:
            yield a, b


def _row(name: str, unit: str, measured: tuple[float, float], target: float, **more: object) -> Row:
    return Row("cluster", name, unit, *measured, "etcd", target, **more)  # type: ignore[arg-type]


def _rates(
    members: tuple[ClusterMember, ClusterMember], connections: int, path: str, script: str
) -> tuple[float, float]:
    ours, etcd = (f"{member.url}/v2/keys{path}" for member in members)
    return alternate(
        lambda: requests_per_second(ours, connections, script),
        lambda: requests_per_second(etcd, connections, script),
    )


def _writes(pair: Pair, connections: int, target: float) -> Row:
    leaders = pair[0].leader(), pair[1].leader()
    measured = _rates(leaders, connections, "/bench", PUT)
    return _row(f"PUT to the leader, {connections} connections", "/s", measured, target)


def _through_a_follower(pair: Pair) -> Row:
    followers = pair[0].followers()[0], pair[1].followers()[0]
    measured = _rates(followers, 64, "/bench", PUT)
    return _row("PUT through a follower, 64 connections", "/s", measured, FOLLOWER_TARGET)


def _quorum_reads(pair: Pair) -> Row:
    leaders = pair[0].leader(), pair[1].leader()
    measured = _rates(leaders, 64, "/bench/key1?quorum=true", "")
    return _row("quorum GET, 64 connections", "/s", measured, QUORUM_GET_TARGET)


def _watchers(pair: Pair) -> Row:
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    measured = alternate(lambda: wake(pair[0].leader()), lambda: wake(pair[1].leader()))
    name = f"a write wakes {WATCHERS} watchers, until the last"
    return _row(name, "ms", measured, WATCHERS_TARGET, at_most=True)


def wake(leader: ClusterMember) -> float:
    """Return the milliseconds from a write until the last watcher has its event.

    The readers do as little as possible, because they share the processors with the server.
    """
    host, port = leader.url.removeprefix("http://").split(":")
    request = b"GET /v2/keys/watched?wait=true HTTP/1.1\r\nHost: x\r\n\r\n"
    with select.epoll() as poll, ExitStack() as held:
        for _ in range(WATCHERS):
            one = held.enter_context(socket.create_connection((host, int(port))))
            one.sendall(request)
            head = b""
            while b"\r\n\r\n" not in head:  # both send the head at once
                head += one.recv(4096)
            poll.register(one, select.EPOLLIN | select.EPOLLET)
        began, left = time.perf_counter(), WATCHERS
        address = f"{leader.url}/v2/keys/watched"
        writer = threading.Thread(target=ask, args=("PUT", address, "value=1"))
        writer.start()
        while left:
            for descriptor, _ in poll.poll(10):
                left -= b'"key":"/watched"' in os.read(descriptor, 65536)
        took_s = time.perf_counter() - began
        writer.join()
    return took_s * 1000


def _failovers(pair: Pair) -> list[Row]:
    medians = alternate(
        lambda: failover(pair[0])[0], lambda: failover(pair[1])[0], max(FAILOVERS, ROUNDS)
    )
    blocked = alternate(lambda: blocked_s(pair[0]), lambda: blocked_s(pair[1]), max(3, ROUNDS))
    return [
        _row(
            "failover, from SIGKILL to the first write", "s", medians, FAILOVER_TARGET, at_most=True
        ),
        _row("one write sent right after the SIGKILL", "s", blocked, 1.0, at_most=True),
    ]


def failover(cluster: Cluster) -> tuple[float, float]:
    """Kill the leader; return the seconds to an accepted write, and of the longest request."""
    leader, follower = cluster.leader(), cluster.followers()[0]
    cluster.kill(leader)
    began = time.monotonic()
    longest_s = 0.0
    while True:
        try:
            answer = ask("PUT", f"{follower.url}/v2/keys/f", "value=1", timeout_s=0.5)
            longest_s = max(longest_s, answer.took_s)
            if answer.status < 300:
                break
        except OSError:
            longest_s = max(longest_s, 0.5)
        time.sleep(RETRY_S)
    took_s = time.monotonic() - began
    cluster.start(leader)
    return took_s, longest_s


def blocked_s(cluster: Cluster) -> float:
    """Kill the leader, send a write to a follower at once, and return the seconds to its answer."""
    leader, follower = cluster.leader(), cluster.followers()[0]
    cluster.kill(leader)
    answer = ask("PUT", f"{follower.url}/v2/keys/f", "value=1", timeout_s=30)
    cluster.start(leader)
    return answer.took_s


def _full(pair: Pair) -> list[Row]:
    for cluster in pair:
        fill(cluster.leader())
    memory = memory_mib(pair[0]), memory_mib(pair[1])
    restarts = alternate(lambda: restart(pair[0]), lambda: restart(pair[1]))
    return [
        _row(f"memory of the leader, {KEYS:,} keys", "MiB", memory, MEMORY_TARGET, at_most=True),
        _row(f"restart with {KEYS:,} keys", "s", restarts, RESTART_TARGET, at_most=True),
    ]


def fill(leader: ClusterMember) -> None:
    """Write the keys over a few pipelined connections."""

    def write(part: int, parts: int) -> None:
        host, port = leader.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as one:
            numbers = range(part, KEYS, parts)
            for start in range(0, len(numbers), 100):
                batch = numbers[start : start + 100]
                one.sendall(b"".join(_put(n) for n in batch))
                seen = b""
                while seen.count(b'"action":"set"') < len(batch):
                    seen += one.recv(1 << 16)

    workers = [threading.Thread(target=write, args=(part, 4)) for part in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()


def _put(number: int) -> bytes:
    body = b"value=%d" % number
    return (
        b"PUT /v2/keys/full/%d/%d HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n"
        b"Content-Type: application/x-www-form-urlencoded\r\n\r\n%b"
        % (number % 100, number, len(body), body)
    )


def memory_mib(cluster: Cluster) -> float:
    """Return the leader's resident memory."""
    running = cluster.leader().running
    assert running is not None
    status = Path(f"/proc/{running.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def restart(cluster: Cluster) -> float:
    """Stop a follower and start it; return the seconds until it answers with the keys."""
    follower = cluster.followers()[0]
    assert follower.running is not None
    follower.running.stop()
    began = time.monotonic()
    cluster.begin(follower)
    path = f"{follower.url}/v2/keys/full/{(KEYS - 1) % 100}/{KEYS - 1}"

    def answered() -> bool:
        try:
            return ask("GET", path, timeout_s=5).status == 200
        except OSError:
            return False

    wait_until(answered, "the last key", 60)
    return time.monotonic() - began
