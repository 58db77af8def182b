"""Sending a snapshot: the leader cuts it into chunks, the follower puts it together again.

The follower reports its progress, so that a transfer continues after a lost connection. The
checksum of the whole snapshot is in every chunk, so chunks of two snapshots are never mixed.
"""

from dataclasses import dataclass

import google_crc32c

from coordinator.core.raft.membership import Configuration
from coordinator.core.raft.messages import InstallSnapshot

CHUNK_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class RaftSnapshot:
    """The whole state as of one entry, and the configuration there."""

    index: int
    term: int
    configuration: Configuration
    data: bytes
    crc: int = 0

    def sealed(self) -> "RaftSnapshot":
        """Return the snapshot with the checksum of its data."""
        crc = int(google_crc32c.value(self.data))
        return RaftSnapshot(self.index, self.term, self.configuration, self.data, crc)


def chunk(snapshot: RaftSnapshot, offset: int, address: tuple[int, int, int]) -> InstallSnapshot:
    """Return the chunk at `offset` for (sender, receiver, term)."""
    sender, receiver, term = address
    return InstallSnapshot(
        sender=sender,
        receiver=receiver,
        term=term,
        index=snapshot.index,
        index_term=snapshot.term,
        voters=tuple(sorted(snapshot.configuration.voters)),
        learners=tuple(sorted(snapshot.configuration.learners)),
        offset=offset,
        data=snapshot.data[offset : offset + CHUNK_BYTES],
        size=len(snapshot.data),
        crc=snapshot.crc,
    )


class SnapshotAssembly:
    """Puts a snapshot together from its chunks."""

    def __init__(self) -> None:
        self._identity = (0, 0, 0, 0)
        self._data = bytearray()

    def take(self, message: InstallSnapshot) -> RaftSnapshot | int:
        """Add a chunk; return the snapshot when it is whole and intact, else the next offset."""
        identity = (message.index, message.index_term, message.size, message.crc)
        if identity != self._identity:
            self._identity, self._data = identity, bytearray()
        if message.offset == len(self._data):
            self._data += message.data
        if len(self._data) < message.size:
            return len(self._data)
        data, self._data, self._identity = bytes(self._data), bytearray(), (0, 0, 0, 0)
        if google_crc32c.value(data) != message.crc:
            return 0
        configuration = Configuration(frozenset(message.voters), frozenset(message.learners))
        return RaftSnapshot(message.index, message.index_term, configuration, data, message.crc)
