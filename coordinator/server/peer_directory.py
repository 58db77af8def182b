"""The other members as the server knows them: whom it dials, and who may dial it."""

from urllib.parse import urlsplit

from coordinator.core.cluster import versions
from coordinator.core.cluster.members import is_removed, members_in, removed_members
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.peer.admission import Refusal, Sender, refusal
from coordinator.core.peer.handshake import Greeting
from coordinator.core.replica.replica import Replica

Urls = dict[int, tuple[str, ...]]


class PeerDirectory:
    """The members of the log, and until the log contains this one, those of the first start."""

    def __init__(self, replica: Replica, initial: Urls, allowed_cn: str) -> None:
        self._replica = replica
        self._initial = initial
        self._allowed_cn = allowed_cn

    def others(self) -> Urls:
        """Return the peer URLs of the members to dial."""
        known = self._known()
        others = {**(self._initial if self._replica.me not in known else {}), **known}
        others.pop(self._replica.me, None)
        return others

    def removed(self) -> frozenset[int]:
        """Return the members that were removed forever."""
        return removed_members(self._replica.keyspace.notes)

    def is_removed(self, member: int) -> bool:
        """Return whether a member was removed forever."""
        return is_removed(self._replica.keyspace.notes, member)

    def needed(self) -> ClusterVersion:
        """Return the cluster version that a member must know to read the log."""
        return versions.required(self._replica.keyspace.notes)

    def admit(self, greeting: Greeting, certificate: bytes) -> Refusal | None:
        """Return why a sender may not send to this member; None if it may."""
        sender = greeting.sender
        others, node = self.others(), self._replica.node
        committed = node.configurations.at(node.log.committed)
        members = others.keys() | node.configuration.members | committed.members
        hosts = {urlsplit(url).hostname or "" for url in others.get(sender, ())}
        is_member = sender in members and sender != self._replica.me
        known = Sender(
            sender,
            is_member,
            self.is_removed(sender),
            frozenset(hosts),
            certificate,
            greeting.version,
        )
        return refusal(known, self._allowed_cn, self.needed())

    def _known(self) -> Urls:
        replica = self._replica
        members = members_in(replica.keyspace.notes, replica.node.configuration)
        return {each.id: each.peer_urls for each in members if each.peer_urls}
