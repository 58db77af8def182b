"""The metrics of a member, under etcd's names where they mean the same."""

import math
from collections.abc import Iterable, Iterator

from coordinator.core.peer.latency import PeerLatency
from coordinator.server.telemetry import Telemetry
from daemonkit.core.samples import Sample


def samples(telemetry: Telemetry) -> Iterable[Sample]:
    """Return all of them."""
    for name, (about, value) in _gauges(telemetry).items():
        yield Sample(name, "gauge", about, value)
    for name, (about, count) in _counters(telemetry).items():
        yield Sample(name, "counter", about, count)
    if telemetry.backups is not None:
        yield from telemetry.backups.samples()
    for use, ends_s in telemetry.certificate_ends().items():
        about = "When the certificate ends, in Unix time."
        name = "coordinator_certificate_not_after_seconds"
        yield Sample(name, "gauge", about, ends_s, {"use": use})
    if telemetry.access is not None:
        yield from telemetry.access.samples()
    for member, latency in telemetry.loop.transport.latencies.by_member().items():
        yield from _round_trips(f"{member:x}", latency)
    for method, requests in telemetry.requests.items():
        labels = {"method": method.decode()}
        about = "Requests on the client port."
        yield Sample("etcd_http_received_total", "counter", about, requests, labels)


def _gauges(telemetry: Telemetry) -> dict[str, tuple[str, int]]:
    replica, transport = telemetry.replica, telemetry.loop.transport
    node, keyspace = replica.node, replica.keyspace
    diverged = bool(replica.availability.diverged)
    history = keyspace.history
    return {
        "etcd_server_has_leader": ("Whether a leader is known.", int(bool(node.leader))),
        "etcd_server_is_leader": (
            "Whether this member is the leader.",
            int(node.leading is not None),
        ),
        "etcd_server_proposals_pending": (
            "Requests at this member that are not decided yet.",
            len(replica.proposals.by_sequence),
        ),
        "etcd_network_active_peers": ("Open connections to members.", len(transport.connected())),
        "etcd_debugging_store_watchers": ("Open watches.", len(keyspace.hub)),
        "coordinator_connections_without_tls": (
            "Connections of clients, and to members, without TLS.",
            telemetry.without_tls(),
        ),
        "coordinator_raft_term": ("Raft term.", node.term),
        "coordinator_diverged": ("Whether this member's state differs.", int(diverged)),
        "coordinator_store_index": ("Index of the last change.", keyspace.index),
        "coordinator_store_keys": ("Files and directories.", len(keyspace.tree.nodes) - 1),
        "coordinator_store_size_bytes": (
            "About what all keys and values take in memory.",
            keyspace.tree.size_bytes,
        ),
        "etcd_server_quota_backend_bytes": (
            "What they may take: --quota-backend-bytes.",
            replica.quota.size_bytes_max,
        ),
        "coordinator_alarm_nospace": (
            "Whether the keys take almost all that they may.",
            int(bool(replica.quota.alarm(keyspace))),
        ),
        "coordinator_history_oldest_index": (
            "The oldest index that a watch can begin at.",
            history.first,
        ),
        "coordinator_connections": ("Open client connections.", len(telemetry.connections)),
    }


def _counters(telemetry: Telemetry) -> dict[str, tuple[str, float]]:
    loop, log = telemetry.loop, telemetry.replica.node.log
    return {
        "etcd_server_proposals_committed_total": ("Committed entries.", log.committed),
        "etcd_server_proposals_applied_total": ("Applied entries.", log.applied),
        "etcd_network_peer_sent_bytes_total": (
            "Bytes sent to other members.",
            loop.transport.sent_bytes,
        ),
        "coordinator_refused_forwards_total": (
            "Invalid commands that other members forwarded, and this leader refused.",
            telemetry.replica.refused_forwards,
        ),
        "coordinator_fsyncs_total": ("Syncs of the log.", loop.fsyncs),
        "coordinator_fsync_seconds_total": ("Time spent in syncs of the log.", loop.fsync_s),
    }


def _round_trips(member: str, latency: PeerLatency) -> Iterator[Sample]:
    name, about = (
        "etcd_network_peer_round_trip_time_seconds",
        "Time from a heartbeat to its response.",
    )
    for edge_s, count in latency.below():
        labels = {"To": member, "le": "+Inf" if edge_s == math.inf else f"{edge_s:g}"}
        yield Sample(f"{name}_bucket", "histogram", about, count, labels)
    yield Sample(f"{name}_sum", "histogram", about, latency.total_s, {"To": member})
    yield Sample(f"{name}_count", "histogram", about, latency.done, {"To": member})
