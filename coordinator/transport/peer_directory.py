"""The other members as the server knows them: whom it dials, and who may dial it."""

import asyncio
from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from coordinator.core.cluster import versions
from coordinator.core.cluster.members import is_removed, members_in, removed_members
from coordinator.core.cluster.versions import ClusterVersion
from coordinator.core.peer.admission import Refusal, Sender, refusal
from coordinator.core.peer.handshake import Greeting
from coordinator.core.replica.replica import Replica
from daemonkit.observe import logs

# Strangers may dial as often as they like; the members are asked no more often than this.
ASK_AGAIN_S = 1.0
Urls = dict[int, tuple[str, ...]]

_log = logs.get("coordinator.peers")


class PeerDirectory:
    """The members of the log, and those that a member of the log has named.

    A member whose log is behind may know of none that could send it the rest: the others were
    replaced meanwhile. `ask` returns the members that one at these URLs names; it is called on a
    thread.
    """

    def __init__(
        self, replica: Replica, named: Urls, allowed_cn: str, ask: Callable[[Sequence[str]], Urls]
    ) -> None:
        self._replica = replica
        self._named = named
        self._allowed_cn = allowed_cn
        self.fleet = ""  # of this member's own certificate
        self._ask = ask
        self._strangers: set[int] = set()
        self._asking: asyncio.Task[None] | None = None

    def others(self) -> Urls:
        """Return the peer URLs of the members to dial."""
        others = {**self._named, **self._known()}
        for member in self.removed() | {self._replica.me}:
            others.pop(member, None)
        return others

    def tick(self) -> None:
        """Ask the members of the log about a stranger that has dialed this one."""
        if self._strangers and (self._asking is None or self._asking.done()):
            self._asking = asyncio.create_task(self._meet(frozenset(self._strangers)))
            self._strangers.clear()

    async def _meet(self, strangers: frozenset[int]) -> None:
        urls = [url for each in self.others().values() for url in each]
        named = await asyncio.to_thread(self._ask, urls)
        for member in strangers & named.keys():
            _log.info("named", member=f"{member:x}", url=",".join(named[member]))
            self._named[member] = named[member]
        await asyncio.sleep(ASK_AGAIN_S)

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
        if not is_member:
            self._strangers = {sender}
        known = Sender(
            sender,
            is_member,
            self.is_removed(sender),
            frozenset(hosts),
            certificate,
            greeting.version,
        )
        return refusal(known, self._allowed_cn, self.needed(), self.fleet)

    def _known(self) -> Urls:
        replica = self._replica
        members = members_in(replica.keyspace.notes, replica.node.configuration)
        return {each.id: each.peer_urls for each in members if each.peer_urls}
