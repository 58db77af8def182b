"""The last events by index; their number and their size are bounded."""

from collections.abc import Sequence
from dataclasses import dataclass

from coordinator.core.store.event import KeyEvent

# Enough for a watcher that was away for minutes in a busy cluster. The bound in bytes is for large
# values.
SLOTS_MAX = 100_000
SIZE_BYTES_MAX = 64 * 1024 * 1024
# What an event takes besides its keys and values: itself, its nodes, their rendered JSON.
EVENT_BYTES = 600
REMOVED_KEY_BYTES = 100


@dataclass(frozen=True, slots=True)
class HistoryBounds:
    """How much history is kept. Members of one cluster keep the same."""

    slots: int = SLOTS_MAX
    size_bytes: int = SIZE_BYTES_MAX


DEFAULT_BOUNDS = HistoryBounds()


class EventHistory:
    """A ring with one slot for each index; None for an index without an event.

    `first` is the oldest index kept, `last` the newest; the newest is always kept.
    """

    def __init__(self, bounds: HistoryBounds = DEFAULT_BOUNDS, *, before: int = 0) -> None:
        self.bounds = bounds
        self.first = before + 1
        self.last = before
        self._ring: list[KeyEvent | None] = [None] * bounds.slots
        self._size_bytes = 0

    def at(self, index: int) -> KeyEvent | None:
        """Return the event of an index that is kept, None if it has none."""
        assert self.first <= index <= self.last
        return self._ring[index % self.bounds.slots]

    def append(self, event: KeyEvent | None) -> None:
        """Take the next index, and drop the oldest ones beyond the bounds."""
        if self.last - self.first + 1 == self.bounds.slots:
            self._forget()
        self.last += 1
        self._ring[self.last % self.bounds.slots] = event
        if event is not None:
            self._size_bytes += size_bytes(event)
            while self._size_bytes > self.bounds.size_bytes and self.first < self.last:
                self._forget()

    def kept(self) -> Sequence[KeyEvent | None]:
        """Return the slots from `first` to `last`."""
        return [self.at(index) for index in range(self.first, self.last + 1)]

    def _forget(self) -> None:
        slot = self.first % self.bounds.slots
        event = self._ring[slot]
        if event is not None:
            self._size_bytes -= size_bytes(event)
            self._ring[slot] = None
        self.first += 1


def size_bytes(event: KeyEvent) -> int:
    """Return about how much memory an event holds, the same on every member."""
    size = EVENT_BYTES + 4 * len(event.key)
    if event.node is not None and event.node.value is not None:
        size += 2 * len(event.node.value)
    if event.prev is not None and event.prev.value is not None:
        size += 2 * len(event.prev.value)
    if event.removed:
        size += sum(map(len, event.removed)) + REMOVED_KEY_BYTES * len(event.removed)
    return size
