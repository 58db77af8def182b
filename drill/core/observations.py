"""What the clients observed, and what counts as a wrong answer or a lost write.

fleet removes a record, waits for its TTL and half a second more, and then stops the instance of
the record. From then on the address is gone. A DNS answer is wrong if it names an address that is
gone, or will be gone before the TTL of the answer has passed, because no instance would answer.
An answer without any address is wrong as well, and so is one with an address that no host has.
"""

from collections.abc import Collection, Iterable, Mapping

import msgspec

# fleet's margin between the end of a record's TTL and the stop.
MARGIN_S = 0.5
# A server may see a record before our watch does.
SKEW_S = 0.5


class Requests(msgspec.Struct, frozen=True):
    """The measurements of an HTTP client. All times here are of the monotonic clock."""

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
    behind_ms: float  # the largest lateness of the client itself


class DnsAnswer(msgspec.Struct, frozen=True):
    """One answer of one name server."""

    at_s: float
    server: str
    name: str
    rcode: str
    ttl_s: int
    addresses: tuple[str, ...]


class Writes(msgspec.Struct, frozen=True):
    """The numbers of the acknowledged writes, and why others were refused."""

    acknowledged: tuple[int, ...]
    refusals: tuple[str, ...]
    longest_ms: float
    longest_at_s: float


class RecordSpans(msgspec.Struct):
    """The spans of time in which records named an address; the last one may be open."""

    spans: list[tuple[float, float]] = []

    def appeared(self, at_s: float) -> None:
        """A record names the address from now on."""
        if not self.spans or self.spans[-1][1] != FOREVER_S:
            self.spans.append((at_s, FOREVER_S))

    def vanished(self, at_s: float) -> None:
        """No record names the address any more."""
        if self.spans and self.spans[-1][1] == FOREVER_S:
            self.spans[-1] = (self.spans[-1][0], at_s)

    def covers(self, at_s: float) -> bool:
        """Return whether an answer at this time may name the address."""
        return any(began - SKEW_S <= at_s <= ended + MARGIN_S for began, ended in self.spans)


FOREVER_S = float("inf")
SpansByAddress = Mapping[tuple[str, str], RecordSpans]  # by name and address


def wrong_answers(answers: Iterable[DnsAnswer], spans_by_address: SpansByAddress) -> list[str]:
    """Return a line for each wrong answer."""
    return [
        f"{each.at_s:.3f} {each.server} answered for {each.name}: {why}"
        for each in answers
        if (why := _fault(each, spans_by_address))
    ]


def lost_writes(acknowledged: Iterable[int], found: Collection[int]) -> list[int]:
    """Return the acknowledged writes that were not found."""
    return sorted(set(acknowledged).difference(found))


def _fault(answer: DnsAnswer, spans_by_address: SpansByAddress) -> str:
    if answer.rcode != "NOERROR" or not answer.addresses:
        return f"{answer.rcode} without an address"
    for address in answer.addresses:
        spans = spans_by_address.get((answer.name, address))
        if spans is None:
            return f"{address}, which never had a record"
        if not spans.covers(answer.at_s):
            return f"{address}, which is gone"
    return ""
