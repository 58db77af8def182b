"""A replica's state as bytes: keys, members, applied proposals, cluster time."""

import msgspec

from coordinator.core.raft.membership import Configuration
from coordinator.core.replica.sessions import Sessions
from coordinator.core.store import keyspace_dump
from coordinator.core.store.keyspace import KeySpace
from coordinator.core.store.keyspace_dump import UnreadableDump

VERSION = 1


class StateSnapshot(msgspec.Struct, frozen=True, array_like=True):
    """The state after one entry of the log."""

    version: int
    voters: list[int]
    learners: list[int]
    applied: list[tuple[int, int, list[int]]]
    clock_ns: int
    keys: bytes

    @property
    def configuration(self) -> Configuration:
        """The members as of that entry."""
        return Configuration(frozenset(self.voters), frozenset(self.learners))


_decoder = msgspec.msgpack.Decoder(StateSnapshot)


def dump(
    configuration: Configuration, applied: Sessions, clock_ns: int, keyspace: KeySpace
) -> bytes:
    """Return the bytes of a snapshot."""
    state = StateSnapshot(
        VERSION,
        sorted(configuration.voters),
        sorted(configuration.learners),
        applied.rows(),
        clock_ns,
        keyspace_dump.dump(keyspace),
    )
    return msgspec.msgpack.encode(state)


def load(data: bytes) -> StateSnapshot:
    """Read what `dump` wrote. Raises UnreadableDump."""
    try:
        state: StateSnapshot = _decoder.decode(data)
    except msgspec.MsgspecError as error:
        raise UnreadableDump(f"the state snapshot is damaged: {error}") from error
    if state.version != VERSION:
        raise UnreadableDump(f"a state snapshot of version {state.version}, not {VERSION}")
    return state
