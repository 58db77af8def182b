"""One member's log and key space, and who waits for what. No clock, no disk, no asyncio.

The path of a write: `propose` puts a command in the log's tail; `unsaved` hands all that has
piled up to the disk; once it is safe, `saved` commits and applies it and yields each outcome
with its waiter. A member that runs alone is its own quorum: what is safe here is committed.

Invariants:
 1. What has been answered was synced before. (A lone member commits at the append in etcd's
    raft; answering then lost acknowledged writes, etcd issue 14370.)
 2. Entries are applied in index order, each once, and only from the log.
 3. A new term begins with a no-op, and nothing is answered before that one is committed.
"""

from collections.abc import Iterator
from typing import Generic, TypeVar

from coordinator.errors import ApiError
from coordinator.raft.types import Entry, HardState
from coordinator.store.commands import Command, decode, encode
from coordinator.store.event import Event
from coordinator.store.keyspace import KeySpace

Waiter = TypeVar("Waiter")
Outcome = Event | ApiError | None


class Replica(Generic[Waiter]):
    """The only member of its cluster."""

    def __init__(self, keyspace: KeySpace, state: HardState, snapshot_index: int) -> None:
        self.keyspace = keyspace
        self.term = state.term
        self.last = snapshot_index  # the last entry in the log
        self.applied = snapshot_index
        self._tail: list[tuple[Entry, Command | None, Waiter | None]] = []
        self._saving: list[tuple[Entry, Command | None, Waiter | None]] = []

    def recover(self, entries: list[Entry]) -> None:
        """Apply the log again. Refused commands are refused again, in the same way."""
        for entry in entries:
            assert entry.index == self.applied + 1
            self.last = entry.index
            self._apply(entry.index, decode(entry.data) if entry.data else None)

    def campaign(self, member: int) -> HardState:
        """Begin a new term; the state goes to disk with the no-op that waits in `unsaved`."""
        self.term += 1
        self._append(b"", None, None)
        return HardState(term=self.term, vote=member, commit=self.applied)

    def propose(self, command: Command, waiter: Waiter | None = None) -> None:
        """Put a command in the log's tail."""
        self._append(encode(command), command, waiter)

    @property
    def has_unsaved(self) -> bool:
        """Whether something waits for the disk."""
        return bool(self._tail)

    def unsaved(self) -> list[Entry]:
        """Take what has piled up; all of it is safe when `saved` is called."""
        assert not self._saving
        self._saving, self._tail = self._tail, []
        return [entry for entry, _, _ in self._saving]

    def saved(self) -> Iterator[tuple[Waiter, Outcome]]:
        """Apply what `unsaved` handed out, and say to each waiter how it ended."""
        saving, self._saving = self._saving, []
        for entry, command, waiter in saving:
            outcome = self._apply(entry.index, command)
            if waiter is not None:
                yield waiter, outcome

    def _append(self, data: bytes, command: Command | None, waiter: Waiter | None) -> None:
        self.last += 1
        self._tail.append((Entry(self.term, self.last, data), command, waiter))

    def _apply(self, index: int, command: Command | None) -> Outcome:
        self.applied = index
        if command is None:
            return None
        try:
            return self.keyspace.apply(command)
        except ApiError as refusal:
            return refusal
