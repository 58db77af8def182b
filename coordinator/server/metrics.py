"""What a running coordinator tells of itself: status, metrics, state."""

import math
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from coordinator.core.cluster import members
from coordinator.core.peer.latency import PeerLatency
from coordinator.core.raft.ready import Role
from coordinator.core.v2api.info_pages import MemberStatus
from daemonkit.core.samples import Sample

if TYPE_CHECKING:
    from coordinator.server.server import Coordinator

STATES = {
    Role.LEADER: "StateLeader",
    Role.FOLLOWER: "StateFollower",
    Role.CANDIDATE: "StateCandidate",
    Role.PRE_CANDIDATE: "StatePreCandidate",
}


def status(running: "Coordinator", *, healthy: bool) -> MemberStatus:
    """Return how the member stands now."""
    replica = running.replica
    return MemberStatus(
        identity=running.identity,
        name=running.name,
        members=replica.members,
        removed=members.removed_members(replica.keyspace.notes),
        leader=replica.node.leader,
        state=STATES[replica.node.role],
        started_s=running.started_s,
        leading_since_s=running.leader_since_s,
        now_s=time.time(),
        healthy=healthy and bool(replica.node.leader) and not replica.diverged,
        store_stats=replica.keyspace.stats.json(len(replica.keyspace.hub)),
        trips=running.links.trips,
    )


def samples(running: "Coordinator") -> Iterable[Sample]:
    """Return the metrics, under etcd's names where they mean the same."""
    replica, space = running.replica, running.replica.keyspace
    node = replica.node
    gauges = {
        "etcd_server_has_leader": ("Whether a leader is known.", int(bool(node.leader))),
        "etcd_server_is_leader": ("Whether this member leads.", int(replica.is_leader)),
        "etcd_server_proposals_pending": (
            "Committed and not applied.",
            node.log.last - node.log.committed,
        ),
        "etcd_network_active_peers": ("Open links to members.", len(running.links.reached())),
        "etcd_debugging_store_watchers": ("Open watches.", len(space.hub)),
        "coordinator_raft_term": ("The term.", node.term),
        "coordinator_diverged": ("Whether the state differs.", int(bool(replica.diverged))),
        "coordinator_store_index": ("Index of the last change.", space.index),
        "coordinator_store_keys": ("Files and directories.", len(space.tree.nodes) - 1),
        "coordinator_history_oldest_index": ("Oldest watchable index.", space.history.first),
        "coordinator_connections": ("Open connections.", running.connections),
    }
    counters = {
        "etcd_server_proposals_committed_total": ("Committed entries.", node.log.committed),
        "etcd_server_proposals_applied_total": ("Applied entries.", replica.applied),
        "etcd_network_peer_sent_bytes_total": ("Bytes to members.", running.links.sent_bytes),
        "coordinator_fsyncs_total": ("Batches synced to the log.", running.fsyncs),
        "coordinator_fsync_seconds_total": ("Time in those syncs.", running.fsync_s),
    }
    for name, (about, value) in gauges.items():
        yield Sample(name, "gauge", about, value)
    for name, (about, count) in counters.items():
        yield Sample(name, "counter", about, count)
    if running.backups is not None:
        yield from running.backups.samples()
    for member, trips in running.links.trips.by_member().items():
        yield from _round_trips(f"{member:x}", trips)
    for method, requests in running.requests.items():
        labels = {"method": method.decode()}
        about = "Requests on the client port."
        yield Sample("etcd_http_received_total", "counter", about, requests, labels)


def _round_trips(member: str, trips: PeerLatency) -> Iterator[Sample]:
    name, about = "etcd_network_peer_round_trip_time_seconds", "From a heartbeat to its answer."
    for edge_s, count in trips.below():
        labels = {"To": member, "le": "+Inf" if edge_s == math.inf else f"{edge_s:g}"}
        yield Sample(f"{name}_bucket", "histogram", about, count, labels)
    yield Sample(f"{name}_sum", "histogram", about, trips.total_s, {"To": member})
    yield Sample(f"{name}_count", "histogram", about, trips.done, {"To": member})


def state(running: "Coordinator") -> object:
    """Return what the member believes, for /debug/state."""
    replica, space = running.replica, running.replica.keyspace
    node = replica.node
    shown: dict[str, object] = {
        "role": node.role.name.lower(),
        "term": node.term,
        "leader": f"{node.leader:x}",
        "last": node.log.last,
        "commit": node.log.committed,
        "applied": replica.applied,
        "lease": node.has_lease,
        "diverged": replica.diverged,
        "links": [f"{member:x}" for member in running.links.reached()],
        "index": space.index,
        "keys": len(space.tree.nodes) - 1,
        "watchers": len(space.hub),
        "history": {"oldest": space.history.first, "newest": space.history.last},
        "snapshot": running.snapshot_index,
        "digest": f"{space.digest():016x}",
        "connections": running.connections,
        "fsyncs": running.fsyncs,
        "fsync_s": round(running.fsync_s, 6),
    }
    if node.leading is not None:
        shown["followers"] = {
            f"{member:x}": {"state": each.state.name.lower(), "match": each.match}
            for member, each in node.leading.progress.items()
        }
    return shown
