"""Replies of other servers, kept as long as they say, and longer when nobody answers."""

from dataclasses import dataclass

from skydns.core.forward.message import Relayed

COUNT_MAX = 10_000
SIZE_BYTES_MAX = 16 * 1024 * 1024
OVERHEAD_BYTES = 700
# RFC 8767, 5 has one to three days for what is served only when nobody answers.
STALE_S_MAX = 86_400
# Asked for again before its end if it was asked for since it came, and lives long enough to
# make that cheaper than waiting.
PREFETCH_SHARE = 0.1
PREFETCH_TTL_S_MIN = 10


@dataclass(slots=True)
class Kept:
    """A reply and when it came; `hits` is how often it was of use, `renewing` that it is asked
    for again; until `rests_until_s` nobody is asked, for nobody answered."""

    relayed: Relayed
    came_s: float
    hits: int = 0
    renewing: bool = False
    rests_until_s: float = 0.0

    def age_s(self, now_s: float) -> int:
        """Return its age in whole seconds."""
        return max(0, int(now_s - self.came_s))

    def is_fresh(self, now_s: float) -> bool:
        """Say whether its TTL has not run out."""
        return now_s - self.came_s < self.relayed.ttl_s

    def is_due(self, now_s: float) -> bool:
        """Say whether it is worth asking for again now."""
        ttl_s = self.relayed.ttl_s
        if self.renewing or self.hits < 2 or ttl_s < PREFETCH_TTL_S_MIN:
            return False
        return self.came_s + ttl_s - now_s < PREFETCH_SHARE * ttl_s


class RelayCache:
    """Bounded by count and bytes; what was not asked for longest goes first."""

    def __init__(self, count_max: int = COUNT_MAX, size_bytes_max: int = SIZE_BYTES_MAX) -> None:
        self._count_max, self._size_bytes_max = count_max, size_bytes_max
        self._kept: dict[bytes, Kept] = {}
        self.size_bytes = 0

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: bytes, now_s: float) -> Kept | None:
        """Return what is kept under a key, fresh or not."""
        kept = self._kept.pop(key, None)
        if kept is None:
            return None
        if now_s - kept.came_s > kept.relayed.ttl_s + STALE_S_MAX:
            self.size_bytes -= _size(key, kept)
            return None
        self._kept[key] = kept
        return kept

    def keep(self, key: bytes, relayed: Relayed, now_s: float) -> None:
        """Keep a reply in the place of an older one."""
        self._drop(key)
        kept = Kept(relayed, now_s)
        self._kept[key] = kept
        self.size_bytes += _size(key, kept)
        while len(self._kept) > self._count_max or self.size_bytes > self._size_bytes_max:
            self._drop(next(iter(self._kept)))

    def clear(self) -> None:
        """Drop everything."""
        self._kept.clear()
        self.size_bytes = 0

    def _drop(self, key: bytes) -> None:
        kept = self._kept.pop(key, None)
        if kept is not None:
            self.size_bytes -= _size(key, kept)


def _size(key: bytes, kept: Kept) -> int:
    ttls_bytes = 100 * len(kept.relayed.ttls)
    return len(key) + len(kept.relayed.body) + ttls_bytes + OVERHEAD_BYTES
