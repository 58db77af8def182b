"""Do the members hold the same state? Each tells the others what its state hashed to, and where.

A member that finds a majority of the voters agreed on another hash at an index of its own has
gone wrong, and so has one that differs from its leader while no majority is on its side.
"""

from collections.abc import Collection

from coordinator.core.peer.peer_messages import StateHash
from coordinator.core.raft import quorum

# Hashes at so many of the last entries are remembered, to compare with those who are ahead.
KEPT = 4096


class CorruptionCheck:
    """This member's hashes by index, and the others' last ones."""

    def __init__(self) -> None:
        self._own: list[tuple[int, int]] = [(0, 0)] * KEPT
        self._last = 0
        self._heard: dict[int, tuple[int, int]] = {}

    def record(self, index: int, digest: int) -> None:
        """Remember what the state hashed to when entry `index` was applied."""
        self._own[index % KEPT] = (index, digest)
        self._last = index

    def hashes(self, me: int, others: Collection[int]) -> list[StateHash]:
        """Return the messages that tell the others the last index and its hash."""
        if not self._last:
            return []
        index, digest = self._own[self._last % KEPT]
        return [
            StateHash(sender=me, receiver=member, term=0, index=index, digest=digest)
            for member in others
        ]

    def heard(self, member: int, index: int, digest: int) -> None:
        """Note what another member's state hashed to."""
        self._heard[member] = (index, digest)

    def verdict(self, voters: Collection[int], leader: int) -> str:
        """Say how this member differs from those that count, or nothing when it does not."""
        differ, agree = {}, 1  # this member agrees with itself
        for member, (index, digest) in self._heard.items():
            known = self._own[index % KEPT]
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
            f"this member's state differs from that of {others}: it serves nothing any more. Keep "
            "its data directory for an inquiry, remove the member, and add it again empty"
        )
