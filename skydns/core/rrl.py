"""Who may ask, and how often: client networks, and response rate limiting.

The limit is on equal answers to one network, so that what is asked in earnest by many passes
and a flood of one question towards a forged address does not (the RRL of BIND, NSD and Knot).
All denials of a network count as one answer, as do all errors: their names are random. Of
those over the limit every second is sent empty with TC, by which an honest client learns to ask
again over TCP, and the others are not sent at all.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum, auto
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network

# A network's hosts share one line; a /24 and a /56 are what one site usually gets.
V4_BITS, V6_BITS = 24, 56
# How far a flood is remembered: it must pause so long to be answered in full again.
WINDOW_S = 15
# About 30 MB; the flood's sources are forged, so the oldest go first.
BUCKETS_MAX = 100_000
SLIP = 2
KNOWN_MAX = 10_000
_V4_MAPPED = bytes(10) + b"\xff\xff"

Network = IPv4Network | IPv6Network


class Verdict(Enum):
    """What to do with a reply."""

    SEND = auto()
    CUT = auto()
    DROP = auto()


def networks(texts: Iterable[str]) -> tuple[Network, ...]:
    """Read networks as operators write them; ValueError names the text."""
    try:
        return tuple(ip_network(text.strip()) for text in texts)
    except ValueError as error:
        raise ValueError(f"{error}: write a network, such as 10.0.0.0/8 or ::1/128") from None


class Clients:
    """Some networks, asked by a client's address in 4 or 16 octets."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._networks = networks(texts)
        self._known: dict[bytes, bool] = {}

    def __contains__(self, client: bytes) -> bool:
        known = self._known.get(client)
        if known is None:
            if len(self._known) >= KNOWN_MAX:
                self._known.clear()
            known = self._known[client] = self._find(client)
        return known

    def _find(self, client: bytes) -> bool:
        if len(client) not in {4, 16}:
            return False
        plain = client[12:] if client.startswith(_V4_MAPPED) and len(client) == 16 else client
        address = ip_address(plain)
        return any(address in network for network in self._networks)


@dataclass(slots=True)
class _Bucket:
    """What is left; below zero while there is a flood."""

    left: float
    at_s: float
    over: int = 0


class RateLimit:
    """At most `rate` equal answers a second to one network."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._buckets: dict[tuple[bytes, bytes], _Bucket] = {}

    def judge(self, client: bytes, what: bytes, now_s: float) -> Verdict:
        """Count one answer to a client; `what` is its question, or the kind of its denial."""
        key = (_network(client), what)
        bucket = self._buckets.pop(key, None)
        if bucket is None:
            if len(self._buckets) >= BUCKETS_MAX:
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
        return Verdict.CUT if bucket.over % SLIP == 0 else Verdict.DROP


def _network(client: bytes) -> bytes:
    if len(client) == 16 and not client.startswith(_V4_MAPPED):
        return client[: V6_BITS // 8]
    return client[-4:][: V4_BITS // 8]
