"""When keys expire: a heap whose stale entries are skipped, and removed now and then."""

import heapq

# Each refresh of a key leaves a stale entry. The heap is rebuilt when there are more stale entries
# than live ones, and enough of them to be worth the work.
STALE_ENTRIES_MAX = 1024


class TtlHeap:
    """The keys that have a time to live, in the order of their expiry, then of the key."""

    def __init__(self) -> None:
        self._expiries_ns: dict[bytes, int] = {}
        self._heap: list[tuple[int, bytes]] = []

    def __len__(self) -> int:
        return len(self._expiries_ns)

    def put(self, key: bytes, expires_ns: int) -> None:
        """Let the key expire at `expires_ns`, and at no other time."""
        self._expiries_ns[key] = expires_ns
        heapq.heappush(self._heap, (expires_ns, key))
        if len(self._heap) > 2 * len(self._expiries_ns) + STALE_ENTRIES_MAX:
            self._heap = [(expires_ns, key) for key, expires_ns in self._expiries_ns.items()]
            heapq.heapify(self._heap)

    def drop(self, key: bytes) -> None:
        """Let the key never expire."""
        self._expiries_ns.pop(key, None)

    def first(self) -> tuple[int, bytes] | None:
        """Return the next expiry and its key."""
        while self._heap:
            expires_ns, key = self._heap[0]
            if self._expiries_ns.get(key) == expires_ns:
                return self._heap[0]
            heapq.heappop(self._heap)
        return None
