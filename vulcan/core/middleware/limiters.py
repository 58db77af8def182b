"""Rate and connection limits: token buckets and counts by source, bounded in memory."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

# Sources that a limiter remembers, as vulcand; the one unseen for longest makes room.
SOURCES_MAX = 65536


@dataclass(frozen=True, slots=True)
class Rate:
    """So many requests a period, and so many at once."""

    period_s: float
    requests: int
    burst: int


class RateLimiter:
    """Token buckets of one middleware; a source's bucket starts full."""

    __slots__ = ("_buckets", "_rates")

    def __init__(self, rates: Sequence[Rate]) -> None:
        self._rates = tuple(rates)
        self._buckets: dict[tuple[bytes, Rate], tuple[float, float]] = {}  # tokens, when

    @property
    def kept(self) -> int:
        """How many buckets are remembered."""
        return len(self._buckets)

    def wait_s(self, source: bytes, now_s: float, rates: Sequence[Rate] | None = None) -> float:
        """Take a token of every rate, or none; return how long to wait for one, 0 when taken."""
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
        # Taken out and put back in, a source that is seen moves to the end of the dictionary.
        tokens, when_s = self._buckets.pop((source, rate), (float(rate.burst), now_s))
        tokens = min(rate.burst, tokens + (now_s - when_s) * rate.requests / rate.period_s)
        self._buckets[(source, rate)] = (tokens, now_s)
        return tokens


class ConnectionLimiter:
    """Requests under way by source."""

    __slots__ = ("_counts", "_most")

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[bytes, int] = {}

    def enter(self, source: bytes) -> bool:
        """Count a request that begins; False when there are as many as may be."""
        count = self._counts.get(source, 0)
        if count >= self._most:
            return False
        self._counts[source] = count + 1
        return True

    def leave(self, source: bytes) -> None:
        """Count a request that ended."""
        count = self._counts[source] - 1
        if count:
            self._counts[source] = count
        else:
            del self._counts[source]


def go_duration(seconds: float) -> str:
    """Write a duration as Go does, in whole milliseconds: `1.5s`, `200ms`."""
    millis = math.ceil(seconds * 1000)
    if millis < 1000:
        return f"{millis}ms"
    whole, rest = divmod(millis, 60_000)
    text = f"{rest / 1000:g}s"
    hours, minutes = divmod(whole, 60)
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
