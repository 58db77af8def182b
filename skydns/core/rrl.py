"""Response rate limiting, as in BIND, NSD and Knot.

The limit is on equal answers to one network. So an answer that many clients want passes, and a
flood of one question with a forged source address does not. All denials to a network count as one
answer, and so do all errors, because the names in such floods are random. Every second reply over
the limit is sent empty with TC, which makes an honest client ask again over TCP (a "slip"). The
others are dropped.
"""

from dataclasses import dataclass
from enum import Enum, auto

from skydns.core.acl import V4_MAPPED

# The hosts of one network share a limit. A site usually gets a /24 or a /56.
V4_BITS, V6_BITS = 24, 56
# How long a flood is remembered. After a pause of this length it is answered in full again.
WINDOW_S = 15
# About 30 MB. The sources of a flood are forged, so the oldest are dropped first.
BUCKETS_MAX = 100_000
SLIP = 2


class Verdict(Enum):
    """The decision about a reply."""

    SEND = auto()
    SLIP = auto()
    DROP = auto()


@dataclass(slots=True)
class _Bucket:
    """The number of replies that may still be sent; below zero during a flood."""

    left: float
    at_s: float
    over: int = 0


class ResponseRateLimiter:
    """At most `rate` equal answers a second to one network."""

    def __init__(self, rate: int, buckets_max: int = BUCKETS_MAX) -> None:
        self._rate, self._buckets_max = rate, buckets_max
        self._buckets: dict[tuple[bytes, bytes], _Bucket] = {}

    def judge(self, client: bytes, answer: bytes, now_s: float) -> Verdict:
        """Count a reply to a client. `answer` is its question, or the code of its denial."""
        key = (_network(client), answer)
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            if len(self._buckets) >= self._buckets_max:
                del self._buckets[next(iter(self._buckets))]
            bucket = _Bucket(float(self._rate), now_s)
        self._buckets[key] = bucket
        earned = max(0.0, now_s - bucket.at_s) * self._rate
        bucket.left = min(float(self._rate), bucket.left + earned)
        bucket.at_s = now_s
        bucket.left = max(bucket.left - 1, float(-WINDOW_S * self._rate))
        if bucket.left >= 0:
            return Verdict.SEND
        bucket.over += 1
        return Verdict.SLIP if bucket.over % SLIP == 0 else Verdict.DROP


def _network(client: bytes) -> bytes:
    if len(client) == 16 and not client.startswith(V4_MAPPED):
        return client[: V6_BITS // 8]
    return client[-4:][: V4_BITS // 8]
