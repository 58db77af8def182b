"""What happened in the last ten seconds: answers by status, and a histogram of latencies.

Latencies fall into buckets of a quarter of a power of two, so a quantile is at most 19 % off, and
a slice costs one small dictionary. Time is passed in as seconds, never read.
"""

from collections.abc import Mapping

SLICES = 10
SLICE_S = 1.0
# Buckets of latencies reach 160 for 2^40 microseconds, which is twelve days.
_BUCKET_BITS = 8
BUCKETS = 1 << _BUCKET_BITS
_BUCKET_MASK = (1 << _BUCKET_BITS) - 1
NETWORK_ERRORS = frozenset((502, 504))
NEVER = -1
_EMPTY_SLICE: tuple[int, dict[int, int]] = (NEVER, {})


class SlidingWindow:
    """Counts of the last `SLICES` slices."""

    __slots__ = ("_counts", "_number", "_slices")

    def __init__(self) -> None:
        self.clear()

    def record(self, now_s: float, status: int, latency_s: float) -> int:
        """Count one answer; return its bucket."""
        if self._number != int(now_s):
            self._advance(int(now_s))
        micros = int(latency_s * 1e6)  # `bucket_of`, without a call: this runs for each request
        bits = micros.bit_length()
        bucket = bits * 4 + ((micros >> (bits - 3)) & 3) if bits > 2 else micros
        key, counts = status << _BUCKET_BITS | bucket, self._counts
        counts[key] = counts.get(key, 0) + 1
        return bucket

    def expire(self, now_s: float) -> None:
        """Drop what is older than the window."""
        if self._number not in (NEVER, int(now_s)):
            self._advance(int(now_s))

    def clear(self) -> None:
        """Forget everything."""
        # A ring: each slice counts by status and bucket in one dictionary, see `record`. Readers
        # skip slices that are too old, and no writer clears them: with ten thousand frontends
        # none of this is in the processor's cache.
        self._slices: list[tuple[int, dict[int, int]]] = [_EMPTY_SLICE] * SLICES
        self._number = NEVER  # of the newest slice
        self._counts: dict[int, int] = {}  # of the newest slice

    @property
    def total(self) -> int:
        """How many answers there were."""
        return sum(self.counts().values())

    def counts(self) -> dict[int, int]:
        """Return the answers by status and bucket; `split_counts` tells them apart."""
        found: dict[int, int] = {}
        for number, counts in self._slices:
            if self._number - number < SLICES:
                for key, count in counts.items():
                    found[key] = found.get(key, 0) + count
        return found

    def codes(self) -> dict[int, int]:
        """Return the answers by status."""
        return split_counts(self.counts())[0]

    def buckets(self) -> dict[int, int]:
        """Return the latencies by bucket."""
        return split_counts(self.counts())[1]

    def network_error_ratio(self) -> float:
        """Return the part of answers that are 502 or 504."""
        codes = self.codes()
        total = sum(codes.values())
        return sum(codes.get(code, 0) for code in NETWORK_ERRORS) / total if total else 0.0

    def code_ratio(self, low: int, below: int, other_low: int, other_below: int) -> float:
        """Return answers with low <= status < below over those in the other range."""
        codes = self.codes()
        some = sum(count for code, count in codes.items() if low <= code < below)
        others = sum(count for code, count in codes.items() if other_low <= code < other_below)
        return some / others if others else 0.0

    def latency_s(self, quantile: float) -> float:
        """Return the latency that this part of the answers did not exceed."""
        return quantile_s(self.buckets(), quantile)

    def _advance(self, number: int) -> None:
        self._number, self._counts = number, {}
        self._slices[number % SLICES] = (number, self._counts)


def split_counts(counts: Mapping[int, int]) -> tuple[dict[int, int], dict[int, int]]:
    """Return what a window counted by status, and by bucket."""
    codes: dict[int, int] = {}
    buckets: dict[int, int] = {}
    for key, count in counts.items():
        code, bucket = key >> _BUCKET_BITS, key & _BUCKET_MASK
        codes[code] = codes.get(code, 0) + count
        buckets[bucket] = buckets.get(bucket, 0) + count
    return codes, buckets


def bucket_of(latency_s: float) -> int:
    """Return the histogram bucket of a latency."""
    micros = int(latency_s * 1e6)
    bits = micros.bit_length()
    return bits * 4 + ((micros >> (bits - 3)) & 3) if bits > 2 else micros


def quantile_s(buckets: dict[int, int], quantile: float) -> float:
    """Return the upper edge, in seconds, of the bucket that a quantile falls into."""
    left = sum(buckets.values()) * quantile
    edge_s = 0.0
    for bucket in sorted(buckets):
        edge_s = _edge_s(bucket)
        left -= buckets[bucket]
        if left <= 0:
            break
    return edge_s


def _edge_s(bucket: int) -> float:
    if bucket < 12:  # bucket_of: less than four microseconds
        return (bucket + 1) / 1e6
    bits, part = divmod(bucket, 4)
    return ((4 + part + 1) << (bits - 3)) / 1e6
