"""The replies of other servers, cached for their TTL, and longer when no server answers."""

from dataclasses import dataclass

from skydns.core.forward.message import ReplyAge, UpstreamReply

COUNT_MAX = 10_000
SIZE_BYTES_MAX = 16 * 1024 * 1024
# The memory of an entry besides its bytes: objects and dictionary slots.
OVERHEAD_BYTES = 700
# RFC 8767, 5 suggests one to three days for data that is served only when no server answers.
STALE_S_MAX = 86_400
# A reply is prefetched in the last tenth of its TTL, if it was used since it came and its TTL is
# long enough to make this worth its cost.
PREFETCH_SHARE = 0.1
PREFETCH_TTL_S_MIN = 10


@dataclass(slots=True)
class CachedReply:
    """A reply, and when it came. `hits` is how often it was used.

    `prefetching` says that a query for a new reply is in flight. Until `retry_at_s` no server is
    asked, because none answered.
    """

    upstream: UpstreamReply
    came_s: float
    hits: int = 0
    prefetching: bool = False
    retry_at_s: float = 0.0

    def age(self, now_s: float) -> ReplyAge:
        """Return its age in whole seconds, and whether it is stale."""
        return ReplyAge(max(0, int(now_s - self.came_s)), not self.is_fresh(now_s))

    def is_fresh(self, now_s: float) -> bool:
        """Return whether its TTL has not passed."""
        return now_s - self.came_s < self.upstream.ttl_s

    def is_prefetch_due(self, now_s: float) -> bool:
        """Return whether a new reply should be asked for now."""
        ttl_s = self.upstream.ttl_s
        if self.prefetching or self.hits < 2 or ttl_s < PREFETCH_TTL_S_MIN:
            return False
        return self.came_s + ttl_s - now_s < PREFETCH_SHARE * ttl_s


class ForwardCache:
    """A cache bounded by count and bytes. The least recently used reply is dropped first."""

    def __init__(self, count_max: int = COUNT_MAX, size_bytes_max: int = SIZE_BYTES_MAX) -> None:
        self._count_max, self._size_bytes_max = count_max, size_bytes_max
        self._replies: dict[bytes, CachedReply] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._replies)

    def find(self, key: bytes, now_s: float) -> CachedReply | None:
        """Return the reply under a key, fresh or stale."""
        cached = self._replies.pop(key, None)
        if cached is None:
            return None
        if now_s - cached.came_s > cached.upstream.ttl_s + STALE_S_MAX:
            self.size_bytes -= _size_bytes(key, cached)
            return None
        self._replies[key] = cached
        return cached

    def put(self, key: bytes, upstream: UpstreamReply, now_s: float) -> None:
        """Cache a reply in place of an older one."""
        self._drop(key)
        cached = CachedReply(upstream, now_s)
        self._replies[key] = cached
        self.size_bytes += _size_bytes(key, cached)
        while len(self._replies) > self._count_max or self.size_bytes > self._size_bytes_max:
            self._drop(next(iter(self._replies)))

    def clear(self) -> None:
        """Drop everything."""
        self._replies.clear()
        self.size_bytes = 0

    def _drop(self, key: bytes) -> None:
        cached = self._replies.pop(key, None)
        if cached is not None:
            self.size_bytes -= _size_bytes(key, cached)


def _size_bytes(key: bytes, cached: CachedReply) -> int:
    ttls_bytes = 100 * len(cached.upstream.ttls)
    return len(key) + len(cached.upstream.body) + ttls_bytes + OVERHEAD_BYTES
