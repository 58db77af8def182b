"""A store in memory that counts writes, and lets a test act between two operations."""

from collections.abc import Callable

from coordinator.client.core.store_protocol import DeleteCondition, Entry, PutCondition
from coordinator.client.memory_store import MemoryStore


class CountingStore(MemoryStore):
    """A failed condition counts: on a real store it is an entry of the log, too."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(clock=clock)
        self.writes, self.written_bytes = 0, 0
        self._left = 0
        self._act: Callable[[], None] | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether the act of `before` is still to come."""
        return self._act is not None

    def before(self, operation: int, act: Callable[[], None]) -> None:
        """Act before this operation, counted from now."""
        self._left, self._act = operation, act

    def get(self, key: str, *, quorum: bool = True) -> Entry:
        """Read one key."""
        self._step()
        return super().get(key, quorum=quorum)

    def put(
        self, key: str, value: str, *, ttl_s: int | None = None, when: PutCondition | None = None
    ) -> Entry:
        """Write one key."""
        self._step(len(key) + len(value))
        return super().put(key, value, ttl_s=ttl_s, when=when)

    def refresh(self, key: str, ttl_s: int) -> None:
        """Restart a key's TTL."""
        self._step(len(key))
        super().refresh(key, ttl_s)

    def delete(
        self, key: str, *, recursive: bool = False, when: DeleteCondition | None = None
    ) -> None:
        """Remove one key."""
        self._step(len(key))
        super().delete(key, recursive=recursive, when=when)

    def _step(self, size_bytes: int = 0) -> None:
        self.writes += size_bytes > 0
        self.written_bytes += size_bytes
        act, self._left = self._act, self._left - 1
        if act is not None and self._left < 0:
            self._act = None
            act()
