"""What happened in the last ten seconds: answers by status and a histogram of latencies.

Latencies fall into buckets of a quarter of a power of two, so a quantile is within 19 % of the
truth and a slice costs a small dictionary. Time is told in seconds, never read.
"""

SLICES = 10
SLICE_S = 1.0
NETWORK_ERRORS = frozenset((502, 504))


class _Slice:
    __slots__ = ("buckets", "codes", "number")

    def __init__(self, number: int) -> None:
        self.number = number
        self.codes: dict[int, int] = {}
        self.buckets: dict[int, int] = {}


class Window:
    """Counts of the last `SLICES` slices."""

    __slots__ = ("_current", "_slices")

    def __init__(self) -> None:
        self._slices: list[_Slice] = []
        self._current = _Slice(-1)

    def record(self, now_s: float, status: int, latency_s: float) -> None:
        """Count one answer."""
        current = self._current
        number = int(now_s)
        if current.number != number:
            current = self._turn(number)
        codes = current.codes
        codes[status] = codes.get(status, 0) + 1
        micros = int(latency_s * 1e6)  # bucket_of, without a call: this is done for every request
        bits = micros.bit_length()
        bucket = bits * 4 + ((micros >> (bits - 3)) & 3) if bits > 2 else micros
        buckets = current.buckets
        buckets[bucket] = buckets.get(bucket, 0) + 1

    def forget(self, now_s: float) -> None:
        """Drop what is older than the window."""
        self._turn(int(now_s))

    def clear(self) -> None:
        """Forget everything."""
        self._slices = []
        self._current = _Slice(-1)

    @property
    def total(self) -> int:
        """How many answers there were."""
        return sum(sum(part.codes.values()) for part in self._slices)

    def codes(self) -> dict[int, int]:
        """Return the answers by status."""
        found: dict[int, int] = {}
        for part in self._slices:
            for code, count in part.codes.items():
                found[code] = found.get(code, 0) + count
        return found

    def buckets(self) -> dict[int, int]:
        """Return the latencies by bucket."""
        found: dict[int, int] = {}
        for part in self._slices:
            for bucket, count in part.buckets.items():
                found[bucket] = found.get(bucket, 0) + count
        return found

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
        return latency_at(self.buckets(), quantile)

    def _turn(self, number: int) -> _Slice:
        self._slices = [part for part in self._slices if number - part.number < SLICES]
        if self._current.number != number:
            self._current = _Slice(number)
            self._slices.append(self._current)
        return self._current


def bucket_of(latency_s: float) -> int:
    """Return the histogram bucket of a latency."""
    micros = int(latency_s * 1e6)
    bits = micros.bit_length()
    return bits * 4 + ((micros >> (bits - 3)) & 3) if bits > 2 else micros


def latency_at(buckets: dict[int, int], quantile: float) -> float:
    """Return the upper edge, in seconds, of the bucket that a quantile falls in."""
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
