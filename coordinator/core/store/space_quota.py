"""How much the keys may take, and what is refused when they take that much.

Each member judges by its own keys before it passes a write on, so nothing of this is in the log.
Writes that are under way at that moment still go through: they are bounded, and the quota is none
of the last byte.
"""

from dataclasses import dataclass

import msgspec

from coordinator.core.store.api_errors import OutOfSpace
from coordinator.core.store.commands import CreateInOrder, Put
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.tree import NODE_BYTES, value_bytes

QUOTA_BYTES = 1 << 30
# From this share of the quota on there is an alarm. The rest holds hundreds of the largest values.
ALARM_SHARE = 0.95
# More than any write takes. With so much room no write is looked at.
ANY_WRITE_BYTES = 32 << 20


@dataclass(frozen=True, slots=True)
class SpaceQuota:
    """The bytes that the keys and values of one member may take in memory."""

    size_bytes_max: int = QUOTA_BYTES

    def check(self, space: KeySpace, command: msgspec.Struct | int) -> None:
        """Raise OutOfSpace for a write that would make the keys larger than the quota."""
        size_bytes = space.tree.size_bytes
        if self.size_bytes_max - size_bytes > ANY_WRITE_BYTES:
            return
        if not isinstance(command, Put | CreateInOrder):
            return
        if size_bytes + _growth_bytes(space, command) > self.size_bytes_max:
            raise OutOfSpace(self._cause(size_bytes))

    def alarm(self, space: KeySpace) -> str:
        """Return why there is an alarm, an empty string without one."""
        size_bytes = space.tree.size_bytes
        full = size_bytes > ALARM_SHARE * self.size_bytes_max
        return f"NOSPACE: {self._cause(size_bytes)}" if full else ""

    def _cause(self, size_bytes: int) -> str:
        return (
            f"the keys take {size_bytes / 2**20:.1f} MiB of {self.size_bytes_max / 2**20:.1f}: "
            "delete some, or raise --quota-backend-bytes on every member"
        )


def _growth_bytes(space: KeySpace, command: Put | CreateInOrder) -> int:
    """Return by how many bytes a write makes the keys larger; 0 if it makes them smaller."""
    old = None if isinstance(command, CreateInOrder) else space.tree.nodes.get(command.key)
    if old is None:
        return NODE_BYTES + len(command.key) + len(command.value or b"")
    if isinstance(command, Put) and command.refresh:
        return 0
    return max(0, len(command.value or b"") - value_bytes(old))
