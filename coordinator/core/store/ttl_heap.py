"""Which keys end when: a heap whose stale entries are passed over, and thrown out in time."""

import heapq

# Refreshed keys leave one stale entry for each refresh; the heap is rebuilt when those
# outnumber the live ones and are worth the work.
STALE_ENTRIES_MAX = 1024


class TtlHeap:
    """The keys that have a time to live, in the order they end (then of the key)."""

    def __init__(self) -> None:
        self._ends_ns: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._ends_ns)

    def put(self, key: bytes, expires_ns: int) -> None:
        """Let the key end at `expires_ns` and at no other time."""
        self._ends_ns[key] = expires_ns
        heapq.heappush(self._heap, (expires_ns, key))
        if len(self._heap) > 2 * len(self._ends_ns) + STALE_ENTRIES_MAX:
            self._heap = [(ends_ns, key) for key, ends_ns in self._ends_ns.items()]
            heapq.heapify(self._heap)

    def drop(self, key: bytes) -> None:
        """Let the key, if it had an end, have none."""
        self._ends_ns.pop(key, None)

    def first(self) -> tuple[int, bytes] | None:
        """Return the next end and its key."""
        while self._heap:
            ends_ns, key = self._heap[0]
            if self._ends_ns.get(key) == ends_ns:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None
