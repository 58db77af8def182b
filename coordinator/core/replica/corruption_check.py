"""Checks that the members have the same state: each sends the others a hash of it at an index.

A member is corrupt if a majority of the voters agrees on another hash at the same index, or if it
differs from its leader while no majority agrees with it.
"""

from collections.abc import Collection

from coordinator.core.peer.peer_messages import StateHash
from coordinator.core.raft import quorum

# How many of the last hashes are remembered, to compare with members that are behind.
HASHES_MAX = 4096


class CorruptionCheck:
    """This member's hashes by index, and the last hash of each other member."""

    def __init__(self) -> None:
        self._own: list[tuple[int, int]] = [(0, 0)] * HASHES_MAX
        self._last = 0
        self._heard: dict[int, tuple[int, int]] = {}

    def record(self, index: int, digest: int) -> None:
        """Remember the hash of the state after entry `index`."""
        self._own[index % HASHES_MAX] = (index, digest)
        self._last = index

    def hashes(self, me: int, others: Collection[int]) -> list[StateHash]:
        """Return the messages to the others with the last index and its hash."""
        if not self._last:
            return []
        index, digest = self._own[self._last % HASHES_MAX]
        return [
            StateHash(sender=me, receiver=member, term=0, index=index, digest=digest)
            for member in others
        ]

    def heard(self, member: int, index: int, digest: int) -> None:
        """Note the hash of another member."""
        self._heard[member] = (index, digest)

    def verdict(self, voters: Collection[int], leader: int) -> str:
        """Say how this member differs from the others; an empty string if it does not."""
        differ, agree = {}, 1  # this member agrees with itself
        for member, (index, digest) in self._heard.items():
            known = self._own[index % HASHES_MAX]
            if member not in voters or known[0] != index:
                continue
            if known[1] == digest:
                agree += 1
            else:
                differ[member] = index
        if not differ:
            return ""
        need = quorum.majority(voters)
        alone = len(differ) >= need or (leader in differ and agree < need)
        if not alone:
            return ""
        others = ", ".join(f"{member:x} at entry {index}" for member, index in differ.items())
        return (
            f"this member's state differs from that of {others}: it stops serving. "
            "Keep its data directory to find out why, remove the member, and add it again with an "
            "empty one"
        )
