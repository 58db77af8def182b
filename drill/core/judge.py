"""What counts as failed, wrong and lost. Pure.

A name's address is *gone* from the moment when its host may stop serving it: fleet takes the
record away, waits for its TTL and half a second more, then stops. An answer is wrong when it names
an address that is gone, or will be before the answer's own TTL has passed: a client that
believes it could meet nobody. So is one without any address, for a name that always has some,
and one with an address that no host has.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec

# fleet's margin between the end of a record's TTL and the stop of what it names.
MARGIN_S = 0.5
# A server may hear of a record, and answer with it, before our own watch does.
SKEW_S = 0.5


class Requests(msgspec.Struct, frozen=True):
    """What the client saw. Times are of the monotonic clock, as in all records here."""

    seconds: float
    sent: int
    failed: int
    failures: tuple[str, ...]
    resent: int
    next_address: int
    median_ms: float
    p99_ms: float
    longest_ms: float
    longest_at_s: float
    behind_ms: float  # by so much the client itself was late at most


class Said(msgspec.Struct, frozen=True):
    """One answer of one nameserver."""

    at_s: float
    server: str
    name: str
    rcode: str
    ttl_s: int
    addresses: tuple[str, ...]


class Writes(msgspec.Struct, frozen=True):
    """The numbers of the writes that were acknowledged, and why others were not."""

    acknowledged: tuple[int, ...]
    refusals: tuple[str, ...]
    longest_ms: float
    longest_at_s: float


class Presence(msgspec.Struct):
    """When records named an address: spans that begin and end, the last one perhaps not yet."""

    spans: list[tuple[float, float]] = []

    def appeared(self, at_s: float) -> None:
        """A record names it."""
        if not self.spans or self.spans[-1][1] != FOREVER_S:
            self.spans.append((at_s, FOREVER_S))

    def vanished(self, at_s: float) -> None:
        """No record names it any more."""
        if self.spans and self.spans[-1][1] == FOREVER_S:
            self.spans[-1] = (self.spans[-1][0], at_s)

    def covers(self, at_s: float) -> bool:
        """Say whether an answer of this moment may name it."""
        return any(began - SKEW_S <= at_s <= ended + MARGIN_S for began, ended in self.spans)


FOREVER_S = float("inf")
Presences = Mapping[tuple[str, str], Presence]  # by name and address


def wrong(said: Iterable[Said], presences: Presences) -> list[str]:
    """Return a line for each wrong answer."""
    return [
        f"{each.at_s:.3f} {each.server} said of {each.name}: {why}"
        for each in said
        if (why := _fault(each, presences))
    ]


def lost(acknowledged: Iterable[int], found: Collection[int]) -> list[int]:
    """Return the acknowledged writes that are not there."""
    return sorted(set(acknowledged).difference(found))


def _fault(said: Said, presences: Presences) -> str:
    if said.rcode != "NOERROR" or not said.addresses:
        return f"{said.rcode} without an address"
    for address in said.addresses:
        presence = presences.get((said.name, address))
        if presence is None:
            return f"{address}, which no record ever named"
        if not presence.covers(said.at_s):
            return f"{address}, which is gone"
    return ""
