"""Limits of rates and of connections, by source, in bounded memory."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

# Sources that a limiter remembers, as in vulcand; the least recently seen one is dropped.
SOURCES_MAX = 65536
# A longer source, such as a header of 32 KiB, is remembered by its digest.
SOURCE_BYTES_MAX = 64


@dataclass(frozen=True, slots=True)
class Rate:
    """A number of requests for each period, and how many of them may come at once."""

    period_s: float
    requests: int
    burst: int


def source_key(source: bytes) -> bytes:
    """Return what a limiter remembers of a source, which a client may choose."""
    return source if len(source) <= SOURCE_BYTES_MAX else hashlib.sha256(source).digest()


class RateLimiter:
    """The token buckets of one middleware. The bucket of a new source is full."""

    __slots__ = ("_buckets", "_rates")

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = tuple(rates)
        self._buckets: dict[tuple[bytes, Rate], tuple[float, float]] = {}  # tokens, when

    @property
    def bucket_count(self) -> int:
        """The number of remembered buckets."""
        return len(self._buckets)

    def wait_s(self, source: bytes, now_s: float, rates: Sequence[Rate] | None = None) -> float:
        """Take a token of every rate, or none. Return how long to wait; 0 if they are taken."""
        rates = rates or self._rates
        filled = [(rate, self._tokens(source, rate, now_s)) for rate in rates]
        lacking = [
            (1.0 - tokens) * rate.period_s / rate.requests for rate, tokens in filled if tokens < 1
        ]
        if lacking:
            return max(lacking)
        for rate, tokens in filled:
            self._buckets[(source, rate)] = (tokens - 1.0, now_s)
        while len(self._buckets) > SOURCES_MAX:  # a source has a bucket for each of its rates
            self._buckets.pop(next(iter(self._buckets)))
        return 0.0

    def _tokens(self, source: bytes, rate: Rate, now_s: float) -> float:
        # Removed and inserted again, the source moves to the end of the dictionary.
        tokens, when_s = self._buckets.pop((source, rate), (float(rate.burst), now_s))
        tokens = min(rate.burst, tokens + (now_s - when_s) * rate.requests / rate.period_s)
        self._buckets[(source, rate)] = (tokens, now_s)
        return tokens


class ConnectionLimiter:
    """Counts of the requests in flight, by source."""

    __slots__ = ("_counts", "_max")

    def __init__(self, connections_max: int) -> None:
        self._max = connections_max
        self._counts: dict[bytes, int] = {}

    def acquire(self, source: bytes) -> bool:
        """Count a request that begins; False when the source has reached its maximum."""
        count = self._counts.get(source, 0)
        if count >= self._max:
            return False
        self._counts[source] = count + 1
        return True

    def release(self, source: bytes) -> None:
        """Count a request that has ended."""
        count = self._counts[source] - 1
        if count:
            self._counts[source] = count
        else:
            del self._counts[source]


def format_wait(seconds: float) -> str:
    """Return a duration as Go writes it, in whole milliseconds: `1.5s`, `200ms`."""
    millis = math.ceil(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms"
    whole, rest = divmod(millis, 60_000)
    text = f"{rest / 1000:g}s"
    hours, minutes = divmod(whole, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
