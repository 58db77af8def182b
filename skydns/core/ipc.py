"""What the daemon tells its workers, as bytes on their channel."""

import msgspec

from coordinator.client.core.view import Changes
from skydns.core.config import Settings


class Update(msgspec.Struct, frozen=True):
    """Changes of the keys, and whether the store is away and they may be old.

    `settings` come with the whole state, and when they change.
    """

    blind: bool
    changes: Changes | None = None
    settings: Settings | None = None


_decoder = msgspec.msgpack.Decoder(Update)


def encode(update: Update) -> bytes:
    """Write an update for the channel."""
    return msgspec.msgpack.encode(update)


def decode(payload: bytes) -> Update:
    """Read an update from the channel."""
    return _decoder.decode(payload)
