"""What members of an older version do not send and do not read: fields that came later."""

from collections.abc import Sequence

import msgspec

from coordinator.core.peer.peer_messages import PeerMessage
from coordinator.core.raft.messages import HeartbeatOk

# By message: the fields, with the value that the decoder gives them when they are missing.
LATER_FIELDS: dict[type, dict[str, object]] = {HeartbeatOk: {"guard_ms": 0}}


def stripped(messages: Sequence[PeerMessage]) -> list[PeerMessage]:
    """Return the messages as they are between members of which one is old."""
    return [msgspec.structs.replace(each, **LATER_FIELDS.get(type(each), {})) for each in messages]
