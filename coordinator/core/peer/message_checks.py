"""What the types of a message do not say: checks of its entries before anybody relies on them."""

import msgspec

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft import membership
from coordinator.core.raft.messages import AppendEntries
from coordinator.core.storage.wal_format import ENTRY_BYTES_MAX


def problem(message: PeerMessage) -> str:
    """Say why no member would send this message; an empty string if one may."""
    return _entries_problem(message) if isinstance(message, AppendEntries) else ""


def _entries_problem(message: AppendEntries) -> str:
    index = message.prev_index
    for entry in message.entries:
        index += 1
        if entry.index != index:
            return f"entry {entry.index} in the place of entry {index}"
        if len(entry.data) > ENTRY_BYTES_MAX:
            return f"entry {index} of {len(entry.data)} bytes"
        if entry.data.startswith(membership.MARK):
            try:
                membership.decode(entry.data)
            except msgspec.DecodeError as error:
                return f"entry {index} is no change of membership: {error}"
    return ""
