"""The voters and learners of a cluster, and how they change: one member at a time.

A change is a log entry and takes effect when it is appended (thesis, 4.1): a majority of the
old and of the new configuration always share a member, because they differ by one voter. That
holds only for changes made one after another from a configuration that is committed, and only
after the leader has committed an entry of its own term (the erratum of the thesis). `RaftNode`
checks both.
"""

from collections.abc import Sequence
from contextlib import suppress
from typing import assert_never

import msgspec

from coordinator.core.raft.entry import LogEntry

# Never the first byte of a MessagePack document, so a command cannot look like a change.
MARK = b"\xc1"


class Configuration(msgspec.Struct, frozen=True):
    """Voters decide; learners receive the log and do not vote."""

    voters: frozenset[int]
    learners: frozenset[int] = frozenset()

    @property
    def members(self) -> frozenset[int]:
        """All members: voters and learners."""
        return self.voters | self.learners


class AddFounder(msgspec.Struct, frozen=True, array_like=True, tag="found"):
    """Add a voter of the first configuration; all founders begin with the same entries."""

    member: int
    context: bytes = b""


class AddLearner(msgspec.Struct, frozen=True, array_like=True, tag="add"):
    """Add a member that does not vote yet."""

    member: int
    context: bytes = b""


class Promote(msgspec.Struct, frozen=True, array_like=True, tag="promote"):
    """Make a learner a voter."""

    member: int
    context: bytes = b""


class Remove(msgspec.Struct, frozen=True, array_like=True, tag="remove"):
    """Remove a member forever."""

    member: int
    context: bytes = b""


ConfChange = AddLearner | Promote | Remove
ConfEntry = AddFounder | ConfChange

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(ConfEntry)


class ChangeRefused(Exception):  # noqa: N818
    """The change does not fit the configuration; the message says why."""


def encode(change: ConfEntry) -> bytes:
    """Return the entry's data for a change."""
    return MARK + _encoder.encode(change)


def decode(data: bytes) -> ConfEntry | None:
    """Return the change in an entry's data, None for anything else."""
    if not data.startswith(MARK):
        return None
    change: ConfEntry = _decoder.decode(data[1:])
    return change


def changed(now: Configuration, change: ConfEntry) -> Configuration:
    """Return the configuration after a change. Raises ChangeRefused."""
    member = change.member
    match change:
        case AddFounder():
            return Configuration(now.voters | {member}, now.learners)
        case AddLearner():
            if member in now.members:
                raise ChangeRefused(f"member {member:x} is in the cluster already")
            return Configuration(now.voters, now.learners | {member})
        case Promote():
            if member not in now.learners:
                raise ChangeRefused(f"member {member:x} is no learner")
            return Configuration(now.voters | {member}, now.learners - {member})
        case Remove():
            if member not in now.members:
                raise ChangeRefused(f"member {member:x} is not in the cluster")
            if now.voters == {member}:
                raise ChangeRefused(f"member {member:x} is the last voter")
            return Configuration(now.voters - {member}, now.learners - {member})
    assert_never(change)


class ConfigurationHistory:
    """The configurations that a log holds, by the index that made them, from the snapshot's on.

    The last one counts, committed or not. (Thesis, 4.1)
    """

    def __init__(self, index: int, configuration: Configuration) -> None:
        self.restart(index, configuration)

    @property
    def latest(self) -> Configuration:
        """The configuration that counts."""
        return self._made[-1][1]

    @property
    def changed_at(self) -> int:
        """The index of the entry that made it."""
        return self._made[-1][0]

    def at(self, index: int) -> Configuration:
        """Return the configuration as of an index that is not compacted."""
        return next(made for at, made in reversed(self._made) if at <= index)

    def note(self, entries: Sequence[LogEntry]) -> None:
        """Follow entries that were appended. A change that does not fit changes nothing."""
        for entry in entries:
            if (change := decode(entry.data)) is not None:
                with suppress(ChangeRefused):
                    self._made.append((entry.index, changed(self.latest, change)))

    def forget(self, index: int) -> None:
        """Go back to the configuration before the entry at `index`, which was overwritten."""
        while self._made[-1][0] >= index:
            self._made.pop()

    def restart(self, index: int, configuration: Configuration) -> None:
        """Begin again after a snapshot."""
        self._made: list[tuple[int, Configuration]] = [(index, configuration)]

    def compact(self, index: int) -> None:
        """Forget configurations that no entry after `index` needs."""
        while len(self._made) > 1 and self._made[1][0] <= index:
            del self._made[0]
