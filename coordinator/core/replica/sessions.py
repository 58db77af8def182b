"""Proposals in the log, and which of them were applied before, so that none is applied twice.

A member numbers the writes of its clients. If a leader dies, the member sends the same write to the
next leader, and both may have put it into the log. Every member skips the second one, because the
numbers that were applied are part of the replicated state. (Thesis, 6.3)
"""

import msgspec

from coordinator.core.store.commands import Command

# The numbers of two undecided writes of a member are never so far apart: a number that is so far
# behind was decided.
SPAN_MAX = 1 << 16
# Each start of a member is a new origin. One that was not used for so many starts has ended.
ORIGINS_MAX = 256


class Proposal(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A command with the number that its origin gave it. With origin 0 it is never sent twice."""

    origin: int
    sequence: int
    command: Command


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Proposal)


def encode(request: Proposal) -> bytes:
    """Return the entry's data."""
    return _encoder.encode(request)


def decode(data: bytes) -> Proposal:
    """Read what `encode` wrote."""
    request: Proposal = _decoder.decode(data)
    return request


class Sessions:
    """The numbers that were applied, by origin: all below the next one, and some beyond it."""

    def __init__(self, rows: list[tuple[int, int, list[int]]] | None = None) -> None:
        self._next: dict[int, int] = {}
        self._beyond: dict[int, set[int]] = {}
        self._latest = 0
        for origin, following, beyond in rows or ():
            self._next[origin] = following
            self._beyond[origin] = set(beyond)

    def rows(self) -> list[tuple[int, int, list[int]]]:
        """Return everything, for a snapshot."""
        return [(o, n, sorted(self._beyond[o])) for o, n in self._next.items()]

    def is_new(self, origin: int, sequence: int) -> bool:
        """Note a number as applied; False if it was applied before."""
        if origin != self._latest:
            self._use(origin)
        following = self._next.get(origin)
        if following == sequence and not self._beyond[origin]:
            self._next[origin] = sequence + 1
            return True
        if following is None:
            following = self._begin(origin)
        beyond = self._beyond[origin]
        if sequence < following or sequence in beyond:
            return False
        beyond.add(sequence)
        if len(beyond) > SPAN_MAX:
            following = min(beyond)
        while following in beyond:
            beyond.remove(following)
            following += 1
        self._next[origin] = following
        return True

    def has(self, origin: int, sequence: int) -> bool:
        """Return whether a number was applied."""
        return sequence < self._next.get(origin, 1) or sequence in self._beyond.get(origin, ())

    def _use(self, origin: int) -> None:
        """Put an origin behind all others: the one that was not used for longest is forgotten."""
        self._latest = origin
        if (following := self._next.pop(origin, None)) is not None:
            self._next[origin] = following

    def _begin(self, origin: int) -> int:
        if len(self._next) >= ORIGINS_MAX:
            oldest = next(iter(self._next))
            del self._next[oldest], self._beyond[oldest]
        self._next[origin] = 1
        self._beyond[origin] = set()
        return 1
