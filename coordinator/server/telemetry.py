"""What a running member knows about itself, for its API, its status page and its metrics."""

import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping

from coordinator.core.cluster.ids import Identity
from coordinator.core.cluster.members import members_in, removed_members
from coordinator.core.raft.ready import Role
from coordinator.core.v2api.info_pages import MemberStatus
from coordinator.server.access.access_control import AccessControl
from coordinator.server.drive_loop import DriveLoop
from coordinator.storage.backup_schedule import BackupSchedule
from daemonkit.http.connection import Connection

STATES = {
    Role.LEADER: "StateLeader",
    Role.FOLLOWER: "StateFollower",
    Role.CANDIDATE: "StateCandidate",
    Role.PRE_CANDIDATE: "StatePreCandidate",
}


class Telemetry:
    """Holds what is observed of a member."""

    def __init__(self, identity: Identity, name: str, loop: DriveLoop) -> None:
        self.identity = identity
        self.name = name
        self.loop = loop
        self.replica = loop.replica
        self.healthy = False  # it serves, and its disk works
        self.started_s = time.time()
        self.requests: Counter[bytes] = Counter()  # on the client port, by method
        self.connections: Collection[Connection] = ()  # to the client port
        self.backups: BackupSchedule | None = None
        self.access: AccessControl | None = None
        self.certificate_ends: Callable[[], Mapping[str, float]] = dict  # Unix seconds by use

    def member_status(self, *, proved: bool = True) -> MemberStatus:
        """Return what the pages of the API show; `proved`: nothing speaks against the leader."""
        replica, loop = self.replica, self.loop
        node, keyspace = replica.node, replica.keyspace
        in_cluster = bool(node.leader) and not replica.availability.diverged
        return MemberStatus(
            identity=self.identity,
            name=self.name,
            members=members_in(keyspace.notes, node.configuration),
            removed=removed_members(keyspace.notes),
            leader=node.leader,
            state=STATES[node.election.role],
            started_s=self.started_s,
            leading_since_s=loop.leader_since_s,
            now_s=time.time(),
            healthy=self.healthy and in_cluster and proved,
            alarm=replica.quota.alarm(keyspace),
            store_stats=keyspace.stats.json(len(keyspace.hub)),
            latencies=loop.transport.latencies,
            certificates=self.certificate_ends(),
        )

    def without_tls(self) -> int:
        """Return how many clients and members are connected without TLS, in both directions."""
        clients = sum(1 for each in self.connections if not each.secure)
        return clients + len(self.loop.transport.without_tls())

    def health_detail(self) -> dict[str, object]:
        """Return what keeps the member from deciding, for /health."""
        availability = self.replica.availability
        if availability.diverged:
            return {"diverged": availability.diverged}
        if alarm := self.replica.quota.alarm(self.replica.keyspace):
            return {"alarm": alarm}
        without_s = availability.without_leader_s()
        return {"without_leader_s": round(without_s, 1)} if without_s else {}

    def debug_state(self) -> object:
        """Return what the member believes, for /debug/state."""
        replica, loop = self.replica, self.loop
        node, keyspace = replica.node, replica.keyspace
        shown: dict[str, object] = {
            "role": node.election.role.name.lower(),
            "term": node.term,
            "leader": f"{node.leader:x}",
            "last": node.log.last,
            "commit": node.log.committed,
            "applied": node.log.applied,
            "lease": node.has_lease,
            "diverged": replica.availability.diverged,
            "links": [f"{member:x}" for member in loop.transport.connected()],
            "links_without_tls": [f"{member:x}" for member in loop.transport.without_tls()],
            "index": keyspace.index,
            "keys": len(keyspace.tree.nodes) - 1,
            "watchers": len(keyspace.hub),
            "history": {"oldest": keyspace.history.first, "newest": keyspace.history.last},
            "snapshot": loop.driver.snapshot_index,
            "digest": f"{keyspace.digest:016x}",
            "connections": len(self.connections),
            "fsyncs": loop.fsyncs,
            "fsync_s": round(loop.fsync_s, 6),
        }
        if node.leading is not None:
            shown["followers"] = {
                f"{member:x}": {"state": each.state.name.lower(), "match": each.match}
                for member, each in node.leading.progress.items()
            }
        return shown
