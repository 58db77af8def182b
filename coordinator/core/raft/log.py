"""The log of one member: the entries after its snapshot, and how far they are safe."""

from bisect import bisect_right
from collections.abc import Sequence

from coordinator.core.raft.entry import LogEntry

ENTRY_OVERHEAD_BYTES = 32


class Log:
    """Entries by index.

    `stable` is the last index known to be on this member's disk, `committed` the last one known
    to be on a majority's, `applied` the last one that the state machine has.
    """

    def __init__(self, index: int, term: int, entries: Sequence[LogEntry] = ()) -> None:
        self._base_index = index  # the snapshot's place: the entry before the first
        self._base_term = term
        self._entries = list(entries)
        # Of all entries that were ever put in here, also of those that are no longer kept.
        self.taken_bytes = sum(len(entry.data) + ENTRY_OVERHEAD_BYTES for entry in entries)
        assert not entries or entries[0].index == index + 1
        self.stable = self.last
        self.committed = self.applied = index

    @property
    def base(self) -> int:
        """The index before the first entry that is still in memory."""
        return self._base_index

    @property
    def last(self) -> int:
        """The index of the last entry."""
        return self._base_index + len(self._entries)

    @property
    def last_term(self) -> int:
        """The term of the last entry."""
        return self._entries[-1].term if self._entries else self._base_term

    def term(self, index: int) -> int | None:
        """Return the term of the entry at `index`, None if that entry is not in memory."""
        place = index - self._base_index
        if place == 0:
            return self._base_term
        if 0 < place <= len(self._entries):
            return self._entries[place - 1].term
        return None

    def is_current(self, last_index: int, last_term: int) -> bool:
        """Return whether a log with this end is at least as new as this one. (Raft, 5.4.1)"""
        return (last_term, last_index) >= (self.last_term, self.last)

    def append(self, entries: Sequence[LogEntry]) -> int | None:
        """Add entries after one that both logs have; return the first index that changed.

        None if all were here. Entries that conflict with existing ones replace them and all that
        follow. (Raft, figure 2, AppendEntries 3 and 4)
        """
        for position, entry in enumerate(entries):
            if self.term(entry.index) != entry.term:
                place = entry.index - self._base_index - 1
                assert place >= 0, "a committed entry would be replaced"
                self._entries[place:] = new = entries[position:]
                self.taken_bytes += sum([len(each.data) + ENTRY_OVERHEAD_BYTES for each in new])
                self.stable = min(self.stable, entry.index - 1)
                return entry.index
        return None

    def entries(self, first: int, bytes_max: int | None = None) -> tuple[LogEntry, ...]:
        """Return the entries from `first` on, at least one and at most `bytes_max` bytes."""
        place = first - self._base_index - 1
        assert place >= 0, f"entry {first} is behind the snapshot at {self._base_index}"
        if bytes_max is None:
            return tuple(self._entries[place:])
        size, end = 0, place
        while end < len(self._entries):
            size += len(self._entries[end].data) + ENTRY_OVERHEAD_BYTES
            if size > bytes_max and end > place:
                break
            end += 1
        return tuple(self._entries[place:end])

    def before(self, index: int, count: int, bytes_max: int) -> int:
        """Return where the last entries up to `index` begin, at most so many with so many bytes."""
        first, size = index, 0
        while first > self._base_index and index - first < count:
            size += len(self._entries[first - self._base_index - 1].data) + ENTRY_OVERHEAD_BYTES
            if size > bytes_max:
                break
            first -= 1
        return first

    def between(self, after: int, upto: int) -> tuple[LogEntry, ...]:
        """Return the entries in (`after`, `upto`]."""
        start = after - self._base_index
        assert start >= 0
        return tuple(self._entries[start : upto - self._base_index])

    def conflict_hint(self, index: int, term: int) -> tuple[int, int]:
        """Return the last place at or below `index` whose term is at most `term`, and its term.

        Two logs can agree there at the earliest; a leader and a follower that each skip so need
        one probe a term. (Raft, 5.3, last paragraph)
        """
        index = min(index, self.last)
        place = bisect_right(
            self._entries, term, hi=max(0, index - self._base_index), key=lambda entry: entry.term
        )
        at = self._base_index + place
        return at, self.term(at) or 0

    def compact(self, index: int) -> None:
        """Drop the entries up to `index`."""
        term = self.term(index)
        assert term is not None
        if index > self._base_index:
            del self._entries[: index - self._base_index]
            self._base_index, self._base_term = index, term

    def restart(self, index: int, term: int) -> None:
        """Begin again after a snapshot."""
        self._entries.clear()
        self._base_index, self._base_term = index, term
        self.stable = self.committed = self.applied = index
